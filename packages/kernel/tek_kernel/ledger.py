"""The ledger: hash-chained JSON lines, written by one writer with group commit (DESIGN section 5).

``Ledger`` composes lines and keeps the chain; a ``Sink`` brings them to storage. Both the clock and the storage
come in as arguments.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Final, Protocol

import orjson

from tek_abi import Codec, Entry, Instant, TekError, Value

ZEROS: Final = "0" * 64
TAIL: Final = 76
"""Bytes of ``,"hash":"``, 64 hex digits, ``"}`` and LF: what closes every line."""

_NO_BODY: Final[dict[str, Value]] = {}


class Storage(Protocol):
    """Where lines go: an append-only file. Both methods raise ``OSError``."""

    def write(self, data: bytes) -> None:
        """Append all of ``data``."""
        ...

    def sync(self) -> None:
        """Return once everything written is on stable storage (fdatasync(2))."""
        ...


class Sink(Protocol):
    """Takes lines in order and knows how far they are on stable storage."""

    synced: int
    failure: StorageFailed | None

    def push(self, seq: int, line: bytes) -> None:
        """Take one line."""
        ...

    def sync(self, seq: int) -> None:
        """Ask for lines up to ``seq`` to be made durable; does not wait."""
        ...

    def flush(self) -> None:
        """Write and sync everything, and wait until it is. Raises ``StorageFailed``."""
        ...

    def close(self) -> None:
        """Write and sync everything, then stop. Raises ``StorageFailed``."""
        ...


class StorageFailed(TekError, OSError):
    """The ledger or a blob could not be written: the disk is full, read-only or broken. What ``synced`` promised is
    safe. ``cause`` is the OS's word.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(getattr(cause, "errno", None), getattr(cause, "strerror", None) or str(cause))
        self.cause = cause

    def __str__(self) -> str:
        return f"the run directory cannot be written: {self.cause}"


