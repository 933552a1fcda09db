"""The spawner's loop: one request a command, on a socket that the runner holds the other end of.

A request is a message with four descriptors: a file with its JSON, the command's stdout and stderr, and the status
socket on which the answer is given. When the runner ends, so does the socket, the spawner, and with it every command.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
from contextlib import suppress
from typing import Any

from tek_effects_proc.spawner import landlock, seccomp, system
from tek_effects_proc.spawner.mounts import mount_points
from tek_effects_proc.spawner.sandbox import Identity, map_self, start

_FIRST_UID = 200_000
_RANGE = 65_536
_PIECE = 1 << 20


class _Owners:
    """User ranges that commands run in, one each while it runs, so that each has its own count of processes."""

    def __init__(self) -> None:
        self._namespaces: dict[tuple[int, int, int], int] = {}
        self._taken: set[int] = set()

    def take(self, uid: int, gid: int) -> tuple[int, Identity]:
        """Return a free slot, and who owns inside what ``uid`` and ``gid`` own outside."""
        slot = next(number for number in range(len(self._taken) + 1) if number not in self._taken)
        first = _FIRST_UID + slot * _RANGE
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


class Spawner:
    """Serves requests until the runner's end of ``requests`` is closed."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        # The write end lives as long as this process, and in no other.
        self._lifeline = os.pipe2(os.O_CLOEXEC)
        self._owners = _Owners()
        self._running: dict[int, int] = {}
        self._is_root = os.getuid() == 0
        if self._is_root:
            system.drop_bounding_set()
            system.unshare(system.CLONE_NEWNET | system.CLONE_NEWNS)
        else:
            uid, gid = os.getuid(), os.getgid()
            system.unshare(system.CLONE_NEWUSER | system.CLONE_NEWNET | system.CLONE_NEWNS)
            map_self(uid, gid)
        system.keep_mounts_here()
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._points: list[str] = []
        # Commands without a network share an empty namespace where nothing but abstract sockets could be shared,
        # and those are out of each other's reach.
        self._shares_network = landlock.version() >= landlock.SCOPES_SINCE

    def serve(self) -> None:
        """Take requests and reap what has ended."""
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        poll.register(self._mounts, select.POLLPRI)  # the host has mounted something
        self._look_at_mounts()
        while True:
            # What is mounted is looked at before a request that may name it.
            for fd, _ in sorted(poll.poll(), key=lambda event: event[0] != self._mounts):
                if fd == self._mounts:
                    self._look_at_mounts()
                elif fd != self._requests.fileno():
                    poll.unregister(fd)
                    self._reap(fd)
                else:
                    message, fds, _, _ = socket.recv_fds(self._requests, 16, 4)
                    if not message:
                        return
                    pidfd = self._take(fds)
                    if pidfd is not None:
                        poll.register(pidfd, select.POLLIN)

    def _look_at_mounts(self) -> None:
        self._points = mount_points(_read(self._mounts))

    def _take(self, fds: list[int]) -> int | None:
        """Start what a request asks for, and hand its pidfd to the runner."""
        payload, stdout, stderr, answers = fds
        slot = None
        with socket.socket(fileno=answers) as status:
            try:
                request: dict[str, Any] = json.loads(_read(payload))
                request["shared_network"] = self._shares_network
                request["points"] = self._points
                if self._is_root:
                    slot, identity = self._owners.take(*request["owner"])
                else:
                    identity = Identity(os.getuid(), os.getgid(), -1)
                pid, pidfd = start(request, identity, (stdout, stderr), status, self._lifeline)
                with suppress(OSError):  # whoever asked has given up; it is still ours to reap
                    socket.send_fds(status, [json.dumps({"started": pid}).encode()], [pidfd])
            except OSError as error:
                if slot is not None:
                    self._owners.release(slot)
                with suppress(OSError):
                    text = f"{error.filename}: {error.strerror}"
                    status.send(json.dumps({"failed": ["confinement", error.errno, text]}).encode())
                return None
            finally:
                for fd in (payload, stdout, stderr):
                    os.close(fd)
        if slot is not None:
            self._running[pidfd] = slot
        return pidfd

    def _reap(self, pidfd: int) -> None:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        slot = self._running.pop(pidfd, None)
        if slot is not None:
            self._owners.release(slot)


def _read(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(fd, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def main(fd: int) -> None:
    """Run on the socket ``fd``. What cannot be set up is told as the first message, else ``{"ready": true}``."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=fd) as requests:
        requests.set_inheritable(False)
        try:
            spawner = Spawner(requests)
        except OSError as error:
            requests.send(json.dumps({"failed": f"{error.filename}: {error.strerror}"}).encode())
            return
        # Every command starts as a copy of this process: what is made here is made once, and what the collector does
        # not touch need not be copied.
        for network in (False, True):
            seccomp.program(network)
        gc.disable()
        gc.freeze()
        requests.send(b'{"ready":true}')
        spawner.serve()
