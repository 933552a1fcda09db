"""Durations, sizes, counts and limits as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from tek_abi import UNLIMITED, Limit, QuantityError, parse_limit
from tek_abi.quantity import parse_count, parse_duration, parse_size, show_duration, show_size
from tek_agents.testing.strategies import limits, naturals, texts


@pytest.mark.parametrize(
    ("parse", "text", "amount"),
    [
        (parse_duration, "0", 0),
        (parse_duration, "1500", 1500),
        (parse_duration, "1500ms", 1500),
        (parse_duration, "90s", 90_000),
        (parse_duration, "15m", 900_000),
        (parse_duration, "15min", 900_000),
        (parse_duration, "2h", 7_200_000),
        (parse_duration, "1d", 86_400_000),
        (parse_duration, "007s", 7_000),
        (parse_size, "4096", 4096),
        (parse_size, "1B", 1),
        (parse_size, "1kB", 1000),
        (parse_size, "1KB", 1000),
        (parse_size, "1KiB", 1024),
        (parse_size, "64MiB", 64 * 2**20),
        (parse_size, "1GB", 10**9),
        (parse_size, "8191TiB", 8191 * 2**40),
        (parse_count, "20k", 20_000),
        (parse_count, "1M", 1_000_000),
        (parse_count, "9007199254740991", 2**53 - 1),
    ],
)
def test_a_quantity_is_a_whole_number_and_a_unit(parse: Callable[[str], int], text: str, amount: int) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_count])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.5s",
        "-1",
        "+1",
        "1 s",
        " 1",
        "1\n",
        "1_000",
        "٣",
        "１",
        "²",
        "s",
        "1x",
        "0x10",
        "1e3",
        "unlimited",
        "9007199254740992",
        "9" * 16,
        "9" * 17,
        "9" * 10_000,
    ],
)
def test_anything_else_is_refused_by_name(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse(text)
    assert refused.value.text == text


@pytest.mark.parametrize(
    ("parse", "text"), [(parse_duration, "1S"), (parse_duration, "1KiB"), (parse_size, "1kib"), (parse_size, "1m")]
)
def test_units_are_spelled_one_way(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(QuantityError, match="write a whole number and one of"):
        parse(text)


@pytest.mark.parametrize("text", ["104249991375d", "9007199254740991s", "8192TiB", "9007199255M"])
def test_a_unit_cannot_lift_it_past_the_bound(text: str) -> None:
    parse = {"d": parse_duration, "s": parse_duration, "B": parse_size, "M": parse_count}[text[-1]]
    with pytest.raises(QuantityError, match="at most"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("ms=90s", Limit(ms=90_000)),
        ("ms=90s io=64MiB", Limit(ms=90_000, io=64 * 2**20)),
        ("ms=90s,io=64MiB", Limit(ms=90_000, io=64 * 2**20)),
        (" tokens=1k ,\tms=unlimited ", Limit(ms=UNLIMITED, tokens=1000)),
    ],
)
def test_a_limit_names_some_dimensions(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "90s",
        "ms",
        "ms=",
        "=1",
        "ms==1",
        "MS=1",
        "cpu=1",
        "ms=1 ms=2",
        "ms=1;io=2",
        "ms=1.5s",
        "ms=none",
        "ms = 1",
        "ms=Unlimited",
        "ms=-1",
        "ms=1\u00a0io=2",
        "ms=1\nio=2",
    ],
)
def test_a_limit_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_limit(text)


@given(limits().filter(lambda limit: limit != Limit()))
def test_a_limit_written_in_base_units_is_read_back(limit: Limit) -> None:
    text = ",".join(f"{dimension}={bound}" for dimension, bound in limit.items() if bound is not None)
    assert parse_limit(text) == limit


@given(texts(20))
def test_any_text_is_read_or_refused_with_one_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_count, parse_limit):
        try:
            parse(text)
        except QuantityError as error:
            assert repr(error.text) in str(error)  # noqa: PT017  # the text may also be fine


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0, "0ms"), (999, "999ms"), (1_500, "1.5s"), (59_999, "59.9s"), (60_000, "1m00s"), (125_000, "2m05s")],
)
def test_durations_are_shown_rounded_down(ms: int, shown: str) -> None:
    assert show_duration(ms) == shown


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0B"), (512, "512B"), (1536, "1.5KiB"), (64 * 2**20, "64MiB"), (2**50, "1024TiB")]
)
def test_sizes_are_shown_in_binary_units(size: int, shown: str) -> None:
    assert show_size(size) == shown


@given(naturals())
def test_anything_can_be_shown(amount: int) -> None:
    assert show_duration(amount)
    assert show_size(amount)