class DirectSink:
    """Writes and syncs at once, on the caller's thread: for tests and small tools."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._pushed = self.synced = -1
        self.failure: StorageFailed | None = None

    def push(self, seq: int, line: bytes) -> None:
        """Write one line. Raises ``StorageFailed``, as all here do."""
        self._do(lambda: self._storage.write(line))
        self._pushed = seq

    def sync(self, seq: int) -> None:
        """Sync now."""
        self._do(self._storage.sync)
        self.synced = seq

    def flush(self) -> None:
        """Sync what is written."""
        if self._pushed > self.synced:
            self.sync(self._pushed)

    def close(self) -> None:
        """Sync what is written."""
        self._do(self._storage.sync)

    def _do(self, action: Callable[[], object]) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            action()
        except Exception as error:
            self.failure = StorageFailed(error)
            raise self.failure from error


class GroupCommit:
    """One thread that writes what has gathered and syncs once for all who wait.

    ``notify`` is called on that thread after each sync, and once if storage fails. ``synced`` is the last line that
    stands there already.
    """

    _FULL = 1 << 18

    def __init__(self, storage: Storage, notify: Callable[[], None] = lambda: None, synced: int = -1) -> None:
        self._storage = storage
        self._notify = notify
        self._lock = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0
        self._pushed = self._wanted = self.synced = synced
        self._closing = False
        self.failure: StorageFailed | None = None
        self._thread = threading.Thread(target=self._run, name="tek-ledger", daemon=True)
        self._thread.start()

    def push(self, seq: int, line: bytes) -> None:
        """Take one line; it is written with the next sync or when enough has gathered."""
        with self._lock:
            if self.failure is not None:
                return
            self._lines.append(line)
            self._size += len(line)
            self._pushed = seq
            if self._size >= self._FULL:
                self._lock.notify_all()
                # Whoever makes lines faster than storage takes them waits here, so memory stays bounded.
                while self._size >= 4 * self._FULL and self.failure is None:
                    self._lock.wait()

    def sync(self, seq: int) -> None:
        """Ask for lines up to ``seq`` to be made durable."""
        with self._lock:
            if seq > self._wanted:
                self._wanted = seq
                self._lock.notify_all()

    def flush(self) -> None:
        """Write and sync everything that was taken, and wait until it is."""
        with self._lock:
            self._wanted = max(self._wanted, self._pushed)
            self._lock.notify_all()
            while self.synced < self._wanted and self.failure is None:
                self._lock.wait()
            if self.failure is not None:
                raise self.failure

    def close(self) -> None:
        """Write and sync everything, stop the thread. Raises ``StorageFailed``."""
        with self._lock:
            self._closing = True
            self._wanted = max(self._wanted, self._pushed)
            self._lock.notify_all()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        while True:
            with self._lock:
                while not (self._closing or self._wanted > self.synced or self._size >= self._FULL):
                    self._lock.wait()
                lines, self._lines, self._size = self._lines, [], 0
                through, sync, closing = self._pushed, self._wanted > self.synced, self._closing
                self._lock.notify_all()
            try:
                if lines:
                    self._storage.write(b"".join(lines))
                if sync:
                    self._storage.sync()
            except BaseException as error:
                # Whatever storage raises ends this thread, and those who wait for it must hear that it does no more.
                with self._lock:
                    self.failure = StorageFailed(error)
                    self._lock.notify_all()
                self._notify()
                return
            if sync:
                with self._lock:
                    self.synced = through
                    self._lock.notify_all()
                self._notify()
            if closing and not self._lines:
                return


class Ledger:
    """Composes lines and keeps the chain. Used by one thread.

    ``clock`` returns the time in UTC as a fixed-width instant; a clock that goes back is held at the last entry's.
    ``watch`` is told of every entry once it is in line.
    """

    def __init__(
        self,
        sink: Sink,
        clock: Callable[[], Instant],
        codec: Codec,
        seq: int = 0,
        head: str = ZEROS,
        at: Instant = "",
        watch: Callable[[Entry, Instant], None] = lambda entry, at: None,
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._codec = codec
        self._seq = seq
        self.head = head
        self._at = at
        self._watch = watch

    def now(self) -> Instant:
        """Return the time for the next entry: never before the one above it."""
        self._at = max(self._clock(), self._at)
        return self._at

    def append(self, entry: Entry, at: Instant | None = None) -> int:
        """Add an entry and return its ``seq``. ``at`` is an instant that ``now`` has just returned."""
        seq, at = self._seq, at or self.now()
        line, self.head = compose(seq, self._sink.synced, self.head, entry.kind, at, self._codec.encode_entry(entry))
        self._sink.push(seq, line)
        self._seq = seq + 1
        self._watch(entry, at)
        return seq

    def check(self) -> None:
        """Raise ``StorageFailed`` if storage has given up."""
        if self._sink.failure is not None:
            raise self._sink.failure

    @property
    def synced(self) -> int:
        """The last seq known to be on stable storage; -1 for none."""
        return self._sink.synced

    def sync(self, seq: int) -> None:
        """Ask for entries up to ``seq`` to be made durable; does not wait."""
        self._sink.sync(seq)

    def append_last(self, entry: Entry) -> int:
        """Add the entry that closes the run once everything before it is durable, so that what is missing before it
        is never taken for a torn end. Raises ``StorageFailed``.
        """
        self._sink.flush()
        return self.append(entry)

    def close(self) -> None:
        """Make everything durable and stop writing. Raises ``StorageFailed``."""
        self._sink.close()


def compose(seq: int, synced: int, prev: str, kind: str, at: Instant, body: Value) -> tuple[bytes, str]:
    """Return one line of a ledger and its hash."""
    fields = body if isinstance(body, dict) else _NO_BODY
    frame = {"seq": seq, "synced": synced, "prev": prev, "kind": kind, "at": at, **fields}
    head = orjson.dumps(frame)[:-1]
    sha256 = hashlib.sha256(head).hexdigest()
    return b'%b,"hash":"%b"}\n' % (head, sha256.encode()), sha256
