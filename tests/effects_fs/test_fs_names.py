"""fs.mkdir, fs.remove and fs.rename."""

from __future__ import annotations

import os

import pytest

from tek_abi.vocabulary import fs
from tek_effects_fs import names
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_fs.workbench import WORKSPACE_WRITE, Workbench, permit


def code_of(bench: Workbench, request: object) -> str:
    with pytest.raises(EffectError) as caught:
        bench.ask(request)
    return caught.value.code


def test_mkdir_makes_parents_and_is_content_with_what_is_there(bench: Workbench) -> None:
    bench.ask(fs.Mkdir("a/b/c"))
    bench.ask(fs.Mkdir("a/b/c"))
    bench.ask(fs.Mkdir("."))
    assert (bench.workspace / "a" / "b" / "c").is_dir()


def test_mkdir_over_what_is_no_directory_fails(bench: Workbench) -> None:
    (bench.workspace / "file").touch()
    os.symlink("nowhere", bench.workspace / "link")
    assert code_of(bench, fs.Mkdir("file")) == "wrong-kind"
    assert code_of(bench, fs.Mkdir("file/a")) == "wrong-kind"
    assert code_of(bench, fs.Mkdir("link")) == "exists"
    assert code_of(bench, fs.Mkdir("link/a")) == "exists"
    assert not (bench.workspace / "nowhere").exists()


def test_mkdir_makes_no_parent_that_is_not_granted(bench: Workbench) -> None:
    deep = (permit("fs.write", "$WORKSPACE/out/deep/**"),)
    with pytest.raises(EffectRefused, match="needs out,") as caught:
        bench.ask(fs.Mkdir("out/deep/a"), permits=deep)
    assert caught.value.access.resource == "$WORKSPACE/out"
    assert not (bench.workspace / "out").exists()
    (bench.workspace / "out").mkdir()
    bench.ask(fs.Mkdir("out/deep/a"), permits=deep)
    assert (bench.workspace / "out" / "deep" / "a").is_dir()


def test_mkdir_is_judged_where_it_really_happens(bench: Workbench) -> None:
    os.symlink(".git", bench.workspace / "link")
    with pytest.raises(EffectRefused) as caught:
        bench.ask(fs.Mkdir("link/hooks2/a"))
    assert caught.value.access.resource == "$WORKSPACE/.git/hooks2"
    assert not (bench.workspace / ".git" / "hooks2").exists()


def test_remove_takes_files_empty_directories_and_symlinks_themselves(bench: Workbench) -> None:
    (bench.workspace / "file").touch()
    (bench.workspace / "empty").mkdir()
    (bench.workspace / "kept").write_bytes(b"kept")
    os.symlink("kept", bench.workspace / "link")
    os.symlink("secret", bench.workspace / "to_directory")
    for name in ("file", "empty", "link", "to_directory"):
        bench.ask(fs.Remove(name))
        assert not os.path.lexists(bench.workspace / name)
    assert (bench.workspace / "kept").read_bytes() == b"kept"
    assert (bench.workspace / "secret" / "key").exists()


def test_remove_fails_on_what_is_missing_full_or_a_root(bench: Workbench) -> None:
    (bench.workspace / "full" / "a").mkdir(parents=True)
    assert code_of(bench, fs.Remove("missing")) == "not-found"
    assert code_of(bench, fs.Remove("full")) == "exists"
    assert code_of(bench, fs.Remove(".")) == "wrong-kind"


def test_remove_through_a_directory_symlink_is_judged_where_it_really_happens(bench: Workbench) -> None:
    os.symlink("secret", bench.workspace / "link")
    with pytest.raises(EffectRefused):
        bench.ask(fs.Remove("link/key"))
    assert (bench.workspace / "secret" / "key").exists()


def test_rename_moves_and_replaces_files(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"a")
    (bench.workspace / "b").write_bytes(b"b")
    bench.ask(fs.Rename("a", "b"))
    assert not (bench.workspace / "a").exists()
    assert (bench.workspace / "b").read_bytes() == b"a"


def test_rename_moves_a_symlink_itself_and_replaces_one(bench: Workbench) -> None:
    os.symlink("secret/key", bench.workspace / "link")
    os.symlink("secret", bench.workspace / "other")
    bench.ask(fs.Rename("link", "other"))
    assert os.readlink(bench.workspace / "other") == "secret/key"
    assert (bench.workspace / "secret" / "key").read_bytes() == b"a secret"


