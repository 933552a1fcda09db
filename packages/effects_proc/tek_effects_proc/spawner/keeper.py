"""A command whose first process is not the first of a pid namespace that we made: something else must end its tree.

The keeper stays outside of the confinement. It adopts whatever loses its parent, ends all that is left when the
command has ended, when it is told to (SIGTERM) or when the spawner ends, and ends itself only after that.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from tek_effects_proc.spawner import system
from tek_effects_proc.spawner.sandbox import IGNORED, close_all_but, report, tell, text_of

AWAITED = (signal.SIGTERM, signal.SIGCHLD)
"""What a keeper waits for; blocked already when it is started."""


class Confinement(Protocol):
    """A way to confine that is not made by namespaces of our own. All but ``enter`` is called in the keeper."""

    def hold(self) -> tuple[int, ...]:
        """Get ready and return the descriptors that the keeper must have. Raises ``OSError``."""
        ...

    def enter(self, stdout: int) -> NoReturn:
        """Become the command, in a process of its own with its streams in place. Raises ``OSError``."""
        ...

    def end(self, command: int) -> None:
        """Kill all that is left of the process ``command`` and what it started."""
        ...

    def finish(self) -> str:
        """Clean up when all has ended, and return why the command was never started, nothing if it was."""
        ...


def start(
    confinement: Confinement, streams: tuple[int, int], status: socket.socket, lifeline: tuple[int, int]
) -> tuple[int, int]:
    """Start a keeper with its command and return its id and pidfd. ``lifeline`` is a pipe
    whose write end nobody but the spawner keeps.
    """
    pid, pidfd = system.clone(0)
    if pid == 0:
        _guarded("confinement", status, lambda: _keep(confinement, streams, status, lifeline))
    return pid, pidfd


def _guarded(step: str, status: socket.socket, work: Callable[[], object]) -> NoReturn:
    try:
        work()
    except OSError as error:
        tell(status, {"failed": [step, error.errno, f"{text_of(error.filename)}: {error.strerror}"]})
    except BaseException as error:
        tell(status, {"failed": [step, 0, f"{type(error).__name__}: {error}"]})
    finally:
        os._exit(70)


def _keep(
    confinement: Confinement, streams: tuple[int, int], status: socket.socket, lifeline: tuple[int, int]
) -> NoReturn:
    os.close(lifeline[1])
    system.adopt()
    kept = confinement.hold()
    system.die_with_parent(signal.SIGTERM)
    os.set_blocking(lifeline[0], False)
    with suppress(BlockingIOError):
        os.read(lifeline[0], 1)
        os._exit(70)
    command = os.fork()
    if command == 0:
        _guarded("program", status, lambda: _become(confinement, streams))
    close_all_but(status.fileno(), *kept)
    state = None
    while state is None:
        if signal.sigwait(AWAITED) == signal.SIGTERM:
            break
        state = _reap(command)
    confinement.end(command)
    used = _reap_all()
    problem = confinement.finish()
    if state is not None:
        tell(status, {"failed": ["confinement", 0, problem]} if problem else report(state, used))
    os._exit(0)


def _become(confinement: Confinement, streams: tuple[int, int]) -> None:
    for number in (*IGNORED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for place, fd in enumerate((null, *streams)):
        os.dup2(fd, place)
    system.close_on_exec(3)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    confinement.enter(1)


def _reap(command: int) -> int | None:
    """Reap what has ended by now; return how the command did, if it is among that."""
    state = None
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == command:
            state = status
        if pid in (0, command):
            return state


def _reap_all() -> resource.struct_rusage:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def processes_of(uid: int) -> int:
    """Return how many processes and threads a user has, among which RLIMIT_NPROC counts where no user namespace
    has a count of its own.
    """
    count = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def bound(limits: list[tuple[str, int]]) -> None:
    """Put resource limits in force for this process and go first when memory runs out."""
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")
    for name, most in limits:
        most += processes_of(os.getuid()) if name == "NPROC" else 0
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (most, most))


def words(request: dict[str, Any]) -> tuple[bytes, list[bytes], dict[bytes, bytes]]:
    """Return the program, its words and its variables as a request names them."""
    environment = {os.fsencode(name): os.fsencode(value) for name, value in request["env"]}
    return os.fsencode(request["program"]), [os.fsencode(word) for word in request["argv"]], environment


def written(name: str, data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read, open in programs that are executed."""
    fd = os.memfd_create(name, 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def told(fd: int) -> list[dict[str, Any]]:
    """Return the JSON lines that are in a pipe whose other end is closed."""
    with open(fd, "rb", closefd=False) as file:
        return [json.loads(line) for line in file.read().splitlines()]
