"""Which file a command's first word stands for."""

from __future__ import annotations

import os
import stat

from tek_kernel.effect import EffectError

SEARCH = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are searched if the operator has no PATH."""


def find_program(word: str, path: str, cwd: int) -> str:
    """Return the path to execute from the directory ``cwd``, a descriptor.

    A word with a slash is a path. Any other is searched in the absolute directories of ``path``: an empty or
    relative entry would mean the command's own directory, where anybody may put a file called ``git``.
    Raises ``EffectError`` (not-found, not-permitted, wrong-kind).
    """
    if "/" in word:
        candidates, where = [word], "here"
    else:
        candidates = [f"{entry}/{word}" for entry in path.split(":") if entry.startswith("/")]
        where = f"on PATH ({path})"
    problems = [_problem(candidate, cwd) for candidate in candidates]
    if "" in problems:
        return candidates[problems.index("")]
    if "not-permitted" in problems:
        file = candidates[problems.index("not-permitted")]
        raise EffectError("not-permitted", f"{file!r} may not be executed; chmod +x it, or name its interpreter first")
    if "wrong-kind" in problems and "/" in word:
        raise EffectError("wrong-kind", f"{word!r} is not a file, so it cannot be run")
    raise EffectError("not-found", f"no program {word!r} {where}")


def _problem(candidate: str, cwd: int) -> str:
    try:
        mode = os.stat(candidate, dir_fd=cwd).st_mode
        if not stat.S_ISREG(mode):
            return "wrong-kind"
        return "" if os.access(candidate, os.X_OK, dir_fd=cwd, effective_ids=True) else "not-permitted"
    except PermissionError:
        return "not-permitted"
    except OSError:
        return "not-found"
