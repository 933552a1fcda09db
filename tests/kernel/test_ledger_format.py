"""The ledger's bytes, as DESIGN section 5 has them, computed again with hashlib and json alone."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable

import pytest

from tek_abi import CODEC, Decision, Position
from tek_kernel import DirectSink, Ledger, LedgerInvalid, read_lines, verify
from tek_kernel.ledger import ZEROS, compose
from tests.kernel.ledger_world import Memory, small, ticking

WORLD = small()
ENTRY = Decision(Position("TASK-001", 1, ()), "skip", "why – so")
AT = "2026-01-01T00:00:00.000000Z"


def test_each_line_closes_with_the_hash_of_the_bytes_before() -> None:
    for line in WORLD.lines:
        digest = hashlib.sha256(line[:-76]).hexdigest()
        assert line[-76:] == f',"hash":"{digest}"}}\n'.encode()


def test_each_line_is_json_with_the_frame_in_its_order() -> None:
    prev = "0" * 64
    for seq, line in enumerate(WORLD.lines):
        fields = json.loads(line)
        assert list(fields)[:5] == ["seq", "synced", "prev", "kind", "at"]
        assert list(fields)[-1] == "hash"
        assert (fields["seq"], fields["prev"]) == (seq, prev)
        assert -1 <= fields["synced"] < max(seq, 1)
        prev = fields["hash"]
    assert prev == WORLD.head


def test_values_of_over_4_kib_stand_in_blobs_and_others_do_not() -> None:
    assert b"large large" not in WORLD.data
    assert WORLD.data.count(b'{"$ref":{"sha256":') == 2
    for sha256, data in WORLD.blobs.blobs.items():
        assert hashlib.sha256(data).hexdigest() == sha256


def test_a_clock_that_goes_back_is_held() -> None:
    times = iter(["2026-01-01T00:00:05.000000Z", "2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:06.000000Z"])
    storage = Memory()
    ledger = Ledger(DirectSink(storage), lambda: next(times), CODEC)
    for _ in range(3):
        ledger.append(ENTRY)
    assert [json.loads(line)["at"][17:19] for line in storage.data.splitlines()] == ["05", "05", "06"]


def test_synced_is_what_storage_had_promised_when_the_line_was_written() -> None:
    storage = Memory()
    ledger = Ledger(DirectSink(storage), ticking(), CODEC)
    for seq in range(4):
        ledger.append(ENTRY)
        if seq % 2:
            ledger.sync(seq)
    assert [json.loads(line)["synced"] for line in storage.data.splitlines()] == [-1, -1, 1, 1]


def line_of(head: bytes) -> bytes:
    return head + b',"hash":"%b"}\n' % hashlib.sha256(head).hexdigest().encode()


HEAD = compose(0, -1, ZEROS, ENTRY.kind, AT, CODEC.encode(ENTRY))[0][:-76]


def test_a_line_written_by_hand_reads_as_one_composed() -> None:
    (line,) = read_lines(io.BytesIO(line_of(HEAD)), CODEC)
    assert line.entry == ENTRY


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head.replace(b'"subject":"skip"', b'"subject":"retry","subject":"skip"'),
        lambda head: head.replace(b'"subject":', b'"subject": '),
        lambda head: head.replace(b'"skip"', b'"\\u0073kip"'),
        lambda head: head.replace("–".encode(), b"\\u2013"),
        lambda head: head.replace("–".encode(), b"\xff"),
        lambda head: head.replace(b'"value"', b'"kind":"decision","value"'),
        lambda head: head.replace(b'"value":', b'"unknown":'),
        lambda head: head.replace(b'"decision"', b'"decisions"'),
        lambda head: head.replace(b'"seq":0', b'"seq":00'),
        lambda head: head.replace(b'"seq":0', b'"seq":1'),
        lambda head: head.replace(b'"synced":-1', b'"synced":0'),
        lambda head: head.replace(b'"synced":-1', b'"synced":-2'),
        lambda head: head.replace(ZEROS.encode(), b"f" * 64),
        lambda head: head.replace(b".000000Z", b"Z"),
        lambda head: head + b',"hash":"x"',
        lambda head: head.replace(b'"TASK-001",1', b'"TASK-001",1.0'),
        lambda head: head.replace('"why – so"'.encode(), b"[" * 500 + b"]" * 500),
        lambda head: head.replace('"why – so"'.encode(), b"[" * 100_000 + b"]" * 100_000),
        lambda head: b" " + head,
        lambda head: b"\xef\xbb\xbf" + head,
    ],
)
def test_a_line_in_any_other_form_is_refused(change: Callable[[bytes], bytes]) -> None:
    changed = change(HEAD)
    assert changed != HEAD
    with pytest.raises(LedgerInvalid) as caught:
        list(read_lines(io.BytesIO(line_of(changed)), CODEC))
    assert caught.value.line == 1


class Endless(io.RawIOBase):
    """A line that never ends; counts how much of it is read."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # what io passes is a buffer
        self.taken += len(view)
        view[:] = b"x" * len(view)
        return len(view)


def test_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    endless = Endless()
    with pytest.raises(LedgerInvalid, match="longer than any line"):
        verify(io.BufferedReader(endless), CODEC)
    assert endless.taken < 1 << 25
