"""Starting a program and reaping it.

``Popen`` without ``preexec_fn`` uses vfork, so the size of the runner does not matter: 0.85 ms for ``true`` where
``posix_spawn``, which can neither change the directory nor close all descriptors, takes 0.75 ms.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from subprocess import DEVNULL, Popen

import attrs

from tek_effects_proc.tree import Tree
from tek_kernel.effect import EffectError

MARK = "TEK_EFFECT"
"""The variable that marks every process of one command, with a value that no other command has."""

_BUSY_PAUSES = (0.001, 0.004, 0.016, 0.064, 0.0)
_REASONS = {
    errno.ENOEXEC: ("wrong-kind", "it is no program of this machine, and its first line names no interpreter (#!)"),
    errno.ENOENT: ("not-found", "the interpreter that it needs is not there"),
    errno.EACCES: ("not-permitted", "the operating system does not let tek execute it"),
    errno.EPERM: ("not-permitted", "the operating system does not let tek execute it"),
    errno.E2BIG: ("bad-request", "its arguments and variables are too long"),
}


@attrs.frozen
class Usage:
    """How a command ended, what it used of the processor, and the most memory that one process held in bytes."""

    code: int | None
    signal: int | None
    cpu_ms: int
    peak: int


@attrs.frozen
class Child:
    """A started command. ``stdout`` and ``stderr`` are read without blocking; ``pidfd`` is readable when it ended."""

    pid: int
    pidfd: int
    stdout: int
    stderr: int
    tree: Tree
    _process: Popen[bytes]

    def reap(self) -> Usage:
        """End what is left of the command's processes and return how it ended. Raises ``Undying``."""
        self.tree.kill()
        _, status, used = os.wait4(self.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        cpu_ms = round((used.ru_utime + used.ru_stime) * 1000)
        peak = used.ru_maxrss * 1024
        return Usage(None, -code, cpu_ms, peak) if code < 0 else Usage(code, None, cpu_ms, peak)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self.pidfd, self.stdout, self.stderr):
            os.close(descriptor)


def start(program: str, argv: Sequence[str], environment: Mapping[bytes, bytes], cwd: int) -> Child:
    """Start ``program`` in the directory ``cwd``, a descriptor, in a session of its own with nothing but its pipes.

    Raises ``EffectError`` where it cannot be started.
    """
    mark = f"{MARK}={os.urandom(16).hex()}".encode()
    name, _, value = mark.partition(b"=")
    variables = {**environment, name: value}
    with ExitStack() as undo, ExitStack() as ends:
        stdout, stdout_end = pipe(undo, ends)
        stderr, stderr_end = pipe(undo, ends)
        since = time.monotonic()
        process = _start(program, argv, variables, cwd, stdout_end, stderr_end)
        tree = Tree(process.pid, mark, since)
        undo.callback(process.wait)
        undo.callback(tree.kill)
        child = Child(process.pid, os.pidfd_open(process.pid), stdout, stderr, tree, process)
        undo.pop_all()
    return child


def pipe(undo: ExitStack, ends: ExitStack) -> tuple[int, int]:
    """Return a pipe: a read end that does not block, closed by ``undo``, and a write end, closed by ``ends``."""
    mine, theirs = os.pipe2(os.O_CLOEXEC)
    undo.callback(os.close, mine)
    ends.callback(os.close, theirs)
    os.set_blocking(mine, False)
    return mine, theirs


def _start(
    program: str, argv: Sequence[str], variables: Mapping[bytes, bytes], cwd: int, stdout: int, stderr: int
) -> Popen[bytes]:
    for pause in _BUSY_PAUSES:
        try:
            return Popen(  # noqa: S603  # the broker permitted these words; no shell reads them
                [word.encode() for word in argv],
                executable=program.encode(),
                env=variables,
                cwd=f"/proc/self/fd/{cwd}",
                stdin=DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            # Another worker's child holds a copy of a descriptor that wrote this file until its own exec.
            if error.errno == errno.ETXTBSY and pause:
                time.sleep(pause)
                continue
            raise _refusal(error, program, cwd) from error
    raise AssertionError("the last pause is zero")


def _refusal(error: OSError, program: str, cwd: int) -> EffectError:
    if error.filename == f"/proc/self/fd/{cwd}":
        return EffectError("not-permitted", f"the command's directory cannot be entered: {error.strerror}")
    return not_executed(error.errno or 0, program, error.strerror or str(error))


def not_executed(code: int, program: str, problem: str) -> EffectError:
    """Return what it means that a program could not be executed, from the system's error number."""
    name, reason = _REASONS.get(code, ("io", problem))
    return EffectError(name, f"cannot run {program!r}: {reason}")
