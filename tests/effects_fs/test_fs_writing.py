"""fs.write and fs.append."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tek_abi import Blob, Budget
from tek_abi.vocabulary import fs
from tek_effects_fs import beneath
from tek_effects_fs.failure import failure
from tek_effects_fs.meter import CHUNK
from tek_kernel.effect import Cancel, EffectCancelled, EffectError
from tek_kernel.openat2 import openat2
from tests.effects_fs.workbench import EVERYTHING, Workbench


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to let any file grow past ``size``, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


@pytest.fixture(params=["without a name", "with a name of its own"])
def draft(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to make a file before it is published; some file systems know only the second."""
    if request.param == "without a name":
        return

    def no_tmpfile(directory: int, path: str, flags: int, *rest: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE here")
        return openat2(directory, path, flags, *rest)

    monkeypatch.setattr(beneath, "openat2", no_tmpfile)


def everything_in(bench: Workbench) -> set[str]:
    return {path.name for path in bench.workspace.rglob("*")} - {".git", "hooks", "secret", "key"}


@pytest.mark.usefixtures("draft")
@pytest.mark.parametrize("size", [0, 1, 2 * CHUNK + 3])
def test_a_write_creates_and_replaces_whole_files(bench: Workbench, size: int) -> None:
    data = os.urandom(size)
    assert bench.write("a", data).usage == Budget(io=size)
    assert (bench.workspace / "a").read_bytes() == data
    bench.write("a", b"new")
    assert (bench.workspace / "a").read_bytes() == b"new"
    assert everything_in(bench) == {"a"}


@pytest.mark.usefixtures("draft")
def test_a_new_file_gets_its_mode_less_the_umask(bench: Workbench) -> None:
    with umask(0o027):
        bench.write("plain", b"x")
        bench.write("tool", b"x", mode=0o777)
        bench.write("locked", b"x", mode=0o400)
    modes = {name: (bench.workspace / name).stat().st_mode & 0o7777 for name in ("plain", "tool", "locked")}
    assert modes == {"plain": 0o640, "tool": 0o750, "locked": 0o400}


@pytest.mark.usefixtures("draft")
def test_a_file_that_is_there_keeps_its_mode(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    (bench.workspace / "a").chmod(0o757)
    bench.write("a", b"x", mode=0o600)
    assert (bench.workspace / "a").stat().st_mode & 0o7777 == 0o757


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_is_there_keeps_its_owner(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    os.chown(bench.workspace / "a", 1234, 1235)
    bench.write("a", b"x")
    status = (bench.workspace / "a").stat()
    assert (status.st_uid, status.st_gid) == (1234, 1235)


def test_set_id_bits_do_not_pass_on_to_new_contents(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    (bench.workspace / "a").chmod(0o6755)
    with pytest.raises(EffectError, match="set-id bits") as caught:
        bench.append("a", b"x")
    assert caught.value.code == "not-permitted"
    bench.write("a", b"x")
    assert (bench.workspace / "a").stat().st_mode & 0o7777 == 0o755


def test_a_write_parts_hard_links_and_an_append_to_them_is_refused(bench: Workbench) -> None:
    hook = bench.workspace / ".git" / "hooks" / "pre-commit"
    hook.write_bytes(b"as it was")
    os.link(hook, bench.workspace / "a")
    with pytest.raises(EffectError, match="hard links") as caught:
        bench.append("a", b"evil")
    assert caught.value.code == "not-permitted"
    bench.write("a", b"evil")
    assert hook.read_bytes() == b"as it was"


def test_a_write_through_a_symlink_replaces_the_file_and_keeps_the_link(bench: Workbench) -> None:
    (bench.workspace / "real").mkdir()
    (bench.workspace / "real" / "a").write_bytes(b"old")
    os.symlink("real/a", bench.workspace / "link")
    bench.write("link", b"new")
    bench.append("link", b"er")
    assert (bench.workspace / "real" / "a").read_bytes() == b"newer"
    assert os.readlink(bench.workspace / "link") == "real/a"


def test_a_write_through_a_symlink_that_leads_nowhere_creates_nothing(bench: Workbench) -> None:
    os.symlink("nowhere", bench.workspace / "link")
    for write in (bench.write, bench.append):
        with pytest.raises(EffectError, match="leads nowhere") as caught:
            write("link", b"x")
        assert caught.value.code == "not-found"
    assert not (bench.workspace / "nowhere").exists()


@pytest.mark.parametrize("path", ["fifo", "/dev/null", "directory"])
def test_what_is_no_regular_file_is_neither_replaced_nor_opened(bench: Workbench, path: str) -> None:
    os.mkfifo(bench.workspace / "fifo")
    (bench.workspace / "directory").mkdir()
    for write in (bench.write, bench.append):
        with pytest.raises(EffectError) as caught:
            write(path, b"x", permits=EVERYTHING)
        assert caught.value.code == "wrong-kind"


def test_a_write_where_no_directory_is_or_to_a_root_fails(bench: Workbench) -> None:
    (bench.workspace / "file").touch()
    for path, code in (("no/such/a", "not-found"), ("file/a", "wrong-kind"), (".", "wrong-kind"), ("/", "wrong-kind")):
        with pytest.raises(EffectError) as caught:
            bench.write(path, b"x", permits=EVERYTHING)
        assert caught.value.code == code


@pytest.mark.usefixtures("draft")
def test_a_write_that_the_disk_cannot_take_leaves_the_old_file_and_no_other(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"old")
    with largest_file(1000), pytest.raises(EffectError, match="a: cannot be written") as caught:
        bench.write("a", bytes(2000))
    assert caught.value.code == "io"
    assert caught.value.usage == Budget(io=1000)
    assert (bench.workspace / "a").read_bytes() == b"old"
    assert everything_in(bench) == {"a"}


def test_a_full_disk_is_said_in_words() -> None:
    error = failure(OSError(errno.ENOSPC, "No space left on device"), "a", Budget())
    assert error.code == "io"
    assert error.message == "a: cannot be written: no space left on its device; free some"
    assert error.obs == {"errno": "ENOSPC"}


@pytest.mark.usefixtures("draft")
def test_a_write_that_is_cancelled_half_way_leaves_the_old_file_and_no_other(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.workspace / "a").write_bytes(b"old")
    cancel, real_fsync = Cancel(), os.fsync

    def fsync(fd: int) -> None:
        real_fsync(fd)
        cancel.cancel("interrupt")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(EffectCancelled):
        bench.write("a", b"new", cancel=cancel)
    assert (bench.workspace / "a").read_bytes() == b"old"
    assert everything_in(bench) == {"a"}


@pytest.mark.parametrize("write", [fs.Write, fs.Append])
def test_a_write_past_its_budget_touches_nothing(bench: Workbench, write: Any) -> None:
    with pytest.raises(EffectError) as caught:
        bench.ask(write("a", Blob.of(b"12345")), limits=Budget(ms=1000, io=4))
    assert caught.value.code == "budget-exhausted"
    assert everything_in(bench) == set()


@pytest.mark.parametrize("write", [fs.Write, fs.Append])
def test_bytes_that_are_not_those_that_the_ledger_names_are_refused(bench: Workbench, write: Any) -> None:
    named = Blob.of(b"harmless")
    for lie in (Blob(named.sha256, named.size), Blob(named.sha256, named.size, lambda: b"harmful!"),
                Blob(named.sha256, 1, named.load)):  # fmt: skip
        with pytest.raises(EffectError, match="bytes to write") as caught:
            bench.ask(write("a", lie))
        assert caught.value.code == "bad-request"
    assert everything_in(bench) == set()


def test_an_append_creates_the_file_and_then_adds_to_it(bench: Workbench) -> None:
    with umask(0o022):
        bench.append("a", b"one")
    applied = bench.append("a", b"two")
    assert (bench.workspace / "a").read_bytes() == b"onetwo"
    assert (bench.workspace / "a").stat().st_mode & 0o7777 == 0o644
    assert applied.usage == Budget(io=3)


def test_an_append_that_the_disk_takes_half_of_tells_how_much(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(bytes(600))
    with largest_file(1000), pytest.raises(EffectError) as caught:
        bench.append("a", bytes(2000))
    assert caught.value.code == "io"
    assert caught.value.usage == Budget(io=400)
