"""Group commit: order kept, syncs shared, and nothing called synced before storage said so."""

from __future__ import annotations

import errno
import threading

import pytest

from tek_kernel import GroupCommit, StorageFailed


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


def test_closing_twice_is_closing_once() -> None:
    storage = Slow()
    storage.gate.set()
    sink = GroupCommit(storage)
    sink.push(0, line(0))
    sink.close()
    sink.close()
    assert (storage.durable, storage.syncs) == (1, 1)
