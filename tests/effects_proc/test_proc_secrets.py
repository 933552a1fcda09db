"""Secrets are named in requests, resolved when used, and never captured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi.vocabulary.proc import Exec
from tek_effects_proc.scrub import SHORTEST, Scrubber
from tek_kernel.effect import EffectError
from tests.effects_proc.commands import Commands, observed

TOKEN = (("TOKEN", "secret:API_TOKEN"),)


def scrub(secrets: dict[str, bytes], *pieces: bytes) -> bytes:
    scrubber = Scrubber(secrets)
    return b"".join([*map(scrubber.feed, pieces), scrubber.flush()])


def test_a_command_gets_the_secret_and_its_output_the_name(commands: Commands) -> None:
    commands.secrets["API_TOKEN"] = "s3cr3t-välue"
    exit_ = commands.sh('test "$TOKEN" = s3cr3t-välue; echo "a${TOKEN}b"; printf %s "$TOKEN" >&2', env=TOKEN)
    assert exit_.stdout.read() == b"a[secret:API_TOKEN]b\n"
    assert exit_.stderr.read() == b"[secret:API_TOKEN]"


def test_a_secret_that_is_written_in_two_halves_is_found(commands: Commands) -> None:
    commands.secrets["API_TOKEN"] = "0123456789abcdef"
    script = "printf 01234567; sleep 0.05; printf 89abcdef; echo"
    assert commands.sh(script, env=TOKEN).stdout.read() == b"[secret:API_TOKEN]\n"


def test_a_missing_secret_is_told_by_its_name(commands: Commands) -> None:
    commands.secrets["OTHER"] = "value-of-another"
    with pytest.raises(EffectError, match="API_TOKEN") as raised:
        commands.apply(Exec(("true",), env=TOKEN))
    assert raised.value.code == "bad-request"
    assert "value-of-another" not in str(raised.value)


def test_a_secret_with_nul_is_refused_without_showing_it(commands: Commands) -> None:
    commands.secrets["API_TOKEN"] = "abc\0def"
    with pytest.raises(EffectError, match="holds NUL") as raised:
        commands.apply(Exec(("true",), env=TOKEN))
    assert "abc" not in str(raised.value)


@pytest.mark.parametrize("value", ["a", "abc"])
def test_a_secret_too_short_to_be_found_in_output_is_refused(commands: Commands, value: str) -> None:
    commands.secrets["PIN"] = value
    with pytest.raises(EffectError, match="the secret PIN has fewer than 4 bytes") as raised:
        commands.run("true", env=(("PIN", "secret:PIN"),))
    assert raised.value.code == "bad-request"


def test_output_of_a_command_that_was_ended_is_clean_too(commands: Commands) -> None:
    commands.secrets["API_TOKEN"] = "0123456789abcdef"
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("sh", "-c", 'echo "$TOKEN"; sleep 60'), env=TOKEN, timeout=300))
    stored = observed(raised.value)["stdout"]["$blob"]["sha256"]
    assert commands.blobs.get(stored) == b"[secret:API_TOKEN]\n"


def test_what_is_shorter_than_a_secret_can_be_is_left_alone() -> None:
    assert scrub({"A": b"abc"}, b"abc") == b"abc"
    assert SHORTEST == 4


def test_secrets_that_overlap_are_replaced_together() -> None:
    assert scrub({"A": b"abcd", "B": b"cdef"}, b"xabcdefx") == b"x[secret:A]x"


def test_of_two_secrets_at_one_place_the_longer_counts() -> None:
    assert scrub({"A": b"abcd", "B": b"abcdef"}, b"abcd", b"ef") == b"[secret:B]"


def test_secrets_side_by_side_keep_their_names() -> None:
    assert scrub({"A": b"aaaa", "B": b"bbbb"}, b"aaaabbbb") == b"[secret:A][secret:B]"


def test_repetition_does_not_make_it_hold_more() -> None:
    scrubber = Scrubber({"A": b"aaaa"})
    clean = b"".join(scrubber.feed(b"a" * 1000) for _ in range(100)) + scrubber.flush()
    assert clean == b"[secret:A]"
    assert len(scrubber._held) < SHORTEST


@given(
    st.lists(st.text("ab", min_size=SHORTEST, max_size=6).map(str.encode), min_size=1, max_size=3, unique=True),
    st.lists(st.text("abc", max_size=9).map(str.encode), max_size=8),
)
def test_where_the_pieces_are_cut_makes_no_difference_and_no_secret_stays(
    values: list[bytes], pieces: list[bytes]
) -> None:
    secrets = {f"S{number}": value for number, value in enumerate(values)}
    whole = scrub(secrets, b"".join(pieces))
    assert scrub(secrets, *pieces) == whole
    rest = whole
    for name in secrets:
        rest = rest.replace(f"[secret:{name}]".encode(), b"|")
    assert not any(value in rest for value in values)
    if not any(value in b"".join(pieces) for value in values):
        assert whole == b"".join(pieces)
