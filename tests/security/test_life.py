"""How a command ends, and that nothing of it is left: processes, descriptors, mounts, namespaces, files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tek_abi import Budget, MemoryBlobs
from tek_abi.vocabulary.proc import Exec
from tek_effects_proc import open_sandbox, process_effects
from tek_kernel.effect import Cancel, Context
from tests.security.cell import REPOSITORY, preset
from tests.security.world import World

_DAEMON = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(3): os.close(fd)
            os.execve("/usr/bin/sleep", ["sleep", {mark!r}], {{}})
        os._exit(0)
open({begun!r}, "w").close()
time.sleep({wait})
"""


def living(mark: str) -> list[int]:
    """Return the processes that carry a mark among their words, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def none_left(mark: str) -> bool:
    deadline = time.monotonic() + 5
    while living(mark) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not living(mark)


def daemons(mark: str, begun: str, wait: float) -> str:
    return _DAEMON.format(mark=mark, begun=begun, wait=wait)


@pytest.mark.parametrize("repetition", range(10))
class TestNothingSurvives:
    def test_the_end_of_the_command(self, world: World, repetition: int) -> None:
        mark = f"5000.{world.cell.pid}{repetition}1"
        result = world.cell.run(world.workspace, "/usr/bin/python3", "-c", daemons(mark, "begun", 0.05))
        assert result.code == 0, result
        assert (world.workspace / "begun").exists()
        assert living(mark) == []

    def test_its_deadline(self, world: World, repetition: int) -> None:
        mark = f"5000.{world.cell.pid}{repetition}2"
        result = world.cell.run(world.workspace, "/usr/bin/python3", "-c", daemons(mark, "begun", 60), ms=400)
        assert "budget-exhausted" in result.error
        assert (world.workspace / "begun").exists()
        assert living(mark) == []


_RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tek_abi import Budget, MemoryBlobs
from tek_abi.vocabulary.proc import Exec
from tek_effects_proc import open_sandbox, process_effects
from tek_kernel.effect import Cancel, Context
from tests.security.cell import preset
sandbox = open_sandbox()
print(sandbox._spawner._process.pid, flush=True)
(effect,) = process_effects(sys.argv[2], {"PATH": "/usr/bin:/bin"}, sandbox)
context = Context(Budget(ms=60_000, io=1 << 20), (), Cancel(), MemoryBlobs(), "key", held=preset)
try:
    effect.apply(Exec(("/usr/bin/python3", "-c", sys.argv[3])), context)
except Exception as error:
    print(error, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("victim", ["runner", "spawner"])
@pytest.mark.parametrize("repetition", range(30))
def test_nothing_survives_the_sudden_end_of(tmp_path: Path, victim: str, repetition: int) -> None:
    mark = f"5001.{os.getpid()}{repetition}{len(victim)}"
    begun = tmp_path / "begun"
    runner = subprocess.Popen(
        [sys.executable, "-c", _RUNNER, str(REPOSITORY), str(tmp_path), daemons(mark, "begun", 60)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdin is not None
    assert runner.stdout is not None
    spawner = int(runner.stdout.readline())
    deadline = time.monotonic() + 20
    while not (begun.exists() and len(living(mark)) >= 3):
        assert time.monotonic() < deadline, "the command did not begin"
        time.sleep(0.005)

    os.kill(runner.pid if victim == "runner" else spawner, signal.SIGKILL)

    assert none_left(mark)
    runner.stdin.close()
    runner.kill()
    runner.wait(10)
    runner.stdout.close()


def test_a_fork_bomb_is_bounded_and_ends(world: World) -> None:
    bomb = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
        count += 1
except OSError:
    print(count)
"""
    result = world.cell.run(world.workspace, "/usr/bin/python3", "-c", bomb, ms=20_000)
    assert result.code == 0, result
    assert int(result.out) <= 1024


def test_a_flood_of_output_is_cut_and_does_not_fill_the_runner(world: World) -> None:
    before = _resident(world.cell.pid)
    result = world.cell.run(world.workspace, "sh", "-c", "head -c 1G /dev/zero", io=8 << 20)
    assert "budget-exhausted" in result.error
    assert _resident(world.cell.pid) - before < 64 << 20


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_that_is_its_own_is_bounded(world: World) -> None:
    result = world.cell.run(world.workspace, "sh", "-c", "head -c 64M /dev/zero >/tmp/full", io=16 << 20)
    assert result.code != 0
    assert "No space left" in result.err or "File size" in result.err or result.code == -signal.SIGXFSZ, result


def test_a_file_grows_to_the_budget_at_most(world: World) -> None:
    world.cell.run(world.workspace, "sh", "-c", "head -c 64M /dev/zero >full", io=16 << 20)
    assert (world.workspace / "full").stat().st_size <= 16 << 20


@pytest.mark.parametrize("threads", [4])
def test_a_thousand_commands_leave_nothing_behind(tmp_path: Path, threads: int) -> None:
    sandbox = open_sandbox()
    (effect,) = process_effects(tmp_path, {"PATH": "/usr/bin:/bin"}, sandbox)

    def run(_: int) -> None:
        context = Context(Budget(ms=30_000, io=1 << 20), (), Cancel(), MemoryBlobs(), "key", held=preset)
        assert effect.apply(Exec(("true",)), context).value.code == 0

    spawner = sandbox._spawner._process
    assert spawner is not None
    run(0)
    before = _traces(spawner.pid)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(1000)))
    after = _traces(spawner.pid)
    sandbox.close()

    # A slot's namespace is made once for as many as run at once, and kept.
    assert after["descriptors of the spawner"] <= before["descriptors of the spawner"] + threads
    assert {**after, "descriptors of the spawner": 0} == {**before, "descriptors of the spawner": 0}
    assert list(tmp_path.iterdir()) == []


def _traces(spawner: int) -> dict[str, Any]:
    """Return what could have been left, seen from here."""
    gc_wait = time.monotonic() + 2
    while _children(spawner) and time.monotonic() < gc_wait:
        time.sleep(0.01)
    return {
        "descriptors of the spawner": len(os.listdir(f"/proc/{spawner}/fd")),
        "descriptors of the runner": len(os.listdir("/proc/self/fd")),
        "children of the spawner": _children(spawner),
        "mounts of the spawner": len(Path(f"/proc/{spawner}/mountinfo").read_text().splitlines()),
        "mounts of the runner": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "threads": threading.active_count(),
    }


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
