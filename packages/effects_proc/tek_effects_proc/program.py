"""Which file a command's first word stands for."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from tek_abi import Access
from tek_kernel.effect import EffectError, EffectRefused

SEARCH = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are searched if the operator has no PATH."""


_SYSTEM = ("/usr", *(tree for tree in ("/bin", "/sbin", "/lib", "/lib64") if os.path.isdir(tree)))
"""Where programs, their loader and their libraries stand, or the symlinks that lead there."""


def find_program(word: str, path: str, cwd: int, sees: Callable[[str], bool] = lambda path: True) -> str:
    """Return the path to execute from the directory ``cwd``, a descriptor. ``sees`` tells whether a real path is
    there for the command.

    A word with a slash is a path. Any other is searched in the absolute directories of ``path``: an empty or
    relative entry would mean the command's own directory, where anybody may put a file called ``git``.
    Raises ``EffectError`` (not-found, not-permitted, wrong-kind), and ``EffectRefused`` for what is not seen.
    """
    if "/" in word:
        candidates, where = [word], "here"
    else:
        candidates = [f"{entry}/{word}" for entry in path.split(":") if entry.startswith("/")]
        where = f"on PATH ({path})"
    problems: list[str] = []
    for candidate in candidates:
        problem = _problem(candidate, cwd, sees)
        if not problem:
            return candidate
        problems.append(problem)
    if "not-permitted" in problems:
        file = candidates[problems.index("not-permitted")]
        raise EffectError("not-permitted", f"{file!r} may not be executed; chmod +x it, or name its interpreter first")
    if "wrong-kind" in problems and "/" in word:
        raise EffectError("wrong-kind", f"{word!r} is not a file, so it cannot be run")
    if "unseen" in problems:
        file = candidates[problems.index("unseen")]
        rules = [f"fs.read:{tree}/**" for tree in dict.fromkeys((_home(file, cwd), *_SYSTEM))]
        asked = " ".join(f"`{rule}`" for rule in rules)
        given = " ".join(f"--allow '{rule}'" for rule in rules)
        raise EffectRefused(
            Access("proc.exec", "proc", word, (word,)),
            f"{file!r} is not among what the task may read, with the libraries that it needs",
            f"{asked} in the task's Allow, if it has one for fs.read; else {given}",
        )
    raise EffectError("not-found", f"no program {word!r} {where}")


def _home(candidate: str, cwd: int) -> str:
    """Return where a program is installed: it needs what stands beside its ``bin`` too."""
    directory, _, _ = _place(candidate, cwd).rpartition("/")
    return directory.removesuffix("/bin") or "/"


def _real(candidate: str, cwd: int) -> str:
    return os.path.realpath(_place(candidate, cwd))


def _place(candidate: str, cwd: int) -> str:
    """Return where a candidate's own name stands: a program may be a symlink out of an unseen directory."""
    directory, _, name = os.path.join(os.readlink(f"/proc/self/fd/{cwd}"), candidate).rpartition("/")
    return f"{os.path.realpath(directory or '/').rstrip('/')}/{name}"


def _problem(candidate: str, cwd: int, sees: Callable[[str], bool]) -> str:
    try:
        mode = os.stat(candidate, dir_fd=cwd).st_mode
        if not stat.S_ISREG(mode):
            return "wrong-kind"
        if not (sees(_place(candidate, cwd)) and sees(_real(candidate, cwd))):
            return "unseen"
        return "" if os.access(candidate, os.X_OK, dir_fd=cwd, effective_ids=True) else "not-permitted"
    except PermissionError:
        return "not-permitted"
    except OSError:
        return "not-found"
