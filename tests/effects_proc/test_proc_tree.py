"""When a command ends, by itself or not, every process that it started ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tek_abi.vocabulary.proc import Exec
from tek_effects_proc.tree import Tree
from tek_kernel.effect import EffectError
from tests.effects_proc.commands import Commands, alive, observed

DAEMON = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
ready, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    {before}
    with open("daemon.pid", "w") as file:
        file.write(str(os.getpid()))
    os.write(tell, b"x")
    while True:
        {forever}
os.read(ready, 1)
{after}
"""


def daemon(before: str = "pass", forever: str = "time.sleep(1)", after: str = "pass") -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", DAEMON.format(before=before, forever=forever, after=after))


def daemon_pid(commands: Commands) -> int:
    return int((commands.workspace / "daemon.pid").read_text())


def test_a_daemon_that_ignores_term_dies_at_the_deadline(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(daemon(after="time.sleep(60)"), timeout=700))
    assert raised.value.code == "timeout"
    assert not alive(daemon_pid(commands))


def test_a_daemon_dies_with_a_command_that_ends_by_itself(commands: Commands) -> None:
    assert commands.run(*daemon()).code == 0
    assert not alive(daemon_pid(commands))


def test_a_daemon_that_keeps_stdout_open_does_not_hold_up_the_answer(commands: Commands) -> None:
    before = time.monotonic()
    exit_ = commands.run(*daemon(after="print('done', flush=True)"))
    assert exit_.stdout.read() == b"done\n"
    assert time.monotonic() - before < 3
    assert not alive(daemon_pid(commands))


def test_a_daemon_that_writes_on_and_on_does_not_hold_up_the_answer(commands: Commands) -> None:
    exit_ = commands.run(*daemon(forever="os.write(1, b'noise' * 1000)"))
    assert exit_.code == 0
    assert not alive(daemon_pid(commands))


def test_a_daemon_that_closed_everything_dies(commands: Commands) -> None:
    commands.run(*daemon(before="keep = os.dup(tell); os.closerange(0, 3)"))
    assert not alive(daemon_pid(commands))


def test_a_command_that_ran_for_long_is_searched_for_among_all_processes(commands: Commands) -> None:
    commands.run(*daemon(after="time.sleep(1.1)"))
    assert not alive(daemon_pid(commands))


def test_a_background_job_without_an_environment_dies_by_its_session(commands: Commands) -> None:
    exit_ = commands.sh("env -i sleep 60 & echo $!")
    assert not alive(int(exit_.stdout.text()))


def test_children_of_a_daemon_die_though_they_cleared_their_environment(commands: Commands) -> None:
    # Many, for they get another parent as soon as the daemon is dead, which may be before their own turn comes
    start = "subprocess.Popen(['sleep', '60'], env={}, start_new_session=True).pid"
    commands.run(
        *daemon(before=f"import subprocess; open('pids', 'w').write(' '.join(str({start}) for _ in range(40)))")
    )
    pids = (commands.workspace / "pids").read_text().split()
    assert len(pids) == 40
    assert not [pid for pid in pids if alive(int(pid))]
    assert not alive(daemon_pid(commands))


def test_a_stopped_command_is_ended_too(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("sh", "-c", "kill -STOP $$"), timeout=300))
    assert not alive(observed(raised.value)["pid"])


def test_a_crowd_is_ended_whole(commands: Commands) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sh -c 'sleep 60 & echo $$ $! >> pids; wait' &); done; sleep 60"
    with pytest.raises(EffectError):
        commands.apply(Exec(("sh", "-c", script), timeout=1000))
    pids = (commands.workspace / "pids").read_text().split()
    assert len(pids) == 20
    assert not [pid for pid in pids if alive(int(pid))]


def test_a_neighbour_lives_on(commands: Commands) -> None:
    # Given a process beside the command that carries the mark of another command
    with subprocess.Popen(["sleep", "60"], env={"TEK_EFFECT": "0" * 32}, start_new_session=True) as neighbour:
        with pytest.raises(EffectError):
            commands.apply(Exec(daemon(after="time.sleep(60)"), timeout=1200))
        assert neighbour.poll() is None
        neighbour.kill()


def test_processes_of_the_same_session_as_the_runner_are_no_members(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as root, subprocess.Popen(["sleep", "60"]) as other:
        Tree(root.pid, b"TEK_EFFECT=none-has-this", time.monotonic()).kill()
        assert root.wait(5) == -9
        assert other.poll() is None
        assert os.getsid(other.pid) == os.getsid(0)
        other.kill()
