"""A cell: a workspace in which attackers run under real permits at one level, with a world around it to look at.

The commands are started by a process of its own (``python -m tests.security.cell LEVEL``), which is root for
``root-idmap`` and an ordinary user for the others. Answers come back as pickles.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from tek_abi import Access, Budget, MemoryBlobs, Permit, Subject, TekError, preset_permits
from tek_abi.policy import PROTECTED
from tek_abi.vocabulary.proc import Exec
from tek_effects_net import Proxy
from tek_effects_proc import LEVELS as ALL_LEVELS
from tek_effects_proc import Sandbox, SandboxUnavailable, open_sandbox, process_effects
from tek_effects_proc.levels import Bwrap, find_bwrap
from tek_effects_proc.program import SEARCH
from tek_effects_proc.spawner import system
from tek_kernel.effect import Cancel, Context, Effect, Held

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
_SUBJECT, _AT = Subject("TASK-001", "shell"), "2026-01-01T00:00:00.000000Z"
SET_ID = "bwrap set-id"
"""The level bwrap where user namespaces are refused and bubblewrap is a set-user-id program."""

LEVELS = (*ALL_LEVELS, SET_ID) if os.getuid() == 0 else ALL_LEVELS[1:]
"""What can be tried here: root can become an ordinary user, but not the other way round."""


def preset() -> Held:
    """Return what the preset workspace-write holds."""
    reads, writes = (
        tuple(p for p in preset_permits("workspace-write") if p.action == (action,))
        for action in ("fs.read", "fs.write")
    )
    return Held(reads, writes, (), PROTECTED)


def granting(
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    net: tuple[str, ...] = (),
) -> Held:
    """Return permits for these patterns, and to read the system."""
    system = tuple(p for p in preset().reads if p.resource[0].startswith("$SYSTEM"))
    read = tuple(Permit(("fs.read",), (pattern,), exclude=exclude) for pattern in reads)
    write = tuple(Permit(("fs.write",), (pattern,), exclude=exclude) for pattern in writes)
    reach = tuple(Permit(("net.http",), (pattern,)) for pattern in net)
    return Held((*system, *read), write, reach, PROTECTED)


@attrs.frozen
class Result:
    """How a command ended; ``error`` is the effect's, in words, where it had none of its own. ``connections`` is what
    its proxy has seen.
    """

    code: int | None
    out: str
    err: str
    error: str = ""
    connections: Any = None


@attrs.frozen
class Job:
    """One command to run in a workspace."""

    workspace: str
    argv: tuple[str, ...]
    held: Held
    limits: Budget
    confined: bool = True
    times: int = 1
    at_once: int = 1


class Cell:
    """The process that starts commands at one level. Used by one test at a time.

    ``unavailable`` says why the level does not hold here, as the doctor does; ``seals`` is whether it can keep
    something closed within a tree that is open.
    """

    def __init__(self, name: str) -> None:
        self.level = name.partition(" ")[0]
        self._programs = tempfile.TemporaryDirectory(prefix="tek-programs-")
        self.way = f"{self.level}:{_set_id(Path(self._programs.name))}" if name == SET_ID else f"{self.level}:{SEARCH}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.security.cell", self.way],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.unavailable = str(_receive(self._process.stdout))
        bwrap = find_bwrap(SEARCH)
        safe = isinstance(bwrap, Bwrap) and bwrap.version >= (0, 12, 0)
        self.seals = self.level in ("root-idmap", "userns") or (self.level == "bwrap" and safe)

    @property
    def pid(self) -> int:
        """The process that stands for the runner."""
        return self._process.pid

    def run(self, workspace: Path, *argv: str, held: Held | None = None, **more: Any) -> Result:
        """Run a command and return how it ended."""
        limits = Budget(ms=more.pop("ms", 30_000), io=more.pop("io", 1 << 24))
        job = Job(str(workspace), argv, held or preset(), limits, **more)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _send(self._process.stdin, job)
        result = _receive(self._process.stdout)
        assert isinstance(result, Result)
        return result

    def own(self, *paths: Path) -> None:
        """Give files to the user of this level."""
        if os.getuid() == 0 and self.level != "root-idmap":
            for path in paths:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def close(self) -> None:
        """End the process and all that it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._programs.cleanup()


