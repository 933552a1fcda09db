"""Where a command runs: directories beneath the workspace, resolved by the operating system."""

from __future__ import annotations

import errno
import os

import attrs

from tek_abi import Access
from tek_abi.pattern import SYSTEM, WORKSPACE, canonical_path
from tek_effects_proc.command import BadCommand
from tek_kernel.effect import Context, EffectError, EffectRefused
from tek_kernel.openat2 import openat2

_DIRECTORY = os.O_PATH | os.O_DIRECTORY

_CODES = {
    errno.ENOENT: ("not-found", "there is no such directory"),
    errno.ENOTDIR: ("wrong-kind", "it is not a directory"),
    errno.EXDEV: ("escapes", "it leads out of the workspace"),
    errno.ELOOP: ("escapes", "it goes through a loop of links or a magic link"),
    errno.EACCES: ("not-permitted", "the operating system does not let tek in"),
    errno.EPERM: ("not-permitted", "the operating system does not let tek in"),
    errno.ENOSYS: ("unsupported", "this needs the system call openat2 of Linux 5.6 or later"),
}


@attrs.frozen
class Workspace:
    """The tree that commands run in. ``root`` is absolute."""

    root: str

    def canonical(self, path: str) -> str:
        """Return a path as permits see it; an absolute path beneath the workspace is one of the workspace.

        Raises ``PatternError``.
        """
        if path == self.root or path.startswith(self.root + "/"):
            return canonical_path(f"./{path[len(self.root) :]}")
        return canonical_path(path)

    def directory(self, cwd: str) -> str:
        """Return the directory of a command as permits see it. Raises ``PatternError`` or ``BadCommand``."""
        directory = self.canonical(cwd)
        if directory == SYSTEM or directory.startswith(SYSTEM + "/"):
            raise BadCommand("cwd", f"{cwd!r} is outside the workspace")
        return directory

    def program(self, word: str, cwd: str) -> str:
        """Return the first word of a command as permits see it.

        A name is searched and stays as it is. A path has one spelling: absolute, or relative to the workspace
        whatever the directory of the command is, and always with a slash. Raises ``PatternError`` for ``..``.
        """
        if "/" not in word:
            return word
        path = self.canonical(word if word.startswith("/") else f"./{_inner(self.directory(cwd))}/{word}")
        if path.startswith(SYSTEM + "/"):
            return path.removeprefix(SYSTEM)
        inner = _inner(path)
        return inner if "/" in inner else f"./{inner}"

    def open(self, cwd: str, context: Context) -> int:
        """Return an ``O_PATH`` descriptor of a command's directory; the caller closes it.

        Where a link led elsewhere in the workspace, that place must be permitted too. Raises ``EffectError`` and
        ``EffectRefused``.
        """
        directory = self.directory(cwd)
        try:
            root = os.open(self.root, _DIRECTORY | os.O_CLOEXEC)
            try:
                found = openat2(root, _inner(directory), _DIRECTORY)
                try:
                    real = _real(root, found)
                except ValueError:
                    os.close(found)
                    raise
            finally:
                os.close(root)
        except (OSError, ValueError) as error:
            code, problem = _CODES.get(getattr(error, "errno", None) or 0, ("io", str(error)))
            raise EffectError(code, f"cannot run in {cwd!r}: {problem}") from error
        access = listing(real)
        if real != directory and not context.covers(access):
            os.close(found)
            raise EffectRefused(access, f"{cwd!r} leads to {real}, which no permit lets the task read")
        return found


def listing(directory: str) -> Access:
    """Return what running in a directory needs beside the right to run the program."""
    return Access("fs.list", "fs.read", directory)


def _real(root: int, found: int) -> str:
    """Return where a descriptor beneath ``root`` really stands, as permits see it. Raises ``ValueError`` where it has
    been moved out since it was opened.
    """
    base, place = (os.readlink(f"/proc/self/fd/{fd}").rstrip("/") for fd in (root, found))
    if place != base and not place.startswith(base + "/"):
        raise ValueError("it was moved out of the workspace")
    return WORKSPACE + place.removeprefix(base)


def _inner(directory: str) -> str:
    return directory.removeprefix(WORKSPACE).lstrip("/") or "."
