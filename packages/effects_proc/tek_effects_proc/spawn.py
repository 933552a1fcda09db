"""The runner's side of the spawner: starting it, asking it for commands, ending them.

The spawner is started once a run, with an empty environment and only its socket. A request goes in one message, so
any thread may ask; what becomes of a command is told on a socket of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import attrs

from tek_abi import TekError
from tek_effects_proc.child import Usage, pipe
from tek_effects_proc.spawner.files import write_all
from tek_effects_proc.spawner.sandbox import PROXY_PORT

__all__ = ["PROXY_PORT", "Confined", "NotConfined", "Spawner"]

HERE = Path(__file__).resolve().parent
"""Where this package stands."""

BOOT = """
import sys, types
package = types.ModuleType("tek_effects_proc")
package.__path__ = [sys.argv[1]]
sys.modules["tek_effects_proc"] = package
"""
"""What makes the modules of the spawner importable, from the path ``HERE`` as first argument, and nothing else."""

_MAIN = BOOT + "from tek_effects_proc.spawner.main import main; main(int(sys.argv[2]), sys.argv[3])"
_KEPT = ("bwrap", "landlock")
"""Levels at which a keeper ends what a command has started, and must live until it has."""

_PATIENCE = 30.0
_GONE = '{"failed": ["spawner", 0, "the spawner has ended"]}'


@attrs.define(str=False)
class NotConfined(TekError):
    """A command could not be started as asked. ``step`` is spawner, confinement, directory or program; ``code`` the
    system's error number, 0 for none.
    """

    step: str
    code: int
    problem: str

    def __str__(self) -> str:
        return f"{self.step}: {self.problem}"


@attrs.define
class Confined:
    """A command inside its confinement. ``pidfd`` becomes readable when it and all that it started have ended.

    ``stdout`` and ``stderr`` are read without blocking.
    """

    pid: int
    pidfd: int
    stdout: int
    stderr: int
    _status: socket.socket
    _end: dict[str, Any]
    _killer: signal.Signals
    listener: socket.socket | None = None

    def kill(self) -> None:
        """End everything and wait until it has."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, self._killer)
        select.select([self.pidfd], [], [])

    def reap(self) -> Usage:
        """End what is left and return how the command ended. Raises ``NotConfined`` where it never became one."""
        self.kill()
        told = self._told()
        code = told.get("exit", -signal.SIGKILL)
        cpu_ms, peak = told.get("cpu_ms", 0), told.get("peak_kib", 0) * 1024
        return Usage(None, -code, cpu_ms, peak) if code < 0 else Usage(code, None, cpu_ms, peak)

    def _told(self) -> dict[str, Any]:
        """Return what was told of the end, nothing if it was killed."""
        if self._end:
            return self._end
        self._status.setblocking(False)
        with suppress(BlockingIOError):
            while data := self._status.recv(4096):
                message = json.loads(data)
                if "failed" in message:
                    step, code, problem = message["failed"]
                    raise NotConfined(step, code, f"{problem}{self._last_words()}")
                if "exit" in message:
                    return dict(message)
        return {}

    def _last_words(self) -> str:
        """Return the last line of its errors that nobody has read yet."""
        with suppress(OSError):
            lines = os.read(self.stderr, 65536).decode(errors="replace").splitlines()
            return f": {lines[-1]}" if lines else ""
        return ""

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self.pidfd, self.stdout, self.stderr):
            os.close(descriptor)
        self._status.close()
        if self.listener is not None:
            self.listener.close()


class Spawner:
    """A spawner process for one level, started on demand and again should it ever end. Thread-safe."""

    def __init__(self, level: str, python: str = sys.executable) -> None:
        self._level = level
        self._python = python
        self._killer = signal.SIGTERM if level in _KEPT else signal.SIGKILL
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def start(self, request: Mapping[str, Any]) -> Confined:
        """Start one command. Raises ``NotConfined`` where the spawner refuses it at once."""
        requests = self._ready()
        with ExitStack() as undo, ExitStack() as theirs:
            stdout, stdout_end = pipe(undo, theirs)
            stderr, stderr_end = pipe(undo, theirs)
            status, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.callback(status.close)
            theirs.callback(answers.close)
            payload = os.memfd_create("request")
            theirs.callback(os.close, payload)
            write_all(payload, json.dumps(request).encode())
            head = json.dumps({**{name: request[name] for name in ("owner", "network")}, "root": _digest(request)})
            try:
                socket.send_fds(requests, [head.encode()], [payload, stdout_end, stderr_end, answers.fileno()])
            except OSError as error:
                raise NotConfined("spawner", error.errno or 0, "the spawner has ended") from error
            theirs.close()
            child = self._await_start(status, stdout, stderr, bool(request.get("network")))
            undo.pop_all()
        return child

    def close(self) -> None:
        """End the spawner, and with it whatever it still runs."""
        with self._lock:
            if self._requests is not None and self._process is not None:
                self._requests.close()
                try:
                    self._process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._requests = self._process = None

    def _ready(self) -> socket.socket:
        with self._lock:
            if self._requests is None or self._process is None or self._process.poll() is not None:
                self._process, self._requests = _launch(self._python, self._level)
            return self._requests

    def _await_start(self, status: socket.socket, stdout: int, stderr: int, network: bool) -> Confined:
        """Wait until the command's first process is known and, with a network, its proxy's listener."""
        status.settimeout(_PATIENCE)
        message: dict[str, Any]
        end: dict[str, Any] = {}
        pid, pidfd = 0, -1
        listener: socket.socket | None = None
        try:
            while pidfd < 0 or (network and listener is None and not end):
                data, fds, _, _ = socket.recv_fds(status, 4096, 1)
                message = json.loads(data or _GONE)
                if "failed" in message:
                    raise NotConfined(*message["failed"])
                if "started" in message:
                    pid, (pidfd,) = message["started"], fds
                elif "listener" in message:
                    listener = socket.socket(fileno=fds[0])
                elif "exit" in message:
                    end = message  # a short command may end before the spawner comes to say that it has begun
        except (OSError, NotConfined) as error:
            if pidfd >= 0:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, self._killer)
                os.close(pidfd)
            if listener is not None:
                listener.close()
            if isinstance(error, NotConfined):
                raise
            raise NotConfined("spawner", error.errno or 0, f"the spawner does not answer: {error}") from error
        return Confined(pid, pidfd, stdout, stderr, status, end, self._killer, listener)


def _launch(python: str, level: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter on our own code
            [python, "-I", "-S", "-c", _MAIN, str(HERE), str(theirs.fileno()), level],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={},
            cwd="/",
            start_new_session=True,
        )
    ours.settimeout(_PATIENCE)
    try:
        answer = json.loads(ours.recv(4096) or b'{"failed":"the spawner ended at once"}')
    except OSError as error:
        answer = {"failed": f"the spawner does not answer: {error}"}
    if "failed" in answer:
        ours.close()
        process.kill()
        process.wait()
        raise NotConfined("spawner", 0, answer["failed"])
    ours.settimeout(None)
    return process, ours


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request["root"]).encode()).hexdigest()
