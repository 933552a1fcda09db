"""fs.read, fs.list and fs.stat."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

import pytest

from tek_abi import Blob, Budget, Caveat, MemoryBlobs
from tek_abi.vocabulary import fs
from tek_effects_fs import reading
from tek_effects_fs.meter import CHUNK
from tek_kernel.effect import Cancel, EffectCancelled, EffectError, EffectRefused
from tests.effects_fs.workbench import EVERYTHING, Workbench, permit


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 7])
def test_a_read_returns_the_bytes_as_a_blob_and_charges_them(bench: Workbench, size: int) -> None:
    data = os.urandom(size)
    (bench.workspace / "a").write_bytes(data)
    applied = bench.ask(fs.Read("a"))
    assert applied.value == Blob.of(data)
    assert applied.value.read() == data
    assert applied.usage == Budget(io=size)


def test_a_read_works_by_its_absolute_path_too(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"here")
    assert bench.read(f"{bench.workspace}/a") == b"here"


def test_what_is_missing_is_not_found(bench: Workbench) -> None:
    for request in (fs.Read("a"), fs.List("a"), fs.Stat("a"), fs.Read("no/such/a")):
        with pytest.raises(EffectError, match=f"{request.path}: is not there") as caught:
            bench.ask(request)
        assert caught.value.code == "not-found"


def test_a_file_that_is_larger_than_the_budget_is_not_read(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(bytes(1000))
    with pytest.raises(EffectError) as caught:
        bench.ask(fs.Read("a"), limits=Budget(ms=1000, io=999))
    assert caught.value.code == "budget-exhausted"
    assert caught.value.exhausted is not None
    assert (caught.value.exhausted.limit, caught.value.exhausted.requested) == (999, 1000)
    assert caught.value.usage == Budget()
    assert bench.blobs.blobs == {}


def test_a_file_of_exactly_the_budget_is_read(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(bytes(1000))
    assert bench.read("a", limits=Budget(ms=1000, io=1000)) == bytes(1000)


def test_a_file_that_tells_no_size_stops_one_byte_past_the_budget(bench: Workbench) -> None:
    # /proc/version has size 0 and contents all the same, as a file that grows would.
    with pytest.raises(EffectError) as caught:
        bench.ask(fs.Read("/proc/version"), permits=EVERYTHING, limits=Budget(ms=1000, io=10))
    assert caught.value.code == "budget-exhausted"
    assert caught.value.usage == Budget(io=11)
    assert bench.blobs.blobs == {}


def test_the_size_that_a_permit_allows_holds_for_reads(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(bytes(100))
    allowed = {"permits": (permit("fs.read", "$WORKSPACE/**", caveats=(Caveat("max_bytes", 100),)),)}
    capped = {"permits": (permit("fs.read", "$WORKSPACE/**", caveats=(Caveat("max_bytes", 99),)),)}
    assert bench.read("a", **allowed) == bytes(100)
    with pytest.raises(EffectRefused, match="moves 100 bytes"):
        bench.read("a", **capped)
    os.symlink("a", bench.workspace / "link")
    with pytest.raises(EffectRefused):
        bench.read("link", **capped)


class CancellingBlobs(MemoryBlobs):
    """A store that cancels the effect when the first piece of a stream has arrived."""

    cancel = Cancel()

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        pieces = iter(chunks)
        first = next(pieces)
        self.cancel.cancel("race")
        return self.put(first + b"".join(pieces))


def test_a_read_stops_between_chunks_when_it_is_cancelled(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(bytes(5 * CHUNK))
    bench.blobs = CancellingBlobs()
    with pytest.raises(EffectCancelled) as caught:
        bench.ask(fs.Read("a"), cancel=CancellingBlobs.cancel)
    assert caught.value.usage == Budget(io=2 * CHUNK)


def test_nothing_starts_when_cancelled_or_late(bench: Workbench) -> None:
    cancel = Cancel()
    cancel.cancel("timeout")
    with pytest.raises(EffectCancelled):
        bench.write("a", b"x", cancel=cancel)
    with pytest.raises(EffectError, match="not done within 0 ms") as caught:
        bench.write("a", b"x", limits=Budget(ms=0, io=100))
    assert caught.value.code == "timeout"
    assert not (bench.workspace / "a").exists()


@pytest.mark.parametrize("path", ["fifo", "/dev/zero", "/dev/tty", ".", "socket"])
def test_what_is_no_regular_file_is_refused_and_never_blocks(bench: Workbench, path: str) -> None:
    os.mkfifo(bench.workspace / "fifo")
    os.mknod(bench.workspace / "socket", 0o140644)
    finished: list[EffectError] = []

    def read() -> None:
        with pytest.raises(EffectError) as caught:
            bench.read(path, permits=EVERYTHING)
        finished.append(caught.value)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(5)
    assert [error.code for error in finished] == ["wrong-kind"]


def test_a_list_is_sorted_and_tells_kinds_and_sizes(bench: Workbench) -> None:
    (bench.workspace / "d").mkdir()
    (bench.workspace / "d" / "sub").mkdir()
    (bench.workspace / "d" / "é").write_bytes(b"12")
    (bench.workspace / "d" / "B").write_bytes(b"123")
    os.symlink("nowhere", bench.workspace / "d" / "link")
    os.mkfifo(bench.workspace / "d" / "fifo")
    applied = bench.ask(fs.List("d"))
    assert applied.value == (
        fs.Entry("B", "file", 3),
        fs.Entry("fifo", "other"),
        fs.Entry("link", "symlink"),
        fs.Entry("sub", "directory"),
        fs.Entry("é", "file", 2),
    )
    assert applied.usage == Budget(io=len("BfifolinksubX") + 1)


def test_a_list_of_a_file_is_the_wrong_kind(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    with pytest.raises(EffectError, match="a: is not a directory") as caught:
        bench.ask(fs.List("a"))
    assert caught.value.code == "wrong-kind"


def test_a_list_refuses_a_name_that_is_not_utf8(bench: Workbench) -> None:
    (bench.workspace / "d").mkdir()
    os.close(os.open(os.fsencode(bench.workspace) + b"/d/\xff", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(EffectError, match=r"\\xff") as caught:
        bench.ask(fs.List("d"))
    assert caught.value.code == "unsupported"


def test_a_list_is_bounded_by_names_and_by_budget(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        (bench.workspace / "secret" / name).touch()
    os.rename(bench.workspace / "secret", bench.workspace / "d")
    with pytest.raises(EffectError) as spent:
        bench.ask(fs.List("d"), limits=Budget(ms=1000, io=3))
    assert spent.value.code == "budget-exhausted"
    monkeypatch.setattr(reading, "MAX_NAMES", 4)
    with pytest.raises(EffectError, match="over 4 names") as many:
        bench.ask(fs.List("d"))
    assert many.value.code == "unsupported"


def test_stat_tells_what_a_path_is_without_following_it(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"12345")
    (bench.workspace / "a").chmod(0o640)
    (bench.workspace / "d").mkdir(mode=0o750)
    os.symlink("secret/key", bench.workspace / "link")
    assert bench.ask(fs.Stat("a")).value == fs.Status("file", 5, 0o640)
    assert bench.ask(fs.Stat("d")).value == fs.Status("directory", 0, 0o750)
    assert bench.ask(fs.Stat("link")).value == fs.Status("symlink", 0, 0o777)


def test_a_hard_link_is_read_under_each_of_its_names(bench: Workbench) -> None:
    # No name of a file is more real than another; who made the second one had the right to.
    (bench.workspace / "a").write_bytes(b"shared")
    os.link(bench.workspace / "a", bench.workspace / "b")
    assert bench.read("b") == b"shared"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_the_user_may_not_read_is_not_permitted(bench: Workbench) -> None:
    (bench.workspace / "a").touch(mode=0)
    with pytest.raises(EffectError) as caught:
        bench.read("a")
    assert caught.value.code == "not-permitted"