def _send(file: BinaryIO | Any, value: object) -> None:
    data = pickle.dumps(value)
    file.write(struct.pack("<I", len(data)) + data)
    file.flush()


def _receive(file: BinaryIO | Any) -> object:
    head = file.read(4)
    return pickle.loads(file.read(*struct.unpack("<I", head))) if head else None  # from our own process


def _python() -> str:
    """Return an interpreter for the spawner that an ordinary user may execute."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if os.access(os.path.realpath(candidate), os.X_OK):
            return candidate
    raise AssertionError("an ordinary user can execute no Python here")


def _set_id(directory: Path) -> Path:
    """Put a set-user-id bubblewrap into a directory."""
    directory.chmod(0o755)
    with suppress(FileNotFoundError):
        os.chmod(shutil.copy("/usr/bin/bwrap", directory), 0o4755)
    return directory


def _refuse_user_namespaces() -> None:
    """Have unshare and clone refuse them from now on, as some systems and containers do."""
    steps = (
        (0x20, 0, 0, 0), (0x15, 1, 0, 56), (0x15, 0, 3, 272), (0x20, 0, 0, 16), (0x45, 0, 1, 0x10000000),
        (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000),
    )  # fmt: skip
    system.install_filter(b"".join(struct.pack("<HBBI", *step) for step in steps))


def open_level(way: str) -> Sandbox:
    """Become the user of a level and return it. Raises ``SandboxUnavailable``."""
    level, _, search = way.partition(":")
    if search != SEARCH:
        _refuse_user_namespaces()
    # What is imported lazily must be there before its files are out of reach.
    for name in ("importlib.metadata", "encodings.idna", "tek_effects_proc.tree", "shlex", "tempfile"):
        importlib.import_module(name)
    if level != "root-idmap" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    return open_sandbox(level, _python(), search)


def _serve(way: str) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        sandbox = open_level(way)
    except SandboxUnavailable as error:
        _send(answers, error.reasons[0][1])
        return
    _send(answers, "")
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/op", "API_KEY": "not for children"}
    while isinstance(job := _receive(sys.stdin.buffer), Job):
        (effect,) = process_effects(job.workspace, environ, sandbox if job.confined else None, _misled)
        with ThreadPoolExecutor(job.at_once) as pool:
            results = list(pool.map(lambda _, effect=effect, job=job: carry_out(effect, job), range(job.times)))
        _send(answers, next((result for result in results if result.code != 0), results[0]))
    sandbox.close()


def _misled(listener: socket.socket, context: Context, take: Callable[[int], int]) -> Proxy:
    """Serve a command's listener, with a resolver for which every name leads to this machine."""
    return Proxy(listener, context, take, lambda host, port: ["127.0.0.1"])


def carry_out(effect: Effect[Any], job: Job) -> Result:
    """Run a command by its effect."""

    def covering(access: Access) -> tuple[Permit, ...]:
        return tuple(permit for permit in job.held.net if permit.mismatch(access, _SUBJECT, _AT) is None)

    context = Context(job.limits, (), Cancel(), MemoryBlobs(), "key", covering=covering, held=lambda: job.held)
    try:
        applied = effect.apply(Exec(job.argv), context)
    except TekError as error:
        return Result(None, "", "", f"{type(error).__name__}: {error}")
    exit_, seen = applied.value, applied.obs
    out, err = (stream.read().decode(errors="replace") for stream in (exit_.stdout, exit_.stderr))
    connections = seen.get("connections") if isinstance(seen, dict) else None
    return Result(exit_.code if exit_.signal is None else -exit_.signal, out, err, connections=connections)


if __name__ == "__main__":
    # Under its own name, so that what is pickled here is what is unpickled there.
    importlib.import_module("tests.security.cell")._serve(sys.argv[1])
