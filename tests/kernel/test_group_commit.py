"""Group commit: order kept, syncs shared, and nothing called synced before storage said so."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pytest

from tek_kernel import DirectSink, GroupCommit, StorageFailed


class Slow:
    """Storage whose sync waits for ``gate``; knows what is durable."""

    def __init__(self) -> None:
        self.gate, self.entered = threading.Event(), threading.Event()
        self.written: list[bytes] = []
        self.durable = self.syncs = 0

    def write(self, data: bytes) -> None:
        self.written += data.splitlines(keepends=True)

    def sync(self) -> None:
        through = len(self.written)
        self.entered.set()
        assert self.gate.wait(20)
        self.durable, self.syncs = through, self.syncs + 1


class Full(Slow):
    def write(self, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Broken(Slow):
    def sync(self) -> None:
        raise OSError(errno.EIO, "Input/output error")


class Raising(Slow):
    """Storage that raises, once the gate is open, what no one expects of storage."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def sync(self) -> None:
        self.entered.set()
        assert self.gate.wait(20)
        raise self.error


def line(seq: int) -> bytes:
    return b"%d\n" % seq


def test_all_that_wait_share_one_sync() -> None:
    storage = Slow()
    sink = GroupCommit(storage)
    sink.push(0, line(0))
    sink.sync(0)
    assert storage.entered.wait(20)
    for seq in range(1, 100):
        sink.push(seq, line(seq))
        sink.sync(seq)
    storage.gate.set()
    sink.close()
    assert storage.written == [line(seq) for seq in range(100)]
    assert (storage.syncs, sink.synced) == (2, 99)


def test_nothing_counts_as_synced_before_storage_returned() -> None:
    storage, seen = Slow(), threading.Event()
    sink = GroupCommit(storage, seen.set)
    sink.push(0, line(0))
    sink.sync(0)
    assert storage.entered.wait(20)
    assert (sink.synced, seen.is_set()) == (-1, False)
    storage.gate.set()
    assert seen.wait(20)
    assert sink.synced == 0
    sink.close()


def test_what_is_synced_is_durable_at_every_moment() -> None:
    storage = Slow()
    wrong: list[int] = []
    storage.gate.set()
    sink = GroupCommit(storage, lambda: wrong.append(1) if sink.synced >= storage.durable else None)
    for seq in range(2000):
        sink.push(seq, line(seq))
        if seq % 7 == 0:
            sink.sync(seq)
        assert sink.synced < max(storage.durable, 1)
    sink.close()
    assert not wrong
    assert storage.written == [line(seq) for seq in range(2000)]


def test_a_writer_faster_than_storage_waits_and_memory_stays_bounded() -> None:
    storage, pushed = Slow(), []
    sink = GroupCommit(storage)
    sink.push(0, line(0))
    sink.sync(0)
    assert storage.entered.wait(20)

    def write() -> None:
        for seq in range(1, 101):
            sink.push(seq, b"x" * 65_535 + b"\n")
            pushed.append(seq)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    assert len(pushed) <= 4 * GroupCommit._FULL // 65_536
    storage.gate.set()
    writer.join(20)
    sink.close()
    assert len(storage.written) == 101


@pytest.mark.parametrize("storage", [Full(), Broken()])
def test_failing_storage_is_told_and_raised_at_close(storage: Slow) -> None:
    told = threading.Event()
    sink = GroupCommit(storage, told.set)
    sink.push(0, line(0))
    sink.sync(0)
    assert told.wait(20)
    assert isinstance(sink.failure, StorageFailed)
    for seq in range(1, 40):
        sink.push(seq, b"x" * 65_536)
    with pytest.raises(StorageFailed):
        sink.close()
    assert sink.synced == -1


@pytest.mark.parametrize("error", [RuntimeError("a defect"), MemoryError(), OSError(5, "EIO"), SystemExit(1)])
def test_whatever_storage_raises_reaches_everyone_who_waits(error: BaseException) -> None:
    storage, told = Raising(error), threading.Event()
    sink = GroupCommit(storage, told.set)
    sink.push(0, line(0))
    sink.sync(0)
    assert storage.entered.wait(20)

    def write() -> None:
        for seq in range(1, 101):
            sink.push(seq, b"x" * 65_535 + b"\n")

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.05)
    assert writer.is_alive(), "a writer waits for room"
    storage.gate.set()

    writer.join(20)
    assert not writer.is_alive()
    assert told.wait(20)
    with pytest.raises(StorageFailed) as caught:
        sink.close()
    assert caught.value.cause is error
    assert (sink.synced, sink.failure) == (-1, caught.value)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), MemoryError(), OSError(5, "EIO")])
def test_a_direct_sink_says_that_storage_failed_whatever_it_raised(error: Exception) -> None:
    storage = Raising(error)
    storage.gate.set()
    sink = DirectSink(storage)
    sink.push(0, line(0))
    uses: list[Callable[[], None]] = [lambda: sink.sync(0), lambda: sink.push(1, line(1)), sink.close]
    for use in uses:
        with pytest.raises(StorageFailed) as caught:
            use()
        assert caught.value.cause is error
    assert sink.synced == -1
    assert storage.written == [line(0)]


def test_closing_twice_is_closing_once() -> None:
    storage = Slow()
    storage.gate.set()
    sink = GroupCommit(storage)
    sink.push(0, line(0))
    sink.close()
    sink.close()
    assert (storage.durable, storage.syncs) == (1, 1)
