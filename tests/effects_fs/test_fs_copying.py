"""fs.copy and fs.hash."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import Any

import pytest

from tek_abi import Budget, Caveat
from tek_abi.vocabulary import fs
from tek_effects_fs import beneath
from tek_effects_fs.meter import CHUNK
from tek_kernel.effect import Cancel, EffectCancelled, EffectError, EffectRefused
from tek_kernel.openat2 import openat2
from tests.effects_fs.workbench import EVERYTHING, NotGranted, Workbench, permit


def digest_of(data: bytes) -> fs.Digest:
    return fs.Digest(hashlib.sha256(data).hexdigest(), len(data))


def names_in(bench: Workbench) -> list[str]:
    return sorted(path.name for path in bench.workspace.iterdir() if path.name not in (".git", "secret"))


@pytest.mark.parametrize("size", [0, 1, 2 * CHUNK + 7])
def test_a_hash_is_the_files_and_its_bytes_are_charged_and_kept_nowhere(bench: Workbench, size: int) -> None:
    data = os.urandom(size)
    (bench.workspace / "a").write_bytes(data)
    applied = bench.ask(fs.Hash("a"))
    assert applied.value == digest_of(data)
    assert applied.usage == Budget(io=size)
    assert bench.blobs.blobs == {}


@pytest.mark.parametrize("size", [0, 1, 2 * CHUNK + 7])
def test_a_copy_is_the_source_and_tells_what_it_was(bench: Workbench, size: int) -> None:
    data = os.urandom(size)
    (bench.workspace / "a").write_bytes(data)
    applied = bench.ask(fs.Copy("a", "b"))
    assert applied.value == digest_of(data)
    assert applied.usage == Budget(io=size)
    assert (bench.workspace / "b").read_bytes() == (bench.workspace / "a").read_bytes() == data
    assert names_in(bench) == ["a", "b"]
    assert bench.blobs.blobs == {}


def test_a_new_copy_gets_the_sources_permissions_without_set_id_bits(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    (bench.workspace / "a").chmod(0o6750)
    bench.ask(fs.Copy("a", "b"))
    assert (bench.workspace / "b").stat().st_mode & 0o7777 == 0o750


def test_a_target_that_is_there_keeps_its_mode(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"new")
    (bench.workspace / "a").chmod(0o755)
    (bench.workspace / "b").write_bytes(b"old")
    (bench.workspace / "b").chmod(0o600)
    bench.ask(fs.Copy("a", "b"))
    assert (bench.workspace / "b").read_bytes() == b"new"
    assert (bench.workspace / "b").stat().st_mode & 0o7777 == 0o600


def test_symlinks_at_either_end_are_followed_where_that_is_granted(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"new")
    (bench.workspace / "b").write_bytes(b"old")
    os.symlink("a", bench.workspace / "from")
    os.symlink("b", bench.workspace / "to")
    bench.ask(fs.Copy("from", "to"))
    assert (bench.workspace / "b").read_bytes() == b"new"
    assert os.readlink(bench.workspace / "to") == "b"


def test_a_copy_needs_both_rights(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"a")
    for request in (fs.Copy("secret/key", "b"), fs.Copy("a", "secret/b"), fs.Copy("a", ".git/hooks/b")):
        with pytest.raises(NotGranted):
            bench.ask(request)
    os.symlink("secret/key", bench.workspace / "key")
    os.symlink(".git/hooks", bench.workspace / "docs")
    for request in (fs.Copy("key", "b"), fs.Copy("a", "docs/b"), fs.Copy("a", "key")):
        with pytest.raises(EffectRefused):
            bench.ask(request)
    assert names_in(bench) == ["a", "docs", "key"]
    assert os.listdir(bench.workspace / ".git" / "hooks") == []
    assert (bench.workspace / "secret" / "key").read_bytes() == b"a secret"


def test_a_right_to_read_one_file_and_write_another_is_not_the_reverse(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"a")
    (bench.workspace / "b").write_bytes(b"b")
    permits = (permit("fs.read", "$WORKSPACE/a"), permit("fs.write", "$WORKSPACE/b"))
    with pytest.raises(NotGranted):
        bench.ask(fs.Copy("b", "a"), permits=permits)
    assert bench.ask(fs.Copy("a", "b"), permits=permits).value.size == 1


@pytest.mark.parametrize(
    ("source", "target", "code", "about"),
    [
        ("nowhere", "b", "not-found", "nowhere"),
        ("a", "no/such/b", "not-found", "no/such/b"),
        ("directory", "b", "wrong-kind", "directory"),
        ("a", "directory", "wrong-kind", "directory"),
        ("fifo", "b", "wrong-kind", "fifo"),
        ("a", "fifo", "wrong-kind", "fifo"),
        ("/dev/zero", "b", "wrong-kind", "/dev/zero"),
        ("a", "a", "exists", "a"),
        ("a", "same", "exists", "same"),
        ("a", "dangling", "not-found", "dangling"),
    ],
)
def test_a_copy_that_cannot_be_names_the_path_at_fault(
    bench: Workbench, source: str, target: str, code: str, about: str
) -> None:
    (bench.workspace / "a").write_bytes(b"here")
    (bench.workspace / "directory").mkdir()
    os.mkfifo(bench.workspace / "fifo")
    os.link(bench.workspace / "a", bench.workspace / "same")
    os.symlink("none", bench.workspace / "dangling")
    before = names_in(bench)
    with pytest.raises(EffectError) as caught:
        bench.ask(fs.Copy(source, target), permits=EVERYTHING)
    assert caught.value.code == code
    assert caught.value.message.startswith(f"{about}: ")
    assert names_in(bench) == before


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_a_hash_of_what_is_no_file_is_the_wrong_kind(bench: Workbench, kind: str) -> None:
    (bench.workspace / "directory").mkdir()
    os.mkfifo(bench.workspace / "fifo")
    with pytest.raises(EffectError) as caught:
        bench.ask(fs.Hash(kind))
    assert caught.value.code == "wrong-kind"


@pytest.mark.parametrize("request_", [fs.Hash("a"), fs.Copy("a", "b")])
def test_the_reservation_bounds_what_is_streamed(bench: Workbench, request_: Any) -> None:
    (bench.workspace / "a").write_bytes(bytes(1000))
    (bench.workspace / "b").write_bytes(b"old")
    with pytest.raises(EffectError) as caught:
        bench.ask(request_, limits=Budget(ms=1000, io=999))
    assert caught.value.code == "budget-exhausted"
    assert caught.value.usage == Budget()
    assert (bench.workspace / "b").read_bytes() == b"old"
    assert names_in(bench) == ["a", "b"]
    assert bench.ask(request_, limits=Budget(ms=1000, io=1000)).usage == Budget(io=1000)


@pytest.mark.parametrize("request_", [fs.Hash("/proc/version"), fs.Copy("/proc/version", "b")])
def test_a_file_that_tells_no_size_stops_one_byte_past_the_reservation(bench: Workbench, request_: Any) -> None:
    with pytest.raises(EffectError) as caught:
        bench.ask(request_, permits=EVERYTHING, limits=Budget(ms=1000, io=10))
    assert caught.value.code == "budget-exhausted"
    assert caught.value.usage == Budget(io=11)
    assert names_in(bench) == []


@pytest.mark.parametrize("right", ["fs.read", "fs.write"])
def test_the_size_that_a_permit_allows_holds_at_either_end(bench: Workbench, right: str) -> None:
    (bench.workspace / "a").write_bytes(bytes(100))
    other = {"fs.read": "fs.write", "fs.write": "fs.read"}[right]
    for cap, allowed in ((100, True), (99, False)):
        permits = (permit(right, "$WORKSPACE/**", caveats=(Caveat("max_bytes", cap),)), permit(other, "$WORKSPACE/**"))
        if allowed:
            assert bench.ask(fs.Copy("a", "b"), permits=permits).value.size == 100
        else:
            with pytest.raises(EffectRefused, match="moves 100 bytes"):
                bench.ask(fs.Copy("a", "c"), permits=permits)
    assert names_in(bench) == ["a", "b"]


@pytest.mark.parametrize("named", [False, True], ids=["without a name", "with a name of its own"])
def test_a_copy_that_is_cancelled_half_way_leaves_the_old_file_and_no_other(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    (bench.workspace / "a").write_bytes(bytes(2 * CHUNK))
    (bench.workspace / "b").write_bytes(b"old")
    cancel, real_fsync = Cancel(), os.fsync

    def fsync(fd: int) -> None:
        real_fsync(fd)
        cancel.cancel("interrupt")

    def no_tmpfile(directory: int, path: str, flags: int, *rest: Any) -> int:
        if named and flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE here")
        return openat2(directory, path, flags, *rest)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(beneath, "openat2", no_tmpfile)
    with pytest.raises(EffectCancelled):
        bench.ask(fs.Copy("a", "b"), cancel=cancel)
    assert (bench.workspace / "b").read_bytes() == b"old"
    assert names_in(bench) == ["a", "b"]


def test_a_copy_is_on_stable_storage_with_its_name(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.workspace / "a").write_bytes(b"here")
    synced, real_fsync = [], os.fsync

    def fsync(fd: int) -> None:
        synced.append("directory" if os.path.samestat(os.fstat(fd), bench.workspace.stat()) else "file")
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    bench.ask(fs.Copy("a", "b"))
    assert synced == ["file", "directory"]
