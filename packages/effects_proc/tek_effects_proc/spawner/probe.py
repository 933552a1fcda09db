"""The self-test: a confined process tries to get out, and says what it could do.

It runs in the place of a command, under everything that holds a command. What must work is tried first: a
confinement in which nothing works would pass every other test.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from tek_effects_proc.spawner import system

_libc = ctypes.CDLL(None, use_errno=True)


def attempt_all(world: dict[str, Any]) -> None:
    """Try everything and write ``{"missing": [...], "open": [...]}`` to stdout: controls that failed, and ways out.

    ``world`` names a ``readable`` file, a ``writable`` and a ``sealed`` directory, a ``secret`` file that was not
    granted, the ``runner``'s process id, a directory of the command's ``own``, and ways that are ``unpromised``:
    they are not tried.
    """
    found = {
        "missing": [name for name, attempt in _controls(world).items() if not _works(attempt)],
        "open": [name for name, way in _escapes(world).items() if name not in world["unpromised"] and _works(way)],
    }
    os.write(1, json.dumps(found).encode())
    os._exit(0)


def _works(attempt: Callable[[], object]) -> bool:
    try:
        return attempt() is not False
    except (OSError, ValueError):
        return False


def _controls(world: dict[str, Any]) -> dict[str, Callable[[], object]]:
    return {
        "read a granted file": lambda: _read(world["readable"]),
        "write in a granted directory": lambda: _write(world["writable"] + "/made"),
        "write in a directory of its own": lambda: _write(world["own"] + "/made"),
        "start a process": _fork,
        "write to /dev/null": lambda: _write("/dev/null"),
    }


def _escapes(world: dict[str, Any]) -> dict[str, Callable[[], object]]:
    secret, runner = world["secret"], world["runner"]
    return {
        "read a file that was not granted": lambda: _read(secret),
        "see a file that was not granted": lambda: os.stat(secret),
        "read it through /proc/1/root": lambda: _read("/proc/1/root" + secret),
        "read it through the runner's root": lambda: _read(f"/proc/{runner}/root{secret}"),
        "read it above a descriptor": lambda: _read("../" * 40 + secret.lstrip("/")),
        "write in a sealed directory": lambda: _write(world["sealed"] + "/made"),
        "change a sealed directory's mode": lambda: os.chmod(world["sealed"], 0o777),  # noqa: S103  # must fail
        "write where nothing was granted": lambda: _write("/made"),
        "be root": lambda: os.getuid() == 0 or os.geteuid() == 0,
        "become root": lambda: os.setresuid(0, 0, 0),
        "hold a capability": _capable,
        "gain rights by execution": lambda: _status("NoNewPrivs") != "1",
        "go without a filter": lambda: _status("Seccomp") != "2",
        "open an internet socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "connect to a unix socket": _connect,
        "mount": lambda: _call(_libc.mount(b"none", world["writable"].encode(), b"tmpfs", 0, None)),
        "make a user namespace": lambda: system.unshare(system.CLONE_NEWUSER),
        "signal the runner": lambda: os.kill(runner, 0),
        "trace its first process": lambda: _call(_libc.ptrace(16, 1, 0, 0)),
        "plant a set-id bit": lambda: os.chmod(world["writable"] + "/made", 0o4755),  # noqa: S103  # must fail
        "make a device": lambda: os.mknod(world["writable"] + "/device", 0o20666, os.makedev(1, 5)),
        "open the system's settings": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "end process 1": _end_first,
    }


def _read(path: str) -> None:
    with open(path, "rb", buffering=0) as file:
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(b"x")


def _fork() -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _status(field: str) -> str:
    with open("/proc/self/status", "rb", buffering=0) as file:
        lines = file.read().decode().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(field + ":"))


def _capable() -> bool:
    return any(int(_status(name), 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"))


def _connect() -> bool:
    """Whether connecting gets as far as looking for who listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        return client.connect_ex("/run/nobody") not in (errno.EACCES, errno.EPERM)


def _call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _end_first() -> bool:
    """Whether process 1 ends by a signal; then this one ends with it, and the test with no answer."""
    os.kill(1, signal.SIGKILL)
    return False
