"""The spawner's loop: one request a command, on a socket that the runner holds the other end of.

A request is a message that says who owns the files and whether there is a network, with four descriptors: a file with
the rest as JSON, the command's stdout and stderr, and the status socket on which the answer is given. When the runner
ends, so does the socket, the spawner, and with it every command.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tek_effects_proc.spawner import keeper, landlock, seccomp, system
from tek_effects_proc.spawner.bubblewrap import Bubblewrap
from tek_effects_proc.spawner.files import read_all
from tek_effects_proc.spawner.landlocked import Landlocked
from tek_effects_proc.spawner.mounts import cover_devices, mount_points
from tek_effects_proc.spawner.sandbox import Expected, Host, Identity, Waiting, map_self, prepare, start, tell

_KEPT: dict[str, Callable[[dict[str, Any]], keeper.Confinement]] = {"bwrap": Bubblewrap, "landlock": Landlocked}
"""The levels at which the spawner has no namespaces of its own."""

_FIRST_UID = 200_000
_RANGE = 65_536
_RUNS, _SLOTS = 1024, 63  # so that all of their ranges fit into 32 bits


class _Owners:
    """User ranges that commands run in, one each while it runs, so that each has its own count of processes.

    Spawners start at different ranges: the processes of one run's command must not use up those of another's.
    """

    def __init__(self) -> None:
        self._namespaces: dict[tuple[int, int, int], int] = {}
        self._taken: set[int] = set()

    def take(self, uid: int, gid: int) -> tuple[int, Identity]:
        """Return a free slot, and who owns inside what ``uid`` and ``gid`` own outside."""
        slot = next(number for number in range(len(self._taken) + 1) if number not in self._taken)
        first = _FIRST_UID + (os.getpid() % _RUNS * _SLOTS + slot) * _RANGE
        key = (slot, uid, gid)
        if key not in self._namespaces:
            self._namespaces[key] = _namespace(_extents(uid, first), _extents(gid, first))
        self._taken.add(slot)
        return slot, Identity(_inside(uid, first), _inside(gid, first), self._namespaces[key])

    def release(self, slot: int) -> None:
        """Let another command have the slot."""
        self._taken.discard(slot)


def _extents(owner: int, first: int) -> str:
    if owner < _RANGE:
        return f"0 {first} {_RANGE}"
    return f"0 {first} {_RANGE - 1}\n{owner} {first + _RANGE - 1} 1"


def _inside(owner: int, first: int) -> int:
    return first + min(owner, _RANGE - 1)


def _namespace(uids: str, gids: str) -> int:
    """Return a user namespace with these maps. The process that it is made with ends at once."""
    waiting, go = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = system.clone(system.CLONE_NEWUSER)
    if pid == 0:
        os.close(go)
        os.read(waiting, 1)
        os._exit(0)
    try:
        for name, text in (("uid_map", uids), ("gid_map", gids)):
            with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
                file.write(text.encode())
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(go)
        os.close(waiting)
        os.waitpid(pid, 0)
        os.close(pidfd)


_Key = tuple[str, int, int]
"""What two commands share that can have each other's root: its digest, and the user and group of the files."""


def _key(head: dict[str, Any]) -> _Key:
    return head["root"], *head["owner"]


