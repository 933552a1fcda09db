"""Checkpoints of C2SP (c2sp.org/tlog-checkpoint): a signed statement of all lines that a closed ledger has.

A ledger is a log of its own. Its leaves are its lines, each with its LF; its origin is the key's name, a slash and
the run's id, so that no two ledgers share one.
"""

from __future__ import annotations

import base64
import re
from typing import BinaryIO, Final

import attrs

from tek_kernel.ledger import ZEROS
from tek_kernel.lines import chained_lines
from tek_kernel.merkle import TreeHasher
from tek_kernel.note import SigningKey, Unproven, VerifierKey, exact_base64, open_note

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
WHAT: Final = "checkpoint"
RUN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


@attrs.frozen
class Checkpoint:
    """What a checkpoint says: the log, how many leaves it has, and the hash over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the note's text: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text. Lines after the third are left to whoever wrote them. Raises ``Unproven``."""
        lines = text.removesuffix("\n").split("\n")
        origin, size, root = (*lines, "", "")[:3]
        data = exact_base64(root)
        if not all(lines) or not _SIZE.fullmatch(size) or data is None or len(data) != 32:
            raise Unproven(WHAT, "does not have the lines of one: an origin, a number of leaves, a hash in base64")
        return cls(origin, int(size), data)


def origin_of(key: str, run: str) -> str:
    """Return the origin of a run's ledger under the key of that name.

    Raises ``Unproven`` for an id that no run has: what a ledger says of itself must not write lines of a note.
    """
    if not RUN_ID.fullmatch(run):
        raise Unproven("ledger", f"is of a run with an id that none can have: {run[:80]!r}")
    return f"{key}/{run}"


def open_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Return what a checkpoint says that ``key`` has signed for one of its ledgers. Raises ``Unproven``."""
    checkpoint = Checkpoint.parse(open_note(data, key, WHAT))
    if not checkpoint.origin.startswith(f"{key.name}/"):
        raise Unproven(WHAT, f"is of {checkpoint.origin}, which is no ledger of {key.name}")
    return checkpoint


@attrs.frozen
class LedgerTree:
    """The tree over a ledger's lines. ``head`` is the hash of the last of them."""

    size: int
    root: bytes
    head: str

    @classmethod
    def read(cls, file: BinaryIO) -> LedgerTree:
        """Hash a ledger from where ``file`` stands to its end. Raises ``LedgerInvalid`` where the chain breaks."""
        hasher, head = TreeHasher(), ZEROS
        for _, data, head in chained_lines(file):  # noqa: B007  # the last one is the ledger's
            hasher.add(data)
        return cls(hasher.size, hasher.root(), head)

    def sign(self, run: str, head: str, key: SigningKey) -> bytes:
        """Return the checkpoint of a ledger that is known to end with the hash ``head``: the chain up to it is then
        the one that was verified or written. Raises ``Unproven``.
        """
        if self.head != head:
            raise Unproven("ledger", f"was changed since it was verified: it ends with {self.head}, not {head}")
        return key.sign(Checkpoint(origin_of(key.name, run), self.size, self.root).text())

    def hold_to(self, checkpoint: Checkpoint, origin: str) -> None:
        """Raise ``Unproven`` unless this is the tree that was signed for ``origin``."""
        if checkpoint.origin != origin:
            raise Unproven(WHAT, f"is of {checkpoint.origin}, not of {origin}")
        if checkpoint.size != self.size:
            raise Unproven(WHAT, f"covers {checkpoint.size} lines; the ledger has {self.size}")
        if checkpoint.root != self.root:
            raise Unproven(WHAT, "covers other lines: the ledger was rewritten, each line's hash with it")
