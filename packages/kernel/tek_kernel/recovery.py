"""Recovering a ledger that was cut off: what of it holds, and what may be cut (DESIGN section 5).

A crash leaves whole lines and, after them, torn or missing ones that nobody had promised. They may be cut only where
no intact line claims that they were on stable storage, and the run was not closed; else the ledger is damaged.
"""

from __future__ import annotations

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path

import attrs
import orjson

from tek_kernel.ledger import TAIL
from tek_kernel.lines import LedgerInvalid, chained_lines
from tek_kernel.storage import write_atomically


@attrs.frozen
class Tail:
    """Where the intact part of a ledger ends, and the bytes after it, which are to be cut."""

    offset: int
    cut: bytes


def find_tail(data: bytes) -> Tail:
    """Return the end of the chain. Raises ``LedgerInvalid`` where cutting there would lose what was promised."""
    offset, number = 0, 0
    try:
        for number, line, _ in chained_lines(io.BytesIO(data)):  # noqa: B007  # the last one counts
            offset += len(line)
    except LedgerInvalid:
        if _is_promised(data[offset:], number):
            raise
    return Tail(offset, data[offset:])


def _is_promised(rest: bytes, first: int) -> bool:
    """Whether an intact line among the rest says that line ``first``, counted from 0, was safe, or closes the run."""
    for line in rest.splitlines(keepends=True):
        body = _intact(line)
        if body is None:
            continue
        synced = body.get("synced")
        if body.get("kind") == "run.closed" or (type(synced) is int and synced >= first):
            return True
    return False


def _intact(line: bytes) -> dict[str, object] | None:
    head, tail = line[:-TAIL], line[-TAIL:]
    if not tail.startswith(b',"hash":"') or not tail.endswith(b'"}\n'):
        return None
    if hashlib.sha256(head).hexdigest().encode() != tail[9:-3]:
        return None
    with suppress(orjson.JSONDecodeError):
        body = orjson.loads(line)
        return body if isinstance(body, dict) else None
    return None


def keep_cut(directory: Path, cut: bytes) -> tuple[int, str]:
    """Keep what is cut as ``recovered-<n>.bin``, durably. Returns its length and digest. Raises ``OSError``."""
    number = 1
    while os.path.lexists(directory / f"recovered-{number}.bin"):
        number += 1
    write_atomically(directory / f"recovered-{number}.bin", cut)
    return len(cut), hashlib.sha256(cut).hexdigest()
