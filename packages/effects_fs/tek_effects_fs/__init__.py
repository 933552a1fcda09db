"""The file effects: read, hash, list, glob, stat, write, append, copy, mkdir, remove, rename.

Every path is resolved by the operating system beneath ``$WORKSPACE`` or ``$SYSTEM``, and where it really leads is
judged again before anything is touched (``beneath``). Writes are atomic, reads never block or outgrow their budget.
"""

import os
from typing import Any

from tek_effects_fs.beneath import Roots
from tek_effects_fs.copying import CopyFile
from tek_effects_fs.globbing import GlobPaths
from tek_effects_fs.names import MakeDirectory, Remove, Rename
from tek_effects_fs.reading import HashFile, ListDirectory, ReadFile, StatPath
from tek_effects_fs.writing import AppendFile, WriteFile
from tek_kernel.effect import Effect

__all__ = ["file_effects"]


def file_effects(workspace: str | os.PathLike[str]) -> tuple[Effect[Any], ...]:
    """Return the effects of ``fs.*`` for one workspace. Touches nothing before the first of them is applied."""
    roots = Roots(workspace)
    looking = (ReadFile, HashFile, ListDirectory, GlobPaths, StatPath)
    changing = (WriteFile, AppendFile, CopyFile, MakeDirectory, Remove, Rename)
    return tuple(kind(roots) for kind in (*looking, *changing))
