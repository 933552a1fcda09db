"""What a command writes, kept within its byte budget and outside the runner's memory."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping

from tek_abi import Blob, BlobStore
from tek_effects_proc.scrub import Scrubber

IN_MEMORY = 1024 * 1024
"""Bytes of one stream that are held in memory; more go to a file without a name."""

_PIECE = 64 * 1024


class Capture:
    """One stream of output. ``spill`` is the directory of the nameless file."""

    def __init__(self, spill: str, secrets: Mapping[str, bytes]) -> None:
        self._scrubber = Scrubber(secrets)
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=spill)  # noqa: SIM115  # closed by close()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Keep a piece. Raises ``OSError`` where the disk is full."""
        self._size += self._file.write(self._scrubber.feed(piece))

    def keep(self, blobs: BlobStore) -> Blob:
        """Store what was captured and return its reference. Called once, at the end."""
        self._size += self._file.write(self._scrubber.flush())
        self._file.seek(0)
        if self._size <= IN_MEMORY:
            return blobs.put(self._file.read())
        return blobs.put_stream(iter(lambda: self._file.read(_PIECE), b""))

    def close(self) -> None:
        """Forget what was captured."""
        self._file.close()


class Output:
    """Both streams of a command, which share one limit in bytes with its connections."""

    def __init__(self, limit: int, spill: str, secrets: Mapping[str, bytes]) -> None:
        self.limit = limit
        self.spill = spill
        self.taken = 0
        self.exceeded = False
        self._lock = threading.Lock()
        self.stdout = Capture(spill, secrets)
        self.stderr = Capture(spill, secrets)

    def take(self, source: int, capture: Capture) -> int:
        """Read once from a descriptor that does not block and return how much came; 0 at its end.

        What passes the limit is dropped and sets ``exceeded``. Raises ``BlockingIOError`` where nothing is there.
        """
        piece = os.read(source, min(_PIECE, self.limit - self.taken + 1))
        capture.write(piece[: self.spend(len(piece))])
        return len(piece)

    def spend(self, count: int) -> int:
        """Charge bytes to the limit and return how many of them it covers. Any thread may; sets ``exceeded``."""
        with self._lock:
            covered = min(count, self.limit - self.taken)
            self.taken += covered
            self.exceeded = self.exceeded or covered < count
            return covered

    def close(self) -> None:
        """Forget what was captured."""
        self.stdout.close()
        self.stderr.close()
