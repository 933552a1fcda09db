"""Inclusion proofs of C2SP (c2sp.org/tlog-proof): that one line is in a ledger which a key has signed.

A proof carries its line as the format's ``extra`` data, so that it can be checked with a public key alone; what it
says of the line counts only because the line's hash leads to the signed root.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final

import attrs

from tek_kernel.checkpoint import Checkpoint, open_checkpoint
from tek_kernel.merkle import inclusion_path, leaf_hash, root_of_path
from tek_kernel.note import Unproven, VerifierKey, exact_base64

HEADER: Final = "c2sp.org/tlog-proof@v1"
WHAT: Final = "proof"
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_PATH: Final = 64


@attrs.frozen
class InclusionProof:
    """One proof. ``index`` counts lines from 0; ``path`` are hashes of 32 bytes from the leaf's sibling upward;
    ``checkpoint`` is the signed note as it was written; ``line`` is the proven line, with its LF.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    line: bytes

    @classmethod
    def of(cls, lines: Sequence[bytes], index: int, line: bytes, checkpoint: bytes) -> InclusionProof:
        """Prove the line at ``index``; ``lines`` are the hashes of all leaves. Raises ``IndexError``."""
        return cls(index, inclusion_path(lines, index), checkpoint, line)

    def encode(self) -> bytes:
        """Return the proof's bytes."""
        words = [HEADER, f"extra {_base64(self.line)}", f"index {self.index}", *map(_base64, self.path), ""]
        return "\n".join(words).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> InclusionProof:
        """Read a proof; whether it holds is for ``verify`` to say. Raises ``Unproven``."""
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            header, lines = "", []
        if header != HEADER or not blank:
            raise Unproven(WHAT, f"is not one: it starts with {HEADER} and ends with a checkpoint")
        extra = lines.pop(0) if lines and lines[0].startswith("extra ") else ""
        index = lines.pop(0) if lines else ""
        number = index.removeprefix("index ")
        if not index.startswith("index ") or not _INDEX.fullmatch(number):
            raise Unproven(WHAT, "does not say which line it is of: 'index' and a number")
        path = [exact_base64(line) for line in lines]
        hashes = tuple(item for item in path if item is not None and len(item) == 32)
        if len(hashes) != len(path) or len(path) > _MAX_PATH:
            raise Unproven(WHAT, "has a line in its path that is no SHA-256 in base64, or too many of them")
        line = exact_base64(extra.removeprefix("extra "))
        if line is None:
            raise Unproven(WHAT, "has extra data that is not base64")
        return cls(int(number), hashes, checkpoint, line)

    def verify(self, key: VerifierKey, line: bytes | None = None) -> Checkpoint:
        """Return the checkpoint, signed by ``key``, that covers the proof's line. Raises ``Unproven``.

        ``line`` is the line that must be the proven one, byte by byte; a proof without a line needs it.
        """
        proven = self.line or line
        if not proven:
            raise Unproven(WHAT, "does not hold its line; name it with --line-file")
        if line is not None and line != proven:
            hint = ": it lacks the LF at its end" if line + b"\n" == proven else ""
            raise Unproven(WHAT, f"is of another line than the one given{hint}")
        checkpoint = open_checkpoint(self.checkpoint, key)
        root = root_of_path(leaf_hash(proven), self.index, checkpoint.size, self.path)
        if root != checkpoint.root:
            raise Unproven(WHAT, f"does not lead from its line to the root that {key.name} has signed")
        return checkpoint


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
