"""Reading and writing through descriptors that several processes hold: none moves another's offset."""

from __future__ import annotations

import os

_PIECE = 1 << 20


def read_all(fd: int) -> bytes:
    """Return all of a file."""
    pieces: list[bytes] = []
    offset = 0
    while piece := os.pread(fd, _PIECE, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data`` at the offset."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def identity_of(fd: int) -> tuple[int, int]:
    """Return the device and inode of what is open, which nothing else has for as long as it is."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
