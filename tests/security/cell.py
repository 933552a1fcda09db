"""A cell: a workspace in which attackers run under real permits at one level, with a world around it to look at.

The commands are started by a process of its own (``python -m tests.security.cell LEVEL``), which is root for
``root-idmap`` and an ordinary user for ``userns``. Answers come back as pickles.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from tek_abi import Budget, MemoryBlobs, Permit, TekError, preset_permits
from tek_abi.policy import PROTECTED
from tek_abi.vocabulary.proc import Exec
from tek_effects_proc import open_sandbox, process_effects
from tek_kernel.effect import Cancel, Context, Held

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
LEVELS = ("root-idmap", "userns") if os.getuid() == 0 else ("userns",)
"""What this machine can reach. A level that is missing here fails its control, it is not skipped."""


def preset() -> Held:
    """Return what the preset workspace-write holds."""
    reads, writes = (
        tuple(p for p in preset_permits("workspace-write") if p.action == (action,))
        for action in ("fs.read", "fs.write")
    )
    return Held(reads, writes, (), PROTECTED)


def granting(reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Held:
    """Return permits for these patterns, and to read the system."""
    system = tuple(p for p in preset().reads if p.resource[0].startswith("$SYSTEM"))
    read = tuple(Permit(("fs.read",), (pattern,), exclude=exclude) for pattern in reads)
    write = tuple(Permit(("fs.write",), (pattern,), exclude=exclude) for pattern in writes)
    return Held((*system, *read), write, (), PROTECTED)


@attrs.frozen
class Result:
    """How a command ended; ``error`` is the effect's, in words, where it had none of its own."""

    code: int | None
    out: str
    err: str
    error: str = ""


@attrs.frozen
class Job:
    """One command to run in a workspace."""

    workspace: str
    argv: tuple[str, ...]
    held: Held
    limits: Budget
    confined: bool = True


class Cell:
    """The process that starts commands at one level. Used by one test at a time."""

    def __init__(self, level: str) -> None:
        self.level = level
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.security.cell", level],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

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
        if os.getuid() == 0 and self.level == "userns":
            for path in paths:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def close(self) -> None:
        """End the process and all that it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


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


def _serve(level: str) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # What is imported lazily must be there before its files are out of reach.
    for name in ("importlib.metadata", "encodings.idna", "tek_effects_proc.tree", "shlex", "tempfile"):
        importlib.import_module(name)
    if level == "userns" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    shutil.which("true")
    sandbox = open_sandbox(level, _python())
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/op", "API_KEY": "not for children"}
    while isinstance(job := _receive(sys.stdin.buffer), Job):
        (effect,) = process_effects(job.workspace, environ, sandbox if job.confined else None)
        held = job.held
        context = Context(job.limits, (), Cancel(), MemoryBlobs(), "key", held=lambda held=held: held)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        try:
            exit_ = effect.apply(Exec(job.argv), context).value
            out, err = (stream.read().decode(errors="replace") for stream in (exit_.stdout, exit_.stderr))
            _send(answers, Result(exit_.code if exit_.signal is None else -exit_.signal, out, err))
        except TekError as error:
            _send(answers, Result(None, "", "", f"{type(error).__name__}: {error}"))
    sandbox.close()


if __name__ == "__main__":
    # Under its own name, so that what is pickled here is what is unpickled there.
    importlib.import_module("tests.security.cell")._serve(sys.argv[1])
