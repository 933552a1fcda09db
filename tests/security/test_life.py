"""How a command ends, and that nothing of it is left: processes, descriptors, mounts, namespaces, files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.security.cell import LEVELS, REPOSITORY
from tests.security.world import World

NIGHTLY = "TEK_NIGHTLY" in os.environ

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


_AT_ONCE = 20
"""Commands under way together; each test of an end is made five times."""


@pytest.mark.parametrize("repetition", range(5))
class TestNothingSurvives:
    def test_the_end_of_the_command(self, world: World, repetition: int) -> None:
        mark = f"5000.{world.cell.pid}{repetition}1"
        script = daemons(mark, "begun", 0.05)
        result = world.cell.run(
            world.workspace, "/usr/bin/python3", "-c", script, times=_AT_ONCE, at_once=_AT_ONCE // 4
        )
        assert result.code == 0, result
        assert (world.workspace / "begun").exists()
        assert living(mark) == []

    def test_its_deadline(self, world: World, repetition: int) -> None:
        mark = f"5000.{world.cell.pid}{repetition}2"
        script = _DAEMONS.format(mark=mark).replace("NUMBER", "$$")
        result = world.cell.run(world.workspace, "/bin/sh", "-c", script, ms=1500, times=_AT_ONCE, at_once=_AT_ONCE)
        assert "budget-exhausted" in result.error
        assert list(world.workspace.glob("begun.*"))
        assert living(mark) == []


_RUNNER = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from tests.security.cell import Job, carry_out, open_level, preset
from tek_abi import Budget
from tek_effects_proc import process_effects
sandbox = open_level(sys.argv[2])
(effect,) = process_effects(sys.argv[3], {"PATH": "/usr/bin:/bin"}, sandbox)
print(sandbox._spawner._process.pid, flush=True)
for number in range(int(sys.argv[5])):
    argv = ("/usr/bin/sh", "-c", sys.argv[4].replace("NUMBER", str(number)))
    job = Job(sys.argv[3], argv, preset(), Budget(ms=60_000, io=1 << 20))
    threading.Thread(target=carry_out, args=(effect, job), daemon=True).start()
sys.stdin.read()
os._exit(0)
"""
_DAEMONS = """
trap '' TERM HUP INT
for each in 1 2 3; do (setsid sh -c 'env -i sleep {mark} >/dev/null 2>&1 &') ; done
: >begun.NUMBER
exec sleep 60
"""


@pytest.mark.parametrize("victim", ["runner", "spawner"])
@pytest.mark.parametrize("repetition", range(5))
def test_nothing_survives_the_sudden_end_of(world: World, victim: str, repetition: int) -> None:
    """Five times twenty commands at each level, each with three daemons that have left its session."""
    mark = f"5001.{world.cell.pid}{repetition}{len(victim)}"
    script = _DAEMONS.format(mark=mark)
    words = [sys.executable, "-c", _RUNNER, str(REPOSITORY), world.cell.way, str(world.workspace), script]
    with subprocess.Popen(
        [*words, str(_AT_ONCE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as runner:
        assert runner.stdout is not None
        spawner = int(runner.stdout.readline())
        wait_for(lambda: len(living(mark)) >= 3 * _AT_ONCE)

        os.kill(runner.pid if victim == "runner" else spawner, signal.SIGKILL)

        try:
            assert none_left(mark)
        finally:
            runner.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the commands did not begin"
        time.sleep(0.01)


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
    # Where no user namespace has a count of its own, processes of the user's others may end meanwhile.
    assert int(result.out) <= 1024 + 256


def test_a_flood_of_output_is_cut_and_does_not_fill_the_runner(world: World) -> None:
    before = _resident(world.cell.pid)
    result = world.cell.run(world.workspace, "sh", "-c", "head -c 1G /dev/zero", io=8 << 20)
    assert "budget-exhausted" in result.error
    assert _resident(world.cell.pid) - before < 64 << 20


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_that_is_its_own_is_bounded(world: World) -> None:
    result = world.cell.run(world.workspace, "sh", "-c", "head -c 64M /dev/zero >${TMPDIR:-/tmp}/full", io=16 << 20)
    assert result.code != 0
    assert "No space left" in result.err or "budget-exhausted" in result.error, result


def test_a_file_grows_to_the_budget_at_most(world: World) -> None:
    world.cell.run(world.workspace, "sh", "-c", "head -c 64M /dev/zero >full", io=16 << 20)
    assert (world.workspace / "full").stat().st_size <= 16 << 20


def test_a_thousand_commands_leave_nothing_behind(world: World) -> None:
    """A thousand at the strongest level; each of the others is run as often by the nightly tests."""
    times = 1000 if NIGHTLY or world.cell.level == LEVELS[0] else 250
    (spawner,) = map(int, _children(world.cell.pid))
    world.cell.run(world.workspace, "true", times=4, at_once=4)
    files = sorted(world.workspace.iterdir())
    before = _traces(world.cell.pid, spawner)

    assert world.cell.run(world.workspace, "true", times=times, at_once=4).code == 0

    after = _traces(world.cell.pid, spawner)
    # A slot's namespace is made once for as many as run at once, and kept.
    assert after[0] <= before[0] + 4
    assert after[1:] == before[1:]
    assert sorted(world.workspace.iterdir()) == files
    assert list(Path("/var/tmp").glob(f"tek-{spawner}-*")) == []


def _traces(runner: int, spawner: int) -> tuple[int, ...]:
    """Return what could have been left, seen from here: descriptors, children, mounts."""
    reaped = time.monotonic() + 2
    while _children(spawner) and time.monotonic() < reaped:
        time.sleep(0.01)
    return (
        len(os.listdir(f"/proc/{spawner}/fd")),
        len(os.listdir(f"/proc/{runner}/fd")),
        len(_children(spawner)),
        *(len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) for pid in (runner, spawner)),
    )


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
