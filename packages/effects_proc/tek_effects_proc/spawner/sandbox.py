"""One command from its request to its end, inside its confinement.

``start`` clones a child into new namespaces. The child builds its root, starts the command as its own child and stays
as the first process of the pid namespace: when it ends, all that the command started is ended by the system.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl, ioctl
from typing import Any, NamedTuple, NoReturn

from tek_effects_proc.spawner import seccomp, system
from tek_effects_proc.spawner.landlock import Ruleset
from tek_effects_proc.spawner.mounts import build, root_from
from tek_effects_proc.spawner.probe import attempt_all

PROXY_PORT = 3128
"""Where a command finds the proxy, on the loopback interface of its own network namespace."""

_SPACES = system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC | system.CLONE_NEWUTS
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
"""What the spawner and Python ignore; a program inherits that."""

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class Identity(NamedTuple):
    """Whom the command runs as. ``userns`` maps the owners of its files, or is -1 where it is the runner's user."""

    uid: int
    gid: int
    userns: int

    @property
    def is_mapped(self) -> bool:
        """Whether the runner is root, so that the command must become somebody else."""
        return self.userns >= 0


def start(
    request: dict[str, Any],
    identity: Identity,
    streams: tuple[int, int],
    status: socket.socket,
    lifeline: tuple[int, int],
) -> tuple[int, int]:
    """Start a command and return the id and pidfd of its first process. Raises ``OSError``.

    ``streams`` are its stdout and stderr; what becomes of it is told on ``status``: ``{"listener": ...}`` with a
    socket, ``{"failed": ...}`` where it cannot be confined or executed, ``{"exit": ...}`` at its end. ``lifeline``
    is a pipe whose write end nobody but the spawner keeps.
    """
    flags = _SPACES | (0 if identity.is_mapped else system.CLONE_NEWUSER)
    flags |= system.CLONE_NEWNET if request["network"] or not request["shared_network"] else 0
    pid, pidfd = system.clone(flags)
    if pid == 0:
        _first_process(request, identity, streams, status, lifeline)
    return pid, pidfd


def _first_process(
    request: dict[str, Any],
    identity: Identity,
    streams: tuple[int, int],
    status: socket.socket,
    lifeline: tuple[int, int],
) -> NoReturn:
    """Live as process 1 of the new pid namespace: build it, give every right up, start the command, wait for it."""
    step = "confinement"
    try:
        os.close(lifeline[1])
        rules = _prepare(request, identity, status)
        step = "directory"
        os.chdir(request["cwd"])
        step = "confinement"
        actions = _wiring(streams)
        _confine(request, identity, rules)
        _die_with(lifeline[0])
        system.install_filter(seccomp.program(request["network"]))
        if "probe" in request:
            _probe(request["probe"], streams[0], status)
        step = "program"
        command = os.posix_spawn(
            os.fsencode(request["program"]),
            [os.fsencode(word) for word in request["argv"]],
            {os.fsencode(name): os.fsencode(value) for name, value in request["env"]},
            file_actions=actions,
            setsid=True,
            setsigdef=_IGNORED,
        )
        _keep(command, status)
    except OSError as error:
        _tell(status, {"failed": [step, error.errno, f"{_text(error.filename)}: {error.strerror}"]})
    except BaseException as error:
        _tell(status, {"failed": [step, 0, f"{type(error).__name__}: {error}"]})
    finally:
        os._exit(70)


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _prepare(request: dict[str, Any], identity: Identity, status: socket.socket) -> Ruleset:
    """Do all that needs capabilities."""
    if not identity.is_mapped:
        map_self(identity.uid, identity.gid)
    rules = build(root_from(request["root"]), identity.uid, identity.gid, identity.userns, request["points"])
    socket.sethostname("tek")
    if request["network"]:
        _raise_loopback()
        with socket.create_server(("127.0.0.1", PROXY_PORT), backlog=64) as listener:
            socket.send_fds(status, [b'{"listener":true}'], [listener.fileno()])
    return rules


def map_self(uid: int, gid: int) -> None:
    """Keep the own user and group inside a user namespace, user_namespaces(7)."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "wb", buffering=0) as file:
            file.write(text.encode())


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        flags = struct.unpack("16sh14x", ioctl(handle, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0)))[1]
        ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _wiring(streams: tuple[int, int]) -> list[tuple[int, int, int]]:
    """Return what puts an empty stdin and the two streams in their places; all else is closed by execution."""
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    sources = [fcntl(fd, F_DUPFD_CLOEXEC, 3) for fd in (null, *streams)]  # none may stand in another's place
    system.close_on_exec(3)
    return [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(sources)]


def _confine(request: dict[str, Any], identity: Identity, rules: Ruleset) -> None:
    """Give up every right that the command shall not have, in the order that leaves none behind."""
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")  # of all processes, a command goes first when memory runs out
    for name, bound in request["rlimits"]:
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(number, (bound, bound))
    if identity.is_mapped:
        os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    system.drop_capabilities()
    system.no_new_privileges()
    system.hide()
    rules.restrict()


def _die_with(lifeline: int) -> None:
    """End when the spawner does, even if it has by now. After this no credential changes, which would undo it."""
    system.die_with_parent()
    os.set_blocking(lifeline, False)
    with suppress(BlockingIOError):
        os.read(lifeline, 1)
        os._exit(70)


def _keep(command: int, status: socket.socket) -> NoReturn:
    """Reap whatever ends until the command has, and tell how."""
    kept = status.fileno()
    system.close_range(0, kept - 1)
    system.close_range(kept + 1)
    while True:
        pid, state, used = os.wait4(-1, 0)
        if pid == command:
            break
    message = {
        "exit": os.waitstatus_to_exitcode(state),
        "cpu_ms": round((used.ru_utime + used.ru_stime) * 1000),
        "peak_kib": used.ru_maxrss,
    }
    _tell(status, message)
    os._exit(0)


def _probe(world: dict[str, Any], stdout: int, status: socket.socket) -> NoReturn:
    """Try the self-test in a process that stands where a command would."""
    os.dup2(stdout, 1)
    child = os.fork()
    if child == 0:
        os.setsid()
        attempt_all(world)
    _tell(status, {"exit": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})
    os._exit(0)


def _tell(status: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):
        status.send(json.dumps(message).encode())
