"""A symlink is swapped in between check and use (CWE-367, CWE-59), a hundred thousand times: nothing escapes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tek_abi.vocabulary import fs
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_fs.workbench import Workbench, open_descriptors, resolution

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
INSIDE, OUTSIDE = b"inside", b"outside"

RENAMER = """
import ctypes, os, random, sys, time

workspace, contents = sys.argv[1:]
os.chdir(workspace)
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
HERE, EXCHANGE = -100, 2


def wait():
    time.sleep(random.random() / 10_000)  # waking up, it interrupts an effect at any of its steps


def swap_directory(link):
    for _ in range(2):
        if renameat2(HERE, b"d", HERE, os.fsencode(link), EXCHANGE) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
        wait()


def swap_leaf(link):
    os.symlink(os.readlink(link), "spare")
    os.rename("spare", "e/leaf")
    wait()
    with open("spare", "w") as file:
        file.write(contents)
    os.rename("spare", "e/leaf")
    wait()


print("ready", flush=True)
while True:  # neither name is ever missing
    kind = random.choice((".up", ".absolute", ".excluded", ".winding"))
    swap_directory("d" + kind)
    swap_leaf("e/leaf" + kind)
"""


def plant(top: Path) -> Workbench:
    """``d`` is the directory that is swapped, ``e/leaf`` the file; beside each lie links that lead astray."""
    bench = Workbench(top / "ws")
    for directory in ("ws/d", "ws/e", "ws/secret", "outside"):
        (top / directory).mkdir(parents=True)
    for file in ("ws/d/leaf", "ws/e/leaf", "ws/mine"):
        (top / file).write_bytes(INSIDE)
    for directory in ("ws/secret", "outside"):
        (top / directory / "leaf").write_bytes(OUTSIDE)
        (top / directory / "astray").write_bytes(OUTSIDE)
    for name, up, file in (("d", "", ""), ("e/leaf", "../", "/leaf")):
        targets = {"up": f"{up}../outside{file}", "absolute": f"{top}/outside{file}",
                   "excluded": f"{up}secret{file}", "winding": f"{up}e/../../outside/../outside{file}"}  # fmt: skip
        for kind, target in targets.items():
            os.symlink(target, top / "ws" / f"{name}.{kind}")
    return bench


@contextmanager
def renaming(workspace: Path) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", "-c", RENAMER, str(workspace), INSIDE.decode()]
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


def inodes(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that an escape would change: every name, the file that has it, its last change, its contents."""
    result = {}
    for path in directory.iterdir():
        status = path.stat()
        result[path.name] = (status.st_ino, status.st_mtime_ns, path.read_bytes())
    return result


def tries(bench: Workbench) -> dict[str, Callable[[], bool]]:
    """Every way to use a path that is being swapped. Each tells whether what it saw was inside."""
    inside = bench.ask(fs.Hash("mine")).value

    def names(path: str) -> bool:
        return "astray" not in bench.names(path) and not bench.ask(fs.Glob(f"{path}/a*")).value

    def asked(request: Any) -> Callable[[], bool]:
        return lambda: bench.ask(request).value in (None, inside)

    return {
        "read beneath": lambda: bench.read("d/leaf") == INSIDE,
        "read": lambda: bench.read("e/leaf") == INSIDE,
        "hash": asked(fs.Hash("d/leaf")),
        "list": lambda: names("d"),
        "write beneath": lambda: bench.write("d/leaf", INSIDE).value is None,
        "create beneath": lambda: bench.write("d/new", INSIDE).value is None,
        "write": lambda: bench.write("e/leaf", INSIDE).value is None,
        "append": lambda: bench.append("e/leaf", b"").value is None,
        "copy from beneath": asked(fs.Copy("d/leaf", "copied")),
        "copy from": asked(fs.Copy("e/leaf", "copied")),
        "copy beneath": asked(fs.Copy("mine", "d/leaf")),
        "copy to": asked(fs.Copy("mine", "e/leaf")),
    }


@pytest.mark.parametrize(("way", "count"), [("openat2", 100_000), ("walk", 30_000)])
def test_a_name_that_is_swapped_with_a_symlink_lets_nothing_escape(way: str, count: int) -> None:
    done, stopped, escaped = Counter[str](), Counter[str](), Counter[str]()
    with resolution(way), tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        top = Path(directory).resolve()
        bench = plant(top)
        ways, dice = list(tries(bench).items()), random.Random(7)
        guarded = [top / "outside", top / "ws" / "secret"]
        before, held = [inodes(each) for each in guarded], len(open_descriptors())

        with renaming(top / "ws"):
            for _ in range(count):
                kind, attempt = dice.choice(ways)
                try:
                    (done if attempt() else escaped)[kind] += 1
                except (EffectError, EffectRefused):
                    stopped[kind] += 1

        assert not escaped
        assert [inodes(each) for each in guarded] == before
        assert (top / "ws" / "copied").read_bytes() == INSIDE
        assert not list((top / "ws").rglob(".tek-*"))
        assert len(open_descriptors()) == held
    assert done.total() + stopped.total() == count
    for kind, _ in ways:  # a swap that is never met, or always, would prove nothing
        assert min(done[kind], stopped[kind]) > count // 1_000, (kind, done[kind], stopped[kind])
