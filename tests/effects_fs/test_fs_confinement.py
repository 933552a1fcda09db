"""Attacks on where a path leads, resolved by openat2 and by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tek_abi import Blob
from tek_abi.vocabulary import fs
from tek_effects_fs import beneath
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_fs.workbench import EVERYTHING, WORKSPACE_WRITE, NotGranted, Workbench, permit, resolution

DATA = Blob.of(b"overwritten")
READS_SYSTEM = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/secret/**"), permit("fs.read", "$SYSTEM/**"))


@pytest.fixture(params=["openat2", "walk"], autouse=True)
def system(request: pytest.FixtureRequest) -> Iterator[None]:
    """A system with openat2, and one without."""
    with resolution(request.param):
        yield


def uses_of(path: str) -> list[Any]:
    """Every request that could reach what is behind ``path``."""
    looking = [fs.Read(path), fs.Hash(path), fs.List(path)]
    copying = [fs.Copy(path, "copied"), fs.Copy("mine", path)]
    return [*looking, *copying, fs.Write(path, DATA), fs.Append(path, DATA), fs.Mkdir(path)]


def uses_of_name(path: str) -> list[Any]:
    """Every request about a name in a directory that ``path`` goes through."""
    moving = [fs.Remove(path), fs.Rename(path, "moved"), fs.Rename("mine", path)]
    return [*uses_of(path), fs.Stat(path), fs.Glob(f"{path.rpartition('/')[0]}/*"), *moving]


def everything_outside(bench: Workbench) -> dict[str, bytes]:
    """The contents of what the workspace's permits do not cover."""
    trees = (bench.workspace.parent / "outside", bench.workspace / "secret", bench.workspace / ".git")
    return {str(path): path.read_bytes() if path.is_file() else b"" for tree in trees for path in tree.rglob("*")}


def assert_stopped(bench: Workbench, requests: list[Any], **more: Any) -> set[str]:
    """Every request fails and nothing outside changes. Returns how they failed."""
    before, codes = everything_outside(bench), set()
    (bench.workspace / "mine").touch()
    for request in requests:
        with pytest.raises((EffectError, EffectRefused)) as caught:
            bench.ask(request, **more)
        codes.add(caught.value.code if isinstance(caught.value, EffectError) else "refused")
    assert everything_outside(bench) == before
    assert (bench.workspace / "mine").exists()
    return codes


@pytest.mark.parametrize("target", ["../outside/file", "/etc/hostname", "{root}/outside/file", "{root}/ws/secret/key"])
def test_a_symlink_to_a_file_outside_is_not_followed(bench: Workbench, target: str) -> None:
    os.symlink(target.format(root=bench.workspace.parent), bench.workspace / "link")
    assert assert_stopped(bench, uses_of("link")) <= {"escapes", "wrong-kind"}


@pytest.mark.parametrize("target", ["..", "../outside", "/", "{root}/outside", "{root}/ws/.git"])
def test_a_symlink_to_a_directory_outside_is_not_followed(bench: Workbench, target: str) -> None:
    os.symlink(target.format(root=bench.workspace.parent), bench.workspace / "link")
    assert assert_stopped(bench, uses_of_name("link/file")) == {"escapes"}


def test_a_chain_of_symlinks_is_judged_by_its_end(bench: Workbench) -> None:
    os.symlink("two", bench.workspace / "one")
    os.symlink("three", bench.workspace / "two")
    os.symlink("../outside", bench.workspace / "three")
    assert assert_stopped(bench, uses_of_name("one/file")) == {"escapes"}


def test_a_loop_of_symlinks_ends(bench: Workbench) -> None:
    os.symlink("b", bench.workspace / "a")
    os.symlink("a", bench.workspace / "b")
    assert assert_stopped(bench, uses_of_name("a/x")) == {"escapes"}


def test_a_symlink_beneath_the_workspace_is_followed(bench: Workbench) -> None:
    (bench.workspace / "real").mkdir()
    (bench.workspace / "real" / "a").write_bytes(b"here")
    os.symlink("real/../real", bench.workspace / "link")
    assert bench.read("link/a") == b"here"
    assert bench.names("link") == ["a"]


