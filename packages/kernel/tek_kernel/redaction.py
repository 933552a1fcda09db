"""Redaction: a blob's bytes give way to a tombstone that says so, and the ledger that names them stays as it is.

A tombstone stands beside where the blob stood, as text or, under a ledger with a checkpoint, as a note signed by the
same key (DESIGN section 5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from tek_abi import Blob, Instant, TekError
from tek_abi.permit import INSTANT
from tek_kernel.checkpoint import RUN_ID
from tek_kernel.ledger import StorageFailed
from tek_kernel.note import SigningKey, Unproven, VerifierKey, open_note
from tek_kernel.storage import DiskBlobs, sync_directory, write_atomically

SUFFIX: Final = ".redacted"
MAX_REASON: Final = 1000
"""Characters of the longest reason."""

_MAX_TOMBSTONE: Final = 1 << 16
_HEADER: Final = "tek redaction v1"
_TEXT: Final = re.compile(
    rf"{_HEADER}\nrun (?P<run>{RUN_ID.pattern})\nblob (?P<sha256>[0-9a-f]{{64}})\nsize (?P<size>0|[1-9][0-9]{{0,15}})\n"
    rf"at (?P<at>\S+)\nreason (?P<reason>[^\n]+)\n"
)


@attrs.frozen
class Tombstone:
    """What stands for a redacted blob. ``run`` is the id of the run whose ledger names it, ``size`` its bytes."""

    run: str
    sha256: str
    size: int
    at: Instant
    reason: str

    def text(self) -> str:
        """Return the tombstone as six lines of text. Raises ``ValueError`` for a field that would make others."""
        fields = f"run {self.run}\nblob {self.sha256}\nsize {self.size}\nat {self.at}\nreason {self.reason}\n"
        text = f"{_HEADER}\n{fields}"
        if Tombstone.parse(text) != self:
            raise ValueError("a tombstone's fields are single lines: a run's id, a digest, a time, a reason")
        return text

    @classmethod
    def parse(cls, text: str) -> Tombstone | None:
        """Read a tombstone's text; ``None`` if it is none."""
        match = _TEXT.fullmatch(text)
        if match is None or not INSTANT.fullmatch(match["at"]):
            return None
        return cls(match["run"], match["sha256"], int(match["size"]), match["at"], match["reason"])


@attrs.define(str=False)
class Redacted(TekError, LookupError):
    """A blob was asked for that is redacted. ``signed`` says whether its tombstone's signature was checked."""

    tombstone: Tombstone
    signed: bool

    def __str__(self) -> str:
        return f"blob {self.tombstone.sha256} was redacted at {self.tombstone.at}: {self.tombstone.reason}"


@attrs.define(str=False)
class TombstoneInvalid(TekError, LookupError):
    """What stands in a blob's place is no tombstone of it that counts."""

    sha256: str
    problem: str

    def __str__(self) -> str:
        return f"the tombstone of blob {self.sha256} {self.problem}"


class RecordedBlobs(DiskBlobs):
    """The blobs of a run that is over, some of which may be redacted. Nothing is added to them: what an agent makes
    again in a replay is kept in memory.

    ``run`` is the run's id. Where ``key`` is given, a tombstone counts only if that key has signed it. ``asked``
    holds the redacted blobs that were asked for since it was last cleared.
    """

    def __init__(self, root: Path, run: str, key: VerifierKey | None = None) -> None:
        super().__init__(root)
        self._run = run
        self._key = key
        self._made: dict[str, bytes] = {}
        self.asked: list[Redacted] = []

    def put(self, data: bytes) -> Blob:
        """Name bytes, and keep them in memory where they do not stand on disk."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.path(sha256).exists():
            self._made[sha256] = data
        return self._blob(sha256, len(data))

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Name bytes that come in pieces."""
        return self.put(b"".join(chunks))

    def get(self, sha256: str) -> bytes:
        """Return a blob's bytes, checked. Raises ``Redacted``, else ``LookupError``."""
        if sha256 in self._made:
            return self._made[sha256]
        redacted = self.tombstone(sha256)
        if redacted is None:
            return super().get(sha256)
        if self.path(sha256).exists():
            raise TombstoneInvalid(sha256, "stands beside the blob itself: redact it again to finish")
        self.asked.append(redacted)
        raise redacted

    def tombstone(self, sha256: str) -> Redacted | None:
        """Return the tombstone of a blob, checked, or ``None`` if there is none. Raises ``TombstoneInvalid``."""
        try:
            with open(self._tombstone(sha256), "rb") as file:
                data = file.read(_MAX_TOMBSTONE)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise TombstoneInvalid(sha256, f"cannot be read: {error}") from None
        try:
            text = open_note(data, self._key, "tombstone") if self._key is not None else _unchecked(data)
        except (UnicodeDecodeError, Unproven) as error:
            raise TombstoneInvalid(sha256, str(error).removeprefix("the tombstone ")) from None
        found = Tombstone.parse(text)
        if found is None or (found.sha256, found.run) != (sha256, self._run):
            raise TombstoneInvalid(sha256, f"is not one of run {self._run}, or was changed")
        return Redacted(found, self._key is not None)

    def redact(self, tombstone: Tombstone, key: SigningKey | None) -> None:
        """Put a tombstone in its blob's place. The tombstone is durable before the blob goes.

        Raises ``StorageFailed``. Doing it twice finishes what was cut off in between.
        """
        text = tombstone.text()
        try:
            path = self._tombstone(tombstone.sha256)
            write_atomically(path, text.encode() if key is None else key.sign(text))
            self.path(tombstone.sha256).unlink(missing_ok=True)
            sync_directory(path.parent)
        except OSError as error:
            raise StorageFailed(error) from None

    def tombstones(self) -> Iterator[str]:
        """Yield the digest of every blob that has a tombstone, in order."""
        for path in sorted(self._root.glob(f"??/*{SUFFIX}")):
            yield path.parent.name + path.name.removesuffix(SUFFIX)

    def _tombstone(self, sha256: str) -> Path:
        path = self.path(sha256)
        return path.with_name(path.name + SUFFIX)


def _unchecked(data: bytes) -> str:
    """Return a tombstone's text where nobody knows a key: what stands under it, if anything, is not looked at."""
    text, blank, _ = data.decode().partition("\n\n")
    return f"{text}\n" if blank else text