def test_rename_fails_where_it_cannot_be_done(bench: Workbench) -> None:
    (bench.workspace / "a").write_bytes(b"a")
    os.link(bench.workspace / "a", bench.workspace / "same")
    (bench.workspace / "d" / "sub").mkdir(parents=True)
    (bench.workspace / "e").mkdir()
    assert code_of(bench, fs.Rename("missing", "b")) == "not-found"
    assert code_of(bench, fs.Rename("a", "no/such/b")) == "not-found"
    assert code_of(bench, fs.Rename("a", "same")) == "exists"
    assert code_of(bench, fs.Rename("e", "d")) == "exists"
    assert code_of(bench, fs.Rename("a", "d")) == "wrong-kind"
    assert code_of(bench, fs.Rename("d", "d/sub/d")) == "bad-request"
    assert code_of(bench, fs.Rename(".", "b")) == "wrong-kind"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_rename_across_file_systems_says_what_to_do(bench: Workbench) -> None:
    (bench.workspace / "a").touch()
    everywhere = (permit("fs.*", "$WORKSPACE/**"), permit("fs.*", "$SYSTEM/**"))
    if os.stat(bench.workspace).st_dev == os.stat("/dev/shm").st_dev:
        pytest.skip("the workspace is on the same file system")
    with pytest.raises(EffectError, match="two file systems") as caught:
        bench.ask(fs.Rename("a", f"/dev/shm/tek-test-{os.getpid()}"), permits=everywhere)
    assert caught.value.code == "unsupported"


def test_a_directory_moves_with_all_that_is_granted(bench: Workbench) -> None:
    (bench.workspace / "d" / "sub").mkdir(parents=True)
    (bench.workspace / "d" / "sub" / "a").write_bytes(b"a")
    os.symlink("/etc", bench.workspace / "d" / "link")
    bench.ask(fs.Rename("d", "e"))
    assert (bench.workspace / "e" / "sub" / "a").read_bytes() == b"a"


@pytest.mark.parametrize("exclude", ["$WORKSPACE/d/sub/keep/**", "$WORKSPACE/e/**/keep/**"])
def test_a_directory_with_something_that_may_not_leave_or_arrive_stays(bench: Workbench, exclude: str) -> None:
    (bench.workspace / "d" / "sub" / "keep").mkdir(parents=True)
    (bench.workspace / "d" / "sub" / "keep" / "a").touch()
    permits = (permit("fs.read", "$WORKSPACE/**"), permit("fs.write", "$WORKSPACE/**", exclude))
    with pytest.raises(EffectRefused):
        bench.ask(fs.Rename("d", "e"), permits=permits)
    assert (bench.workspace / "d" / "sub" / "keep" / "a").exists()
    assert not (bench.workspace / "e").exists()


def test_a_repository_does_not_move_with_its_hooks(bench: Workbench) -> None:
    (bench.workspace / "repo" / ".git" / "hooks").mkdir(parents=True)
    with pytest.raises(EffectRefused):
        bench.ask(fs.Rename("repo", "elsewhere"))


def test_a_directory_with_too_many_names_is_not_moved(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.workspace / "d" / "sub").mkdir(parents=True)
    (bench.workspace / "d" / "sub" / "a").touch()
    monkeypatch.setattr(names, "MAX_MOVED", 1)
    with pytest.raises(EffectError, match="over 1 names"):
        bench.ask(fs.Rename("d", "e"))
    monkeypatch.setattr(names, "MAX_MOVED", 2)
    bench.ask(fs.Rename("d", "e"))


def test_a_rename_needs_the_right_to_read_its_source(bench: Workbench) -> None:
    # Else a file could be moved to where it may be read.
    (bench.workspace / "closed").mkdir()
    (bench.workspace / "closed" / "a").touch()
    os.symlink("closed", bench.workspace / "link")
    permits = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/closed/**"), WORKSPACE_WRITE[1])
    with pytest.raises(EffectRefused) as caught:
        bench.ask(fs.Rename("link/a", "a"), permits=permits)
    assert caught.value.access.family == "fs.read"