def test_every_effect_works_on_every_system(bench: Workbench) -> None:
    bench.ask(fs.Mkdir("a/b"))
    bench.write("a/b/file", b"one")
    bench.append("a/b/file", b"two")
    assert bench.read("a/b/file") == b"onetwo"
    assert bench.ask(fs.Hash("a/b/file")).value == bench.ask(fs.Copy("a/b/file", "copy")).value
    assert bench.ask(fs.Glob("**/file")).value == ("a/b/file",)
    assert bench.names("a/b") == ["file"]
    assert bench.ask(fs.Stat("a/b/file")).value.size == 6
    bench.ask(fs.Rename("a/b", "c"))
    bench.ask(fs.Remove("c/file"))
    bench.ask(fs.Remove("c"))
    assert sorted(bench.names(".")) == [".git", "a", "copy", "secret"]


def test_a_symlink_into_an_excluded_tree_is_refused_by_the_place_that_it_leads_to(bench: Workbench) -> None:
    os.symlink("secret", bench.workspace / "link")
    os.symlink("secret/key", bench.workspace / "key")
    assert assert_stopped(bench, uses_of_name("link/key")) == {"refused", "wrong-kind"}
    assert assert_stopped(bench, [fs.Read("key"), fs.Write("key", DATA), fs.Append("key", DATA)]) == {"refused"}
    with pytest.raises(EffectRefused, match=r"key: needs secret/key, .* grant fs.read:secret/key") as caught:
        bench.read("key")
    assert caught.value.access.resource == "$WORKSPACE/secret/key"


def test_a_hook_cannot_be_planted_through_a_symlink(bench: Workbench) -> None:
    os.symlink(".git/hooks", bench.workspace / "docs")
    for request in (fs.Write("docs/pre-commit", DATA), fs.Append("docs/pre-commit", DATA), fs.Mkdir("docs/x")):
        with pytest.raises(EffectRefused) as caught:
            bench.ask(request)
        assert caught.value.access.resource.startswith("$WORKSPACE/.git/hooks/")
    assert list((bench.workspace / ".git" / "hooks").iterdir()) == []


def test_an_absolute_path_evades_no_exclusion(bench: Workbench) -> None:
    for path in (
        f"{bench.workspace}/secret/key",
        f"//{bench.workspace}/./secret//key",
        f"$SYSTEM{bench.workspace}/secret/key",
    ):
        with pytest.raises(NotGranted):
            bench.read(path, permits=READS_SYSTEM)


def test_a_path_of_the_system_that_leads_into_the_workspace_is_judged_as_the_workspaces(bench: Workbench) -> None:
    alias = bench.workspace.parent / "alias"
    os.symlink(bench.workspace, alias)
    (bench.workspace / "a").write_bytes(b"here")
    assert bench.read(f"{alias}/a", permits=READS_SYSTEM) == b"here"
    with pytest.raises(EffectRefused) as caught:
        bench.read(f"{alias}/secret/key", permits=READS_SYSTEM)
    assert caught.value.access.resource == "$WORKSPACE/secret/key"


def test_a_workspace_that_is_named_by_a_symlink_is_one_and_the_same(bench: Workbench) -> None:
    alias = bench.workspace.parent / "alias"
    os.symlink(bench.workspace, alias)
    (bench.workspace / "a").write_bytes(b"here")
    by_alias = Workbench(alias)
    assert by_alias.read("a") == b"here"
    assert by_alias.read(f"{alias}/a") == b"here"
    with pytest.raises(EffectRefused):
        by_alias.read(f"{bench.workspace}/secret/key", permits=READS_SYSTEM)
    del by_alias


def test_what_holds_the_workspace_is_not_moved_past_the_workspaces_exclusions(bench: Workbench) -> None:
    # From outside, .git is /.../ws/.git, which no exclusion of the workspace names.
    above = bench.workspace.parent
    alias = above / "outside" / "alias"
    os.symlink(above, alias)
    everywhere = tuple(permit(f"fs.{right}", "$SYSTEM/**") for right in ("read", "write"))
    for moved in (str(above), f"{alias}/ws"):
        with pytest.raises(EffectRefused) as caught:
            bench.ask(fs.Rename(moved, f"{above.parent}/moved"), permits=(*everywhere, *WORKSPACE_WRITE))
        assert caught.value.access.resource.startswith(("$WORKSPACE/.git", "$WORKSPACE/secret"))
    assert bench.workspace.is_dir()


