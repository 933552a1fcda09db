"""Blob: bytes named by their SHA-256. File contents, bodies and captured output are blobs, never inline text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

_SHA256 = re.compile(r"[0-9a-f]{64}")


def _is_sha256(_: object, __: object, value: str) -> None:
    if _SHA256.fullmatch(value) is None:
        raise ValueError(f"not a SHA-256 in lowercase hex: {value!r}")


@attrs.frozen
class Blob:
    """A reference to bytes in the content-addressed store, or to bytes still in memory.

    Equality is by digest and size, so a blob read back from a ledger equals the one that was written.
    ``size`` is in bytes. ``store`` is the store that vouches for having the bytes, ``None`` for all others.
    """

    sha256: str = attrs.field(validator=_is_sha256)
    size: int = attrs.field(validator=attrs.validators.ge(0))
    load: Callable[[], bytes] | None = attrs.field(default=None, eq=False, repr=False)
    store: BlobStore | None = attrs.field(default=None, eq=False, repr=False)

    @classmethod
    def of(cls, data: bytes) -> Blob:
        """Name bytes that are in memory; the broker stores them when the request is made."""
        return cls(hashlib.sha256(data).hexdigest(), len(data), lambda: data)

    def read(self) -> bytes:
        """Return the bytes. Raises ``LookupError`` where the blob is a bare reference with no store behind it."""
        if self.load is None:
            raise LookupError(f"blob {self.sha256} has no store behind it")
        return self.load()

    def text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes decoded as text."""
        return self.read().decode(encoding, errors)


class BlobStore(Protocol):
    """A content-addressed store (DESIGN section 5). What it returns has been checked against its digest."""

    def put(self, data: bytes) -> Blob:
        """Keep ``data`` and return its reference. Storing the same bytes twice keeps one copy."""
        ...

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Keep bytes that come in pieces, for those that are too many to hold at once."""
        ...

    def get(self, sha256: str) -> bytes:
        """Return the bytes named ``sha256``. Raises ``LookupError`` when they are missing or damaged."""
        ...


@attrs.frozen(eq=False)
class MemoryBlobs:
    """A store in memory, for tests, dry tools and replays of small ledgers."""

    blobs: dict[str, bytes] = attrs.field(factory=dict)

    def put(self, data: bytes) -> Blob:
        """Keep ``data`` in memory."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.blobs.setdefault(sha256, data)
        return Blob(sha256, len(data), lambda: self.get(sha256), self)

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Keep the joined ``chunks`` in memory."""
        return self.put(b"".join(chunks))

    def get(self, sha256: str) -> bytes:
        """Return what was put under this digest."""
        try:
            return self.blobs[sha256]
        except KeyError:
            raise LookupError(f"blob {sha256} is missing") from None
