"""Storage on disk: the ledger's file and the content-addressed blob store beside it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tek_abi import Blob, TekError
from tek_kernel.ledger import StorageFailed


class LedgerBusy(TekError, OSError):
    """Another process is writing a ledger."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EWOULDBLOCK, "another tek-runner is writing this ledger; wait for it to end", str(path))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class LedgerFile:
    """An append-only file with one writer, for as long as it is open.

    A new one is created exclusively, so that two runs can never share it; ``resumed`` is one that is there, to go on
    with. Without ``durable`` what is written survives the end of this process, but not that of the machine.
    Raises ``OSError``, ``LedgerBusy`` where another process has it.
    """

    def __init__(self, path: Path, resumed: bool = False, durable: bool = True) -> None:
        self._durable = durable
        flags = os.O_RDWR | os.O_NOFOLLOW if resumed else os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._fd = os.open(path, flags | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise LedgerBusy(path) from None
        if not resumed:
            sync_directory(path.parent)

    def read(self) -> bytes:
        """Return all that stands in a resumed ledger."""
        with open(os.dup(self._fd), "rb") as file:
            file.seek(0)
            return file.read()

    def cut(self, size: int) -> None:
        """Leave the first ``size`` bytes, durably."""
        os.ftruncate(self._fd, size)
        os.fsync(self._fd)

    def write(self, data: bytes) -> None:
        """Append all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """Bring what was written to stable storage, unless durability was not asked for."""
        if self._durable:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the descriptor and let the ledger go. Closing twice is closing once."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def sync_directory(path: Path) -> None:
    """Make names created in a directory durable (fsync(2) on the directory)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Make ``path`` hold ``data``, durably and at once: whoever reads it sees all of it, or what was there before.

    Raises ``OSError``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file. Follows no symlink, and waits for no FIFO. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return file.read(status.st_size + 1)


class DiskBlobs:
    """Blobs at ``blobs/sha256/ab/cdef...``: each can be checked with ``sha256sum``.

    Written to a temporary name, synced, renamed: a blob that has its name is whole. Thread-safe.
    """

    def __init__(self, root: Path, durable: bool = True) -> None:
        self._durable = durable
        self._root = root / "sha256"
        self._temporary = itertools.count()
        self._known: set[str] = set()

    def path(self, sha256: str) -> Path:
        """Return where a blob stands. Raises ``ValueError`` for what is not a digest."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return self._root / sha256[:2] / sha256[2:]

    def put(self, data: bytes) -> Blob:
        """Store bytes durably."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in self._known:
            return self._blob(sha256, len(data))
        return self.put_stream((data,))

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Store bytes that come in pieces durably, without holding them all. Raises ``StorageFailed``."""
        try:
            return self._write(chunks)
        except OSError as error:
            raise StorageFailed(error) from error

    def _write(self, chunks: Iterable[bytes]) -> Blob:
        hasher, size = hashlib.sha256(), 0
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = self._root / f"new-{os.getpid()}-{next(self._temporary)}"
        try:
            with open(temporary, "xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    hasher.update(chunk)
                    size += len(chunk)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            sha256 = hasher.hexdigest()
            self._publish(temporary, self.path(sha256))
        finally:
            temporary.unlink(missing_ok=True)
        self._known.add(sha256)
        return self._blob(sha256, size)

    def _publish(self, temporary: Path, target: Path) -> None:
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            self._sync(self._root)
        os.rename(temporary, target)
        self._sync(target.parent)

    def _sync(self, directory: Path) -> None:
        if self._durable:
            sync_directory(directory)

    def get(self, sha256: str) -> bytes:
        """Return a blob's bytes, checked. Raises ``LookupError`` when it is missing or damaged."""
        try:
            data = _read_regular(self.path(sha256))
        except (OSError, ValueError) as error:
            raise LookupError(f"blob {sha256} is missing: {error}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise LookupError(f"blob {sha256} is damaged: its bytes have another digest")
        return data

    def _blob(self, sha256: str, size: int) -> Blob:
        return Blob(sha256, size, lambda: self.get(sha256), self)
