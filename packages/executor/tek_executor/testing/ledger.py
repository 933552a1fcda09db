"""A ledger in memory, as a run left it."""

from __future__ import annotations

import errno
import io
import os
from typing import TypeVar

import attrs

from tek_abi import Codec, EffectIntent, EffectOutcome, Entry, MemoryBlobs, TaskEnded
from tek_kernel import LedgerInvalid, Line, Verification, read_lines, verify

E = TypeVar("E", bound=Entry)


@attrs.define(eq=False)
class Kept:
    """A blob store with its codec, for all runs of one world: what a codec learns of a type takes longer than a run."""

    blobs: MemoryBlobs = attrs.field(factory=MemoryBlobs)
    codec: Codec = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.codec = Codec(self.blobs)


@attrs.define(eq=False)
class MemoryLedger:
    """The bytes of one ledger with its blobs. It is a ``Storage``; with ``lines_left`` it fails once those are written,
    as a disk does whose machine stops.
    """

    data: bytearray = attrs.field(factory=bytearray)
    kept: Kept = attrs.field(factory=Kept)
    lines_left: int | None = None
    _read: tuple[Line, ...] = attrs.field(default=(), init=False)
    _read_bytes: int = attrs.field(default=0, init=False)

    def write(self, data: bytes) -> None:
        """Append. Raises ``OSError`` past the last line that there is room for."""
        for line in data.splitlines(keepends=True):
            if self.lines_left is not None:
                if self.lines_left == 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                self.lines_left -= 1
            self.data += line

    def sync(self) -> None:
        """Nothing that was written is ever lost here."""

    @property
    def codec(self) -> Codec:
        """The codec of the blobs."""
        return self.kept.codec

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, each checked. Raises ``LedgerInvalid``."""
        if self._read_bytes != len(self.data):
            self._read = tuple(read_lines(io.BytesIO(bytes(self.data)), self.codec))
            self._read_bytes = len(self.data)
        return self._read

    @property
    def entries(self) -> list[Entry]:
        """What the lines hold."""
        return [line.entry for line in self.lines]

    def of(self, kind: type[E]) -> list[E]:
        """Return the entries of one kind: ``ledger.of(EffectIntent)``."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def intents(self, effect: str = "") -> list[EffectIntent]:
        """Return the requests on record with their decisions: all, or those for one effect."""
        return [intent for intent in self.of(EffectIntent) if effect in ("", intent.envelope.effect)]

    def outcomes(self, effect: str = "") -> list[EffectOutcome]:
        """Return how requests ended: all, or those for one effect."""
        wanted = {intent.position for intent in self.intents(effect)}
        return [outcome for outcome in self.of(EffectOutcome) if outcome.position in wanted]

    def ended(self, task: str) -> TaskEnded:
        """Return a task's last word. Raises ``LookupError`` where it has none."""
        for entry in self.of(TaskEnded):
            if entry.task == task:
                return entry
        raise LookupError(f"{task} has not ended")

    def verify(self) -> Verification:
        """Verify the whole ledger. Raises ``LedgerInvalid``."""
        return verify(io.BytesIO(bytes(self.data)), self.codec)

    def become(self, other: MemoryLedger) -> None:
        """Hold the lines of another ledger from now on."""
        self.data, self._read_bytes = other.data, 0

    def cut(self, lines: int) -> MemoryLedger:
        """Return the ledger as it was when so many lines stood in it."""
        kept = bytes(self.data).splitlines(keepends=True)[:lines]
        return MemoryLedger(bytearray(b"".join(kept)), self.kept)

    def damage(self, at: int, bits: int) -> LedgerInvalid | None:
        """Return what a verification says once the byte at ``at`` is changed by ``bits``."""
        data = bytearray(self.data)
        data[at] ^= bits
        try:
            verify(io.BytesIO(bytes(data)), self.codec)
        except LedgerInvalid as found:
            return found
        return None