def test_a_sibling_with_the_workspaces_name_as_a_prefix_is_not_in_it(bench: Workbench) -> None:
    evil = Path(f"{bench.workspace}-evil")
    evil.mkdir()
    (evil / "a").write_bytes(b"evil")
    with pytest.raises(NotGranted):
        bench.read(f"{evil}/a")
    os.symlink(evil, bench.workspace.parent / "alias")
    with pytest.raises(EffectRefused) as caught:
        bench.read(f"{bench.workspace.parent}/alias/a", permits=(permit("fs.read", "$WORKSPACE/**"),
            permit("fs.read", f"$SYSTEM{bench.workspace.parent}/alias/**")))  # fmt: skip
    assert caught.value.access.resource == f"$SYSTEM{evil}/a"


@pytest.mark.parametrize("process", ["self", "thread-self", "{pid}"])
@pytest.mark.parametrize("link", ["root/etc/hostname", "cwd/mine", "fd/{fd}", "exe"])
def test_magic_links_are_not_followed(
    bench: Workbench, process: str, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.workspace)
    with open("mine", "wb") as mine:
        path = f"/proc/{process}/{link}".format(pid=os.getpid(), fd=mine.fileno())
        assert os.path.exists(path)
        for request in (fs.Read(path), fs.List(path), fs.Append(f"{path}/x", DATA)):
            with pytest.raises(EffectError) as caught:
                bench.ask(request, permits=EVERYTHING)
            assert caught.value.code == "escapes"


@pytest.mark.parametrize("name", ["environ", "mem", "maps", "cmdline"])
def test_a_process_does_not_give_away_its_environment(bench: Workbench, name: str) -> None:
    os.symlink("/proc/self", bench.workspace.parent / "me")
    for path in (f"/proc/self/{name}", f"/proc/{os.getpid()}/{name}", f"{bench.workspace.parent}/me/{name}"):
        for request in (fs.Read(path), fs.Append(path, DATA), fs.Write(path, DATA), fs.Stat(path)):
            with pytest.raises(EffectError) as caught:
                bench.ask(request, permits=EVERYTHING)
            assert caught.value.code == "not-permitted"


def test_other_files_of_proc_stay_readable_where_granted(bench: Workbench) -> None:
    assert b"Linux" in bench.read("/proc/version", permits=EVERYTHING)


def test_a_symlink_in_the_workspace_to_a_magic_link_is_not_followed(bench: Workbench) -> None:
    os.symlink("/proc/self/cwd", bench.workspace / "link")
    assert assert_stopped(bench, uses_of_name("link/x"), permits=EVERYTHING) == {"escapes"}


def test_a_real_name_that_no_permit_can_hold_is_refused(bench: Workbench) -> None:
    (bench.workspace / "a\nb").write_bytes(b"x")
    os.symlink("a\nb", bench.workspace / "link")
    with pytest.raises(EffectError) as caught:
        bench.read("link")
    assert caught.value.code == "unsupported"


def test_a_directory_that_is_walked_for_a_rename_is_entered_through_no_symlink(bench: Workbench) -> None:
    os.symlink("secret", bench.workspace / "link")
    (bench.workspace / "secret" / "sub").mkdir()
    directory = os.open(bench.workspace, os.O_PATH)
    try:
        os.close(beneath.open_inside(directory, "secret/sub"))
        for path in ("link", "link/sub"):
            with pytest.raises(OSError, match=os.strerror(errno.ELOOP) + "|symlinks"):
                beneath.open_inside(directory, path)
    finally:
        os.close(directory)


def test_what_lies_in_no_directory_has_no_place() -> None:
    ends = os.pipe()
    try:
        with pytest.raises(OSError, match="not reachable"):
            beneath._path_of(ends[0])
    finally:
        for end in ends:
            os.close(end)


def test_a_file_that_is_really_called_deleted_is_itself(bench: Workbench) -> None:
    (bench.workspace / "a (deleted)").write_bytes(b"here")
    assert bench.read("a (deleted)") == b"here"


def test_a_workspace_that_is_gone_fails_and_does_not_widen(bench: Workbench) -> None:
    gone = bench.workspace / "gone"
    gone.mkdir()
    lost = Workbench(gone)
    lost.ask(fs.Stat("."))
    gone.rmdir()
    for request in (fs.Stat("."), fs.Write("a", DATA), fs.Read(f"{bench.workspace}/mine")):
        (bench.workspace / "mine").touch()
        with pytest.raises(EffectError) as caught:
            lost.ask(request, permits=EVERYTHING)
        assert caught.value.code == "not-found"
    del lost