class Spawner:
    """Serves requests until the runner's end of ``requests`` is closed."""

    def __init__(self, requests: socket.socket, level: str) -> None:
        self._requests = requests
        self._level = level
        # The write end lives as long as this process, and in no other.
        self._lifeline = os.pipe2(os.O_CLOEXEC)
        self._poll = select.poll()
        self._owners = _Owners()
        self._running: dict[int, int | None] = {}
        self._roots: dict[int, int] = {}
        self._user = None if os.getuid() == 0 else (os.getuid(), os.getgid())
        if level not in _KEPT:
            self._leave()
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._points: list[str] = []
        self._waiting: Waiting | None = None
        self._last: tuple[str, int, int] | None = None
        # Commands without a network share an empty namespace where nothing but abstract sockets could be shared,
        # and those are out of each other's reach.
        self._shares_network = landlock.version() >= landlock.SCOPES_SINCE

    def _leave(self) -> None:
        """Enter namespaces that commands branch off from."""
        if self._user is None:
            system.drop_bounding_set()
            system.unshare(system.CLONE_NEWNET | system.CLONE_NEWNS)
        else:
            system.unshare(system.CLONE_NEWUSER | system.CLONE_NEWNET | system.CLONE_NEWNS)
            map_self(*self._user)
        system.keep_mounts_here()
        cover_devices()

    def serve(self) -> None:
        """Take requests and reap what has ended."""
        self._poll.register(self._requests, select.POLLIN)
        self._poll.register(self._mounts, select.POLLPRI)  # the host has mounted something
        self._look_at_mounts()
        while True:
            # What is mounted is looked at before a request that may name it.
            for fd, _ in sorted(self._poll.poll(), key=lambda event: event[0] != self._mounts):
                if fd == self._mounts:
                    self._look_at_mounts()
                elif fd != self._requests.fileno():
                    self._reap(fd)
                else:
                    try:
                        message, fds, _, _ = socket.recv_fds(self._requests, 512, 4)
                    except ConnectionError:
                        return  # the runner was killed with something unread, unix(7)
                    if not message:
                        return
                    self._take(json.loads(message), fds)

    def _look_at_mounts(self) -> None:
        self._points = mount_points(read_all(self._mounts))
        self._dismiss()  # it knows other ones

    def _take(self, head: dict[str, Any], fds: list[int]) -> None:
        """Start what a request asks for, hand its pidfd to the runner, and prepare for the next one."""
        status = socket.socket(fileno=fds[3])
        try:
            if self._level in _KEPT:
                kept = _KEPT[self._level](json.loads(read_all(fds[0])))
                pid, pidfd = keeper.start(kept, (fds[1], fds[2]), status, self._lifeline)
            else:
                pid, pidfd = self._start(_key(head), head["network"], fds)
            with suppress(OSError):  # whoever asked has given up; it is still ours to reap
                socket.send_fds(status, [json.dumps({"started": pid}).encode()], [pidfd])
            if self._level in _KEPT:
                self._watch(pidfd)
            else:
                self._look_ahead(_key(head), fds[0])
        except OSError as error:
            tell(status, {"failed": ["confinement", error.errno, f"{error.filename}: {error.strerror}"]})
        finally:
            status.close()
            for fd in fds[:3]:
                os.close(fd)

    def _start(self, key: _Key, network: bool, fds: list[int]) -> tuple[int, int]:
        waiting = self._ready(key, network)
        if waiting.expected is not None:
            identity = waiting.expected.identity
        else:
            self._running[waiting.pidfd], identity = self._owner(key)
        start(waiting, identity, fds)
        return waiting.pid, waiting.pidfd

    def _ready(self, key: _Key, network: bool) -> Waiting:
        """Return a first process, one that waits already where there is one that fits."""
        waiting = self._waiting
        if network or waiting is None:
            return self._prepare(network)
        if waiting.expected is not None and waiting.expected.key != key:
            self._dismiss()
            return self._prepare(network)
        self._waiting = None
        return waiting

    def _look_ahead(self, key: _Key, payload: int) -> None:
        """Prepare for the next command: with a root where the last two had the same, unless others run that would do
        better with the processor.
        """
        expected, slot = None, None
        if self._waiting is None:
            with suppress(OSError):  # then the next command is told
                if key == self._last and len(self._running) == 1:
                    slot, identity = self._owner(key)
                    expected = Expected(key, payload, identity)
                self._waiting = self._prepare(False, expected)
                self._running[self._waiting.pidfd], slot = slot, None
        if slot is not None:
            self._owners.release(slot)
        self._last = key

    def _owner(self, key: _Key) -> tuple[int | None, Identity]:
        """Return whom a command runs as, and the slot that it takes, if any."""
        return self._owners.take(key[1], key[2]) if self._user is None else (None, Identity(*self._user, -1))

    def _prepare(self, network: bool, expected: Expected | None = None) -> Waiting:
        host = Host(self._user, self._points, self._lifeline)
        waiting = prepare(host, network, self._shares_network, expected)
        self._watch(waiting.pidfd)
        # The last holder of its mounts waits until the system has taken them apart: that shall not be the command.
        with suppress(OSError):
            self._roots[waiting.pidfd] = os.open(f"/proc/{waiting.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        return waiting

    def _dismiss(self) -> None:
        if self._waiting is not None:
            self._waiting.requests.close()
            self._waiting = None

    def _watch(self, pidfd: int) -> None:
        self._running[pidfd] = None
        self._poll.register(pidfd, select.POLLIN)

    def _reap(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        if self._waiting is not None and self._waiting.pidfd == pidfd:
            self._dismiss()
        if pidfd in self._roots:
            os.close(self._roots.pop(pidfd))
        slot = self._running.pop(pidfd)
        if slot is not None:
            self._owners.release(slot)


def main(fd: int, level: str) -> None:
    """Run on the socket ``fd`` for one level. The first message tells what cannot be set up, or ``{"ready": true}``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    if level in _KEPT:
        signal.pthread_sigmask(signal.SIG_BLOCK, keeper.AWAITED)  # a keeper must miss none, from its beginning
    with socket.socket(fileno=fd) as requests:
        requests.set_inheritable(False)
        try:
            spawner = Spawner(requests, level)
        except OSError as error:
            requests.send(json.dumps({"failed": f"{error.filename}: {error.strerror}"}).encode())
            return
        # Every command starts as a copy of this process: what is made here is made once, and what the collector does
        # not touch need not be copied.
        for network, shared in ((False, True),) if level == "landlock" else ((False, False), (True, False)):
            seccomp.program(network=network, shared=shared)
        gc.disable()
        gc.freeze()
        with suppress(ConnectionError):  # the runner was killed meanwhile
            requests.send(b'{"ready":true}')
            spawner.serve()
