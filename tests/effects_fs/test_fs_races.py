"""Someone else changes the tree while an effect works in it, or the effect's process dies."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_fs.workbench import Workbench, permit

ROUNDS = 5_000
SECONDS = 1.5
LONGEST = 15.0


SWAPPER = """
import os, random, sys, time
here, away, target = sys.argv[1:]
print("ready", flush=True)
while True:
    os.rename(here, away)
    os.symlink(target, here)
    os.unlink(here)
    os.rename(away, here)
    time.sleep(random.random() / 2000)  # so that an effect meets either state at any of its steps
"""

RELINKER = """
import os, sys
mine, link, target = sys.argv[1:]
print("ready", flush=True)
while True:
    os.symlink(target, link)
    os.rename(link, mine)
    os.unlink(mine)
    os.close(os.open(mine, os.O_CREAT | os.O_WRONLY))
    os.unlink(mine)
"""

UNLINKER = """
import os, sys
kept, name = sys.argv[1:]
print("ready", flush=True)
while True:
    os.link(kept, name)
    os.unlink(name)
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator[None]:
    """Run a program that never ends beside the effects, on a core of its own."""
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            ended = process.poll()
            process.kill()
            assert ended is None, process.stderr.read()


def swapping(workspace: Path, target: str) -> AbstractContextManager[None]:
    """Swap the directory ``d`` with a symlink to ``target`` and back, as fast as can be."""
    return running(SWAPPER, str(workspace / "d"), str(workspace / "away"), target)


def repeat(action: Callable[[], object], *, until_both: bool = True) -> tuple[int, int]:
    """Do it often. Returns how often it worked and how often it was stopped; goes on until both were seen."""
    done = stopped = 0
    started = time.monotonic()
    while time.monotonic() < started + LONGEST:
        try:
            action()
            done += 1
        except (EffectError, EffectRefused):
            stopped += 1
        enough = done + stopped >= ROUNDS or time.monotonic() > started + SECONDS
        if enough and (min(done, stopped) > 0 or not until_both):
            break
    return done, stopped


@pytest.mark.parametrize("target", ["../outside", "secret"])
def test_a_directory_that_turns_into_a_symlink_lets_no_read_escape(bench: Workbench, target: str) -> None:
    (bench.workspace / "d").mkdir()
    (bench.workspace / "d" / "file").write_bytes(b"inside")
    (bench.workspace / "secret" / "file").write_bytes(b"secret")
    seen: set[bytes] = set()
    with swapping(bench.workspace, target):
        done, stopped = repeat(lambda: seen.add(bench.read("d/file")))
    assert seen == {b"inside"}
    assert min(done, stopped) > 0


@pytest.mark.parametrize("target", ["../outside", ".git/hooks"])
def test_a_directory_that_turns_into_a_symlink_lets_no_write_escape(bench: Workbench, target: str) -> None:
    (bench.workspace / "d").mkdir()
    (bench.workspace / ".git" / "hooks" / "file").write_bytes(b"outside")

    def write() -> None:
        bench.append("d/file", b"inside")
        bench.write("d/file", b"inside")

    with swapping(bench.workspace, target):
        done, stopped = repeat(write)
    for directory in (bench.workspace.parent / "outside", bench.workspace / ".git" / "hooks"):
        assert os.listdir(directory) == ["file"]
        assert (directory / "file").read_bytes() == b"outside"
    assert {path.name for path in bench.workspace.glob("*/.tek-*")} == set()
    assert min(done, stopped) > 0


def test_a_file_that_turns_into_a_symlink_is_not_appended_through(bench: Workbench) -> None:
    hook, mine, link = bench.workspace / ".git" / "hooks" / "file", bench.workspace / "a", bench.workspace / "b"
    hook.write_bytes(b"hook")
    with running(RELINKER, str(mine), str(link), ".git/hooks/file"):
        done, stopped = repeat(lambda: bench.append("a", b"evil"))
    assert hook.read_bytes() == b"hook"
    assert min(done, stopped) > 0


def test_a_name_that_vanishes_while_it_is_judged_does_not_hide_an_exclusion(bench: Workbench) -> None:
    # The kernel tells "a (deleted)" as the place of an open file whose name is gone, which no exclusion names.
    (bench.workspace / "kept").write_bytes(b"secret")
    (bench.workspace / "a (deleted)").touch()
    os.symlink("a", bench.workspace / "link")
    permits = (permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/a"),)
    with running(UNLINKER, str(bench.workspace / "kept"), str(bench.workspace / "a")):
        done, stopped = repeat(lambda: bench.read("link", permits=permits), until_both=False)
    assert done == 0
    assert stopped > 0


def test_renames_elsewhere_do_not_fail_a_resolution_that_goes_upward(bench: Workbench) -> None:
    # RESOLVE_BENEATH answers EAGAIN to '..' while anything on the system is renamed; it must be asked again.
    (bench.workspace / "d").mkdir()
    (bench.workspace / "real").write_bytes(b"here")
    os.symlink("../real", bench.workspace / "secret" / "up")
    os.rename(bench.workspace / "secret", bench.workspace / "open")
    with swapping(bench.workspace, "nowhere"):
        _, stopped = repeat(lambda: bench.read("open/up"), until_both=False)
    assert stopped == 0


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.effects_fs.workbench import Workbench, permit
bench = Workbench(Path(sys.argv[1]))
size = 3_000_000
while True:
    for letter in (b"A", b"B"):
        bench.write("a", letter * size)
        print("written", flush=True)
"""


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(bench: Workbench) -> None:
    repository = str(Path(__file__).parents[2])
    dice = random.Random(7)
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(bench.workspace), repository]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(dice.randint(1, 3)):
                assert writer.stdout.readline() == b"written\n"
            # The moment is what is tested: somewhere within the next write.
            with suppress(subprocess.TimeoutExpired):
                writer.wait(dice.random() * 0.02)
            writer.kill()
        data = (bench.workspace / "a").read_bytes()
        assert data in (b"A" * 3_000_000, b"B" * 3_000_000)
