"""fs.glob."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Budget, Caveat
from tek_abi.pattern import match_path
from tek_abi.vocabulary import fs
from tek_effects_fs import globbing
from tek_effects_fs.globbing import Segments
from tek_kernel.effect import Cancel, EffectCancelled, EffectError, EffectRefused
from tests.effects_fs.workbench import EVERYTHING, WORKSPACE_WRITE, NotGranted, Workbench, permit

FILES = ("src/a.py", "src/b.txt", "src/lib/c.py", "src/lib/deep/d.py", "src/.hidden.py", "top.py")


def plant(bench: Workbench, *files: str) -> None:
    for file in files or FILES:
        (bench.workspace / file).parent.mkdir(parents=True, exist_ok=True)
        (bench.workspace / file).touch()


def glob(bench: Workbench, pattern: str, **more: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = bench.ask(fs.Glob(pattern), **more).value
    return found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("src/**/*.py", ("src/.hidden.py", "src/a.py", "src/lib/c.py", "src/lib/deep/d.py")),
        ("src/*.py", ("src/.hidden.py", "src/a.py")),
        ("src/?.py", ("src/a.py",)),
        ("src/*", ("src/.hidden.py", "src/a.py", "src/b.txt", "src/lib")),
        ("**/lib/*", ("src/lib/c.py", "src/lib/deep")),
        ("src/lib/**", ("src/lib/c.py", "src/lib/deep", "src/lib/deep/d.py")),
        ("**/lib/**/**/d.py", ("src/lib/deep/d.py",)),
        ("./src//a.*", ("src/a.py",)),
        ("src/a.py", ("src/a.py",)),
        ("src", ("src",)),
        ("src/a.py/*", ()),
        ("src/a.py/x", ()),
        ("nowhere/**", ()),
        ("nowhere", ()),
        ("*.rs", ()),
    ],
)
def test_what_matches_is_found_and_sorted(bench: Workbench, pattern: str, expected: tuple[str, ...]) -> None:
    plant(bench)
    assert glob(bench, pattern) == expected


def test_paths_of_the_system_are_absolute_and_those_of_the_workspace_are_not(bench: Workbench) -> None:
    plant(bench)
    outside = bench.workspace.parent / "outside"
    assert glob(bench, f"{outside}/*", permits=EVERYTHING) == (f"{outside}/file",)
    assert glob(bench, f"{bench.workspace}/src/*.txt") == ("src/b.txt",)


def test_a_path_that_is_found_can_be_read_by_that_name(bench: Workbench) -> None:
    plant(bench, "$WORKSPACE/a", "$SYSTEM/b", "a*b", "c?d")
    found = glob(bench, "**")
    assert {"./$WORKSPACE/a", "./$SYSTEM/b", "a*b", "c?d"} <= set(found)
    for path in found:
        assert bench.ask(fs.Stat(path)).value.kind in ("file", "directory")


names = st.sampled_from(["a", "b", "ab", "aa", ".a"])
words = st.sampled_from(["**", "*", "a", "?", "a*", "*b", "??"])


@given(st.lists(words, min_size=1, max_size=6), st.lists(names, min_size=1, max_size=6))
def test_a_pattern_means_to_a_search_what_it_means_to_a_permit(pattern: list[str], path: list[str]) -> None:
    segments = Segments(tuple(pattern))
    progress, hopeful = segments.start(), True
    for name in path:
        hopeful = hopeful and segments.goes_on(progress)
        progress = segments.step(progress, name)
    matches = match_path("/".join(["$WORKSPACE", *pattern]), "/".join(["$WORKSPACE", *path]))
    assert segments.matched(progress) == matches
    assert hopeful or not matches


# What the task may not see


def test_names_that_no_permit_covers_are_left_out_with_all_below_them(bench: Workbench) -> None:
    plant(bench, "src/a.key", "src/a.py", "open/a.key")
    assert "secret" not in glob(bench, "**")
    assert glob(bench, "**/key") == ()
    permits = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/src/*.key", "$WORKSPACE/secret/**"),)
    assert glob(bench, "**/a.*", permits=permits) == ("open/a.key", "src/a.py")


def test_a_directory_that_is_not_covered_is_not_entered(bench: Workbench) -> None:
    plant(bench, "src/a.py", "src/lib/c.py")
    permits = (permit("fs.read", "$WORKSPACE/src"), permit("fs.read", "$WORKSPACE/src/*.py"),
               permit("fs.read", "$WORKSPACE/src/lib/*.py"))  # fmt: skip
    assert glob(bench, "src/**/*.py", permits=permits) == ("src/a.py",)


def test_a_search_begins_only_where_the_task_may_read(bench: Workbench) -> None:
    plant(bench)
    for pattern in ("secret/*", "secret/key", f"{bench.workspace}/secret/*", "/etc/*"):
        with pytest.raises(NotGranted):
            glob(bench, pattern)


def test_a_search_through_a_symlink_is_judged_by_where_it_leads(bench: Workbench) -> None:
    plant(bench, "real/a", "real/sub/b")
    os.symlink("real", bench.workspace / "link")
    os.symlink("secret", bench.workspace / "hidden")
    os.symlink("../outside", bench.workspace / "out")
    assert glob(bench, "link/**") == ("link/a", "link/sub", "link/sub/b")
    with pytest.raises(EffectRefused):
        glob(bench, "hidden/*")
    with pytest.raises(EffectError) as caught:
        glob(bench, "out/*")
    assert caught.value.code == "escapes"
    hides_sub = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/real/sub/**"),)
    assert glob(bench, "link/**", permits=hides_sub) == ("link/a",)
    hides_alias = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/link/sub/**"),)
    assert glob(bench, "link/**", permits=hides_alias) == ("link/a",)


def test_symlinks_are_named_and_not_followed(bench: Workbench) -> None:
    plant(bench, "src/a.py")
    os.symlink("../src", bench.workspace / "src" / "again.py")
    os.symlink("../../outside", bench.workspace / "src" / "out")
    assert glob(bench, "src/**") == ("src/a.py", "src/again.py", "src/out")


def test_a_search_from_outside_evades_no_exclusion_of_the_workspace(bench: Workbench) -> None:
    above = bench.workspace.parent
    permits = (permit("fs.read", "$SYSTEM/**"), *WORKSPACE_WRITE)
    (bench.workspace / "a").touch()
    alias = above / "outside" / "alias"
    os.symlink(above, alias)
    for start in (above, alias):
        found = glob(bench, f"{start}/*/*", permits=permits)
        assert f"{start}/outside/file" in found
        assert {path for path in found if path.endswith(("/a", "/secret")) or path == "a"} in (
            {"a"},
            {f"{start}/ws/a"},
        )
    assert not [path for path in glob(bench, f"{above}/**", permits=permits) if "key" in path]


def test_processes_are_not_searched(bench: Workbench) -> None:
    found = glob(bench, "/proc/*", permits=EVERYTHING)
    assert "/proc/version" in found
    assert f"/proc/{os.getpid()}" not in found
    with pytest.raises(EffectError) as caught:
        glob(bench, f"/proc/{os.getpid()}/*", permits=EVERYTHING)
    assert caught.value.code == "not-permitted"


def test_names_that_no_permit_can_hold_are_left_out(bench: Workbench) -> None:
    plant(bench, "d/fine", "d/a\nb")
    os.close(os.open(os.fsencode(bench.workspace) + b"/d/\xff", os.O_CREAT | os.O_WRONLY))
    assert glob(bench, "d/*") == ("d/fine",)


def test_a_name_that_is_too_deep_for_a_path_is_left_out(bench: Workbench) -> None:
    # Names of 200 characters of three bytes: the OS takes 4,096 bytes of path, a permit 4,096 characters.
    name, start = "é" * 100, os.open(bench.workspace, os.O_PATH)
    here, depth = os.dup(start), 25
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.close(start)
    found = glob(bench, "é*/**")
    assert 0 < len(found) < depth


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_the_user_may_not_read_is_left_out(bench: Workbench) -> None:
    plant(bench)
    (bench.workspace / "src" / "lib").chmod(0)
    assert glob(bench, "src/**/*.py") == ("src/.hidden.py", "src/a.py")


# Bounds


def test_every_name_that_is_looked_at_counts(bench: Workbench) -> None:
    plant(bench, "d/aa", "d/bbb", "d/sub/c")
    assert bench.ask(fs.Glob("d/*")).usage == Budget(io=len("aabbbsub"))
    assert bench.ask(fs.Glob("d/**/c")).usage == Budget(io=len("aabbbsubc"))
    with pytest.raises(EffectError) as caught:
        glob(bench, "d/**", limits=Budget(ms=1000, io=8))
    assert caught.value.code == "budget-exhausted"
    assert caught.value.exhausted is not None


def test_a_search_enters_no_directory_below_which_nothing_can_match(bench: Workbench) -> None:
    plant(bench, "d/aa/x", "d/bb/y", "d/bb/sub/deeper")
    assert bench.ask(fs.Glob("d/b*/*")).usage == Budget(io=len("aabbysub"))


def test_a_search_is_bounded_in_names(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(bench, "d/a", "d/b/c", "d/b/d")
    monkeypatch.setattr(globbing, "MAX_NAMES", 4)
    assert len(glob(bench, "d/**")) == 4
    monkeypatch.setattr(globbing, "MAX_NAMES", 3)
    with pytest.raises(EffectError, match="over 3 names") as caught:
        glob(bench, "d/**")
    assert caught.value.code == "unsupported"


def test_the_size_that_a_permit_allows_holds_for_names(bench: Workbench) -> None:
    plant(bench, "d/aaaa")
    allowed = (permit("fs.read", "$WORKSPACE/**", caveats=(Caveat("max_bytes", 4),)),)
    capped = (permit("fs.read", "$WORKSPACE/**", caveats=(Caveat("max_bytes", 3),)),)
    assert glob(bench, "d/*", permits=allowed) == ("d/aaaa",)
    with pytest.raises(EffectRefused):
        glob(bench, "d/*", permits=capped)


def test_a_search_stops_when_it_is_cancelled(bench: Workbench) -> None:
    cancel = Cancel()
    cancel.cancel("race")
    with pytest.raises(EffectCancelled):
        glob(bench, "**", cancel=cancel)


def test_a_search_in_a_workspace_that_is_gone_fails(bench: Workbench) -> None:
    gone = bench.workspace / "gone"
    gone.mkdir()
    lost = Workbench(Path(gone))
    lost.ask(fs.Stat("."))
    gone.rmdir()
    for pattern in ("*", "src/*", "a"):
        with pytest.raises(EffectError) as caught:
            glob(lost, pattern)
        assert caught.value.code == "not-found"
    del lost
