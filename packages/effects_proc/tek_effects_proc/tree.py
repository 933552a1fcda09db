"""Ending a command with every process that it started.

A process belongs to a command if it is in its session or group, carries its mark in the environment, or descends
from one that does. A daemon that leaves the session, loses its parents and clears its environment is not found
here: only a pid namespace holds such a one, and what happens if the runner itself is killed (PR_SET_PDEATHSIG) is
left to that layer too. A subreaper would catch orphans, but it is a property of the whole runner, in which other
threads wait for children of their own.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

import attrs

from tek_abi import TekError

_YOUNG = 1.0  # seconds in which process ids cannot have wrapped around
_PATIENCE = 5.0
_ROUND = 0.05


@attrs.define(str=False)
class Undying(TekError):
    """Processes of a command are still there after they were killed: set-id programs, or a stuck device."""

    pids: tuple[int, ...]

    def __str__(self) -> str:
        return f"the command left processes that could not be ended: {', '.join(map(str, self.pids))}"


@attrs.frozen
class _Process:
    """A line of /proc/PID/stat. ``started`` tells two processes with one id apart.

    The rest may change while it lives, as its parent does when that is killed first.
    """

    pid: int
    parent: int = attrs.field(eq=False)
    group: int = attrs.field(eq=False)
    session: int = attrs.field(eq=False)
    started: int


@attrs.frozen
class Tree:
    """The processes of one command. ``root`` leads its session and is not reaped, so its id cannot be another's.

    ``mark`` is ``NAME=value`` in the environment, unique to the command; ``since`` is monotonic time at its start.
    """

    root: int
    mark: bytes
    since: float

    def kill(self) -> None:
        """Kill all and return when none is left. Raises ``Undying``."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.root, signal.SIGKILL)
        give_up = time.monotonic() + _PATIENCE
        while members := self._members():
            if time.monotonic() > give_up:
                raise Undying(tuple(process.pid for process in members))
            _kill(members)

    def _members(self) -> list[_Process]:
        processes = [process for pid in self._candidates() if (process := _living(pid)) is not None]
        mine = {process.pid for process in processes if self._marked(process)}
        size = -1
        while size != len(mine):
            size = len(mine)
            mine.update(process.pid for process in processes if process.parent in mine)
        return [process for process in processes if process.pid in mine]

    def _marked(self, process: _Process) -> bool:
        if self.root in (process.pid, process.group, process.session):
            return True
        try:
            with open(f"/proc/{process.pid}/environ", "rb", buffering=0) as file:
                return self.mark in file.read()
        except OSError:
            return False

    def _candidates(self) -> list[int]:
        """Return the processes that may be members: those younger than the root, which are few or none."""
        oldest = 0
        if time.monotonic() - self.since < _YOUNG:
            with open("/proc/loadavg", "rb", buffering=0) as file:
                newest = int(file.read().split()[-1])
            if newest == self.root:
                return [self.root]
            oldest = self.root if newest > self.root else 0
        return [pid for name in os.listdir("/proc") if name.isdecimal() and (pid := int(name)) >= oldest]


def _living(pid: int) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # A process whose first thread has ended looks like a zombie while its other threads live.
    if fields[0] in (b"Z", b"X") and int(fields[17]) <= 1:
        return None
    return _Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _kill(members: Iterable[_Process]) -> None:
    """Kill each and wait a moment until all are gone. A pidfd names one process for good, so nobody else is hit."""
    with ExitStack() as opened:
        handles: list[int] = []
        for process in members:
            with suppress(OSError):
                handle = os.pidfd_open(process.pid)
                opened.callback(os.close, handle)
                if _living(process.pid) == process:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    handles.append(handle)
        give_up = time.monotonic() + _ROUND
        for handle in handles:
            select.select([handle], [], [], max(0.0, give_up - time.monotonic()))
