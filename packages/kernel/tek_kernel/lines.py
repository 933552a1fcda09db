"""Reading a ledger's lines: the chain is checked on raw bytes, each line in constant memory (DESIGN section 5)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import attrs
import orjson

from tek_abi import FRAME, KINDS, Codec, DecodeError, Entry, Instant, TekError
from tek_abi.permit import INSTANT
from tek_kernel.ledger import TAIL, ZEROS

MAX_LINE: Final = 1 << 24
"""Bytes of the longest line that is read. Values of over 4 KiB stand in blobs, so real lines are far shorter."""

_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n')
_FRAME: Final = re.compile(
    rb'\{"seq":(0|[1-9][0-9]{0,15}),"synced":(-1|0|[1-9][0-9]{0,15}),"prev":"([0-9a-f]{64})","kind":"'
)


@attrs.define(str=False)
class LedgerInvalid(TekError, ValueError):
    """A ledger is damaged or unfinished. ``line`` counts from 1; ``expected`` and ``actual`` say what differs.

    ``unfinished`` is set where every line holds but the run's last line is missing: a crash, or a cut at a line's end.
    """

    line: int
    problem: str
    expected: str = ""
    actual: str = ""
    unfinished: bool = False
    task: str = ""
    position: str = ""

    def __str__(self) -> str:
        differs = f" (expected {self.expected}, found {self.actual})" if self.expected or self.actual else ""
        return f"line {self.line}: {self.problem}{differs}"


@attrs.frozen
class Line:
    """One verified line. ``number`` counts from 1, ``hash`` is its chain hash in hex.

    ``raw`` is what it says; ``refers`` whether that can name blobs.
    """

    number: int
    at: Instant
    entry: Entry
    hash: str
    raw: dict[str, Any]
    refers: bool


def read_lines(file: BinaryIO, codec: Codec) -> Iterator[Line]:
    """Yield each line of a ledger once its hash, frame and schema hold. Raises ``LedgerInvalid`` at the first that
    does not. Whether the last line ends a run is the caller's to check.
    """
    at = ""
    for number, data, sha256 in chained_lines(file):
        body = _parse(data, number)
        if not isinstance(body.get("at"), str) or not INSTANT.fullmatch(body["at"]) or body["at"] < at:
            raise LedgerInvalid(number, "its time is missing or before the line above", at, str(body.get("at")))
        at = body["at"]
        # The line has the one spelling of its content, so that a name stands in it as it is or not at all.
        yield Line(number, at, _entry(body, number, codec), sha256, body, b'"$' in data)


def chained_lines(file: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """Yield each line's number, bytes and hash once its hash and its frame hold: the chain, without what it says.

    Raises ``LedgerInvalid`` at the first that does not.
    """
    prev, number, synced = ZEROS, 0, -1
    while data := file.readline(MAX_LINE + 1):
        number += 1
        sha256 = _check_hash(data, number)
        synced = _check_frame(data, number, prev, synced)
        yield number, data, sha256
        prev = sha256


def _check_hash(data: bytes, number: int) -> str:
    if not data.endswith(b"\n"):
        problem = "is longer than any line of a ledger" if len(data) > MAX_LINE else "is cut short: it has no line end"
        raise LedgerInvalid(number, problem)
    match = _TAIL.fullmatch(data[-TAIL:])
    if match is None:
        raise LedgerInvalid(number, "does not end with its hash", ',"hash":"<64 hex digits>"}', _shown(data[-TAIL:]))
    actual = hashlib.sha256(data[:-TAIL]).hexdigest()
    if match[1].decode() != actual:
        raise LedgerInvalid(number, "was changed: its hash does not match its bytes", match[1].decode(), actual)
    return actual


def _check_frame(data: bytes, number: int, prev: str, synced: int) -> int:
    match = _FRAME.match(data)
    if match is None:
        raise LedgerInvalid(number, "does not start with seq, synced, prev and kind", actual=_shown(data[:80]))
    if int(match[1]) != number - 1:
        raise LedgerInvalid(
            number,
            "is out of order: lines were dropped, repeated or moved",
            f"seq {number - 1}",
            f"seq {match[1].decode()}",
        )
    if match[3].decode() != prev:
        raise LedgerInvalid(number, "does not follow the line above", f"prev {prev}", f"prev {match[3].decode()}")
    known = int(match[2])
    if not synced <= known < number - 1 and known != -1:
        raise LedgerInvalid(number, "claims a synced entry that cannot be", f"{synced} to {number - 2}", str(known))
    return known


def _parse(data: bytes, number: int) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise LedgerInvalid(number, f"is not JSON: {error}") from None
    if list(body)[:5] != list(FRAME[:5]) or list(body)[-1] != "hash":
        raise LedgerInvalid(number, "has its frame's fields in another order", ", ".join(FRAME), ", ".join(body))
    if not _is_canonical(data, body):
        raise LedgerInvalid(number, "is not written as the ledger writes: a field is repeated, or spelt otherwise")
    return body  # type: ignore[no-any-return]  # a line that starts with its frame is an object


def _is_canonical(data: bytes, body: dict[str, Any]) -> bool:
    """Whether a line has the one form that its content has. Readers of JSON differ over repeated fields: no line may
    say one thing to one of them and another to the next.
    """
    try:
        return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) == data
    except orjson.JSONEncodeError:
        return False


def _entry(body: dict[str, Any], number: int, codec: Codec) -> Entry:
    kind = KINDS.get(body["kind"])
    if kind is None:
        raise LedgerInvalid(number, f"has an unknown kind {body['kind']!r}", ", ".join(KINDS))
    fields = {name: value for name, value in body.items() if name not in FRAME}
    try:
        entry: Entry = codec.decode(fields, kind)
    except DecodeError as error:
        raise LedgerInvalid(number, f"is not a valid {body['kind']}: {error}") from None
    return entry


def _shown(data: bytes) -> str:
    return repr(data[-40:])
