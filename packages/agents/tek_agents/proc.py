"""Programs. There is no shell: words are passed as they are, and stdin is empty."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from tek_abi import Blob, Failure
from tek_abi.vocabulary.proc import Exec, Exit
from tek_agents.errors import CommandFailed

__all__ = ["Exit", "describe", "exec", "output_text"]

LAST_LINE: Final = 200
"""How many characters of a command's last line of stderr stand in a message."""


async def exec(  # noqa: A001  # read as proc.exec
    *argv: str | Sequence[str],
    cwd: str = ".",
    env: Mapping[str, str] | None = None,
    timeout: int | None = None,
    check: bool = True,
) -> Exit:
    """Run a program and wait for it: ``proc.exec("git", "status")`` or ``proc.exec(["git", "status"])``.

    ``cwd`` is relative to the workspace. ``env`` is added to the allow-listed environment; a value ``secret:NAME``
    stands for the operator's variable. ``timeout`` is in milliseconds.

    Raises ``CommandFailed`` where ``check`` and the program does not end with 0, ``NotFound`` where there is no such
    program, ``TimedOut``, ``EffectDenied``; ``ValueError`` where ``argv`` names no program.
    """
    words = _words(argv)
    done = await Exec(words, cwd, tuple((env or {}).items()), timeout)
    if check and done.code != 0:
        raise CommandFailed(Failure("exit", f"`{shlex.join(words)}` {describe(done)}"), words, done)
    return done


async def output_text(
    *argv: str | Sequence[str],
    cwd: str = ".",
    env: Mapping[str, str] | None = None,
    timeout: int | None = None,
) -> str:
    """Run a program as ``exec`` does, checked, and return what it wrote to stdout, its last newline included.

    Raises ``UnicodeDecodeError`` too, where that is not UTF-8.
    """
    return (await exec(*argv, cwd=cwd, env=env, timeout=timeout)).stdout.text()


def describe(done: Exit) -> str:
    """Say how a command ended, with its last line of stderr: ``exited with 1: no rule to make 'x'``."""
    how = f"exited with {done.code}" if done.signal is None else f"was killed by {_signal_name(done.signal)}"
    line = _last_line(done.stderr)
    return f"{how}: {line}" if line else how


def _words(argv: tuple[str | Sequence[str], ...]) -> tuple[str, ...]:
    words: list[str] = []
    for part in argv:
        words.extend([part] if isinstance(part, str) else part)
    return tuple(words)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(output: Blob) -> str:
    """Return the last line that is not blank, fit for a terminal and at most ``LAST_LINE`` characters long."""
    if not output.size:
        return ""
    end = output.read().rstrip()
    line = end[end.rfind(b"\n") + 1 :][: 4 * LAST_LINE].decode("utf-8", "replace").strip()
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return shown if len(shown) <= LAST_LINE else shown[: LAST_LINE - 1] + "…"
