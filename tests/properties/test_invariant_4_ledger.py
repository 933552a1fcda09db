"""Invariant 4: no change to a ledger goes unseen, and the first line that does not hold is named."""

from __future__ import annotations

import io
from itertools import accumulate, combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_kernel import LedgerInvalid, verify
from tests.kernel.ledger_world import World, plan_of, run, small

WORLD = small()
LINES = WORLD.lines
STARTS = [0, *accumulate(map(len, LINES))]


def found(data: bytes, world: World = WORLD) -> LedgerInvalid:
    with pytest.raises(LedgerInvalid) as caught:
        verify(io.BytesIO(data), world.codec)
    return caught.value


def test_the_ledger_as_written_holds() -> None:
    verification = verify(WORLD.file(), WORLD.codec)
    assert verification.ledger_head == WORLD.head
    assert verification.replay_hash == WORLD.replay_hash
    assert (verification.state, verification.entries) == ("closed", len(LINES))


def test_a_change_of_any_byte_is_found_in_its_line() -> None:
    """A changed newline joins two lines; the first of them is named."""
    world, random, end = run(plan_of("denied", "failed")), Random(4), 0
    for number, line in enumerate(world.lines, 1):
        start, end = end, end + len(line)
        for index in range(start, end):
            changed = bytearray(world.data)
            changed[index] ^= random.randrange(1, 256)
            assert found(bytes(changed), world).line == number, index
    assert end == len(world.data) > 4000


@given(index=st.integers(0, len(WORLD.data) - 1), bits=st.integers(1, 255))
def test_any_change_of_a_byte_is_found_in_its_line(index: int, bits: int) -> None:
    changed = bytearray(WORLD.data)
    changed[index] ^= bits
    assert found(bytes(changed)).line == WORLD.data.count(b"\n", 0, index) + 1


@pytest.mark.parametrize("number", range(1, len(LINES) + 1))
def test_a_cut_at_a_lines_end_is_unfinished_at_the_next_line(number: int) -> None:
    error = found(b"".join(LINES[: number - 1]))
    assert (error.line, error.unfinished) == (number, True)


@given(st.data())
def test_a_cut_within_a_line_is_found_there(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(LINES)))
    cut = data.draw(st.integers(STARTS[number - 1] + 1, STARTS[number] - 1))
    error = found(WORLD.data[:cut])
    assert (error.line, error.unfinished) == (number, False)


@pytest.mark.parametrize("number", range(1, len(LINES) + 1))
def test_a_dropped_line_is_found_where_it_stood(number: int) -> None:
    assert found(b"".join(LINES[: number - 1] + LINES[number:])).line == number


@pytest.mark.parametrize("number", range(1, len(LINES) + 1))
def test_a_repeated_line_is_found_at_its_second_place(number: int) -> None:
    assert found(b"".join(LINES[:number] + LINES[number - 1 :])).line == number + 1


def test_two_swapped_lines_are_found_at_the_first_of_them() -> None:
    for first, second in combinations(range(len(LINES)), 2):
        lines = LINES.copy()
        lines[first], lines[second] = lines[second], lines[first]
        assert found(b"".join(lines)).line == first + 1


@given(at=st.integers(0, len(LINES)), line=st.binary(max_size=200).map(lambda data: data + b"\n"))
def test_an_inserted_line_is_found(at: int, line: bytes) -> None:
    inserted = b"".join([*LINES[:at], line, *LINES[at:]])
    assert found(inserted).line == at + 1


def test_a_line_of_another_run_is_found() -> None:
    for number, line in enumerate(run(plan_of("denied")).lines[1:], 2):
        assert found(b"".join([*LINES[: number - 1], line, *LINES[number:]])).line == number
