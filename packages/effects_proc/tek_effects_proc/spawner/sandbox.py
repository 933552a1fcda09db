"""One command from its request to its end, inside its confinement.

``prepare`` clones a child into new namespaces, ahead of time, where it waits for a request. Then it builds its root,
starts the command as its own child and stays as the first process of the pid namespace: when it ends, all that the
command started is ended by the system.
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
from tek_effects_proc.spawner.ahead import Account, account, still_stands
from tek_effects_proc.spawner.files import read_all
from tek_effects_proc.spawner.landlock import Ruleset
from tek_effects_proc.spawner.mounts import Built, Stock, abandon, build, enter, root_from, stock
from tek_effects_proc.spawner.probe import attempt_all

PROXY_PORT = 3128
"""Where a command finds the proxy, on the loopback interface of its own network namespace."""

_SPACES = system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC | system.CLONE_NEWUTS
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
"""What the spawner and Python ignore; a program would inherit that."""

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


class Host(NamedTuple):
    """What a first process knows from its birth on: the user that it keeps, ``None`` where it will become another;
    the host's mount points; and a pipe whose write end nobody but the spawner keeps.
    """

    user: tuple[int, int] | None
    points: list[str]
    lifeline: tuple[int, int]


class Expected(NamedTuple):
    """The command that will presumably be asked for: its root's digest with its files' owner, a request that holds
    such a root, and whom it will run as.
    """

    key: tuple[str, int, int]
    payload: int
    identity: Identity


class Waiting(NamedTuple):
    """A first process that waits in its namespaces for its request, and ends when ``requests`` is closed.

    Where one is ``expected``, it builds that one's root meanwhile.
    """

    pid: int
    pidfd: int
    requests: socket.socket
    expected: Expected | None


def prepare(host: Host, network: bool, shared_network: bool, expected: Expected | None) -> Waiting:
    """Start the first process of a command ahead of its request. Raises ``OSError``."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    flags = _SPACES | (system.CLONE_NEWUSER if host.user is not None else 0)
    flags |= system.CLONE_NEWNET if network or not shared_network else 0
    pid, pidfd = system.clone(flags)
    if pid == 0:
        _first_process(host, network, theirs, expected)
    theirs.close()
    return Waiting(pid, pidfd, ours, expected)


def start(waiting: Waiting, identity: Identity, fds: list[int]) -> None:
    """Hand a request over: the descriptors of its JSON, stdout, stderr and status socket. Raises ``OSError``.

    What becomes of it is told on the status socket: ``{"listener": ...}`` with a socket, ``{"failed": ...}`` where it
    cannot be confined or executed, ``{"exit": ...}`` at its end.
    """
    userns = [identity.userns] if identity.is_mapped else []
    with waiting.requests as requests:
        socket.send_fds(requests, [b"%d %d" % (identity.uid, identity.gid)], [*fds, *userns])


def _first_process(host: Host, network: bool, requests: socket.socket, expected: Expected | None) -> NoReturn:
    """Live as process 1 of the new pid namespace: build it, give every right up, start the command, wait for it."""
    step, status = "confinement", None
    try:
        needed = () if expected is None else (expected.payload, max(expected.identity.userns, 0))
        close_all_but(0, 1, 2, host.lifeline[0], requests.fileno(), *needed)
        ahead = _settle(host, network)
        foreseen = None
        if expected is not None and not isinstance(ahead, OSError):
            foreseen = _foresee(expected, ahead, host.points)
        message, fds, _, _ = socket.recv_fds(requests, 64, 5)
        if not message:
            os._exit(0)
        payload, *streams = fds[:3]
        status = socket.socket(fileno=fds[3])
        if isinstance(ahead, OSError):
            raise ahead
        request = json.loads(read_all(payload))
        uid, gid = map(int, message.split())
        identity = Identity(uid, gid, fds[4] if len(fds) == 5 else -1)
        if foreseen is not None and still_stands(foreseen.account):
            built = foreseen.built
        else:
            if expected is not None:
                abandon(ahead)
                ahead = stock()
            built = build(root_from(request["root"]), ahead, identity, host.points)
        enter(built, request["scratch_bytes"])
        rules = built.rules
        if network:
            _listen(status)
            rules.allow_connecting(PROXY_PORT)
        step = "directory"
        os.chdir(request["cwd"])
        step = "confinement"
        actions = _wiring((streams[0], streams[1]))
        _confine(request, identity, rules)
        _die_with(host.lifeline[0])
        system.install_filter(seccomp.program(network=network, shared=False))
        if "probe" in request:
            _probe(request["probe"], streams[0], status)
        step = "program"
        command = os.posix_spawn(
            os.fsencode(request["program"]),
            [os.fsencode(word) for word in request["argv"]],
            {os.fsencode(name): os.fsencode(value) for name, value in request["env"]},
            file_actions=actions,
            setsid=True,
            setsigdef=IGNORED,
        )
        _keep(command, status)
    except OSError as error:
        tell(status, {"failed": [step, error.errno, f"{text_of(error.filename)}: {error.strerror}"]})
    except BaseException as error:
        tell(status, {"failed": [step, 0, f"{type(error).__name__}: {error}"]})
    finally:
        os._exit(70)


def text_of(name: object) -> str:
    """Return the name of a file or call that an error carries, as text."""
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _settle(host: Host, network: bool) -> Stock | OSError:
    """Do what no request is needed for. What goes wrong is returned, to be told once there is one."""
    try:
        system.die_with_parent()
        if host.user is not None:
            map_self(*host.user)
        socket.sethostname("tek")
        if network:
            _raise_loopback()
        return stock()
    except OSError as error:
        return error


class _Foreseen(NamedTuple):
    built: Built
    account: Account


def _foresee(expected: Expected, made: Stock, points: list[str]) -> _Foreseen | None:
    """Build the root of the command that is expected. What goes wrong is told when it goes wrong again."""
    with suppress(OSError):
        root = root_from(json.loads(read_all(expected.payload))["root"])
        built = build(root, made, expected.identity, points)
        return _Foreseen(built, account(built.origins))
    return None


def _listen(status: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", PROXY_PORT), backlog=64) as listener:
        socket.send_fds(status, [b'{"listener":true}'], [listener.fileno()])


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
    close_all_but(status.fileno())
    while True:
        pid, state, used = os.wait4(-1, 0)
        if pid == command:
            break
    tell(status, report(state, used))
    os._exit(0)


def report(state: int, used: resource.struct_rusage) -> dict[str, Any]:
    """Return what is told of a command that has ended."""
    return {
        "exit": os.waitstatus_to_exitcode(state),
        "cpu_ms": round((used.ru_utime + used.ru_stime) * 1000),
        "peak_kib": used.ru_maxrss,
    }


def _probe(world: dict[str, Any], stdout: int, status: socket.socket) -> NoReturn:
    """Try the self-test in a process that stands where a command would."""
    os.dup2(stdout, 1)
    child = os.fork()
    if child == 0:
        os.setsid()
        attempt_all(world)
    tell(status, {"exit": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})
    os._exit(0)


def close_all_but(*kept: int) -> None:
    """Close every other descriptor."""
    first = 0
    for fd in sorted(kept):
        if fd > first:
            system.close_range(first, fd - 1)
        first = fd + 1
    system.close_range(first)


def tell(status: socket.socket | None, message: dict[str, Any]) -> None:
    """Send a message to the runner, if it still listens."""
    with suppress(OSError):
        if status is not None:
            status.send(json.dumps(message).encode())
