"""The levels of confinement: who can use which, and what a level cannot hold a command to.

``unheld`` is pure. A level refuses what it cannot hold; it never holds less than it is asked to.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from typing import Final

import attrs

from tek_abi import TekError
from tek_effects_proc.layout import Bind, Layout

LEVELS: Final = ("root-idmap", "userns", "bwrap", "landlock")
"""The levels of confinement, strongest first."""

AUTO: Final = LEVELS[:3]
"""The levels that are chosen without being named."""

WEAKER: Final[Mapping[str, str]] = {
    "landlock": "degraded: names, sizes and dates of files outside, and which processes there are, can be seen",
}
"""What a level leaves open that stronger ones do not, in words."""

UNPROMISED: Final[Mapping[str, tuple[str, ...]]] = {
    # Process 1 is the system's own there: what keeps a command from it is tried on the runner.
    "landlock": ("see a file that was not granted", "end process 1"),
}
"""The ways out of the self-test that a level does not claim to close."""

_MOUNTS_UNDER_WRITABLE = (0, 12, 0)
"""The first bubblewrap that mounts safely beneath what is writable: before, whoever can write there can have it follow
a symlink (CVE-2026-87766).
"""


@attrs.define(str=False)
class Unheld(TekError, PermissionError):
    """A level cannot hold a command to what its task may do. ``reason`` says what, and how to ask for less."""

    level: str
    reason: str

    def __str__(self) -> str:
        return f"the level {self.level} cannot hold this command: {self.reason}"


@attrs.frozen
class Bwrap:
    """A bubblewrap program."""

    path: str
    version: tuple[int, ...]
    is_setuid: bool


def find_bwrap(search: str) -> Bwrap | str:
    """Return the bubblewrap of this machine, or why there is none to use."""
    path = shutil.which("bwrap", path=search)
    if path is None:
        return f"there is no bwrap in {search}"
    said, helped = (
        subprocess.run([path, option], env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  # the system's own
        for option in ("--version", "--help")
    )
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", said.stdout)
    if numbers is None:
        return f"{path} does not tell its version"
    version = tuple(map(int, numbers.groups()))
    missing = [option for option in ("--ro-bind-fd", "--size", "--disable-userns") if option not in helped.stdout]
    if missing:
        return f"{path} {numbers[0]} is too old: it has no {' or '.join(missing)}"
    return Bwrap(path, version, bool(os.stat(path).st_mode & stat.S_ISUID))


def unfit(level: str) -> str | None:
    """Return why a level is not for the user who asks, ``None`` if it is."""
    is_root = os.getuid() == 0
    if level == "root-idmap" and not is_root:
        return "it is for root, and the runner is not"
    if level == "userns" and is_root:
        return "it is for ordinary users: root would keep its own files' rights"
    if level in ("bwrap", "landlock") and is_root:
        return "it is for ordinary users: as root a command would stay root"
    return None


def unheld(level: str, layout: Layout, network: bool, bwrap: Bwrap | None = None) -> str | None:
    """Return what a level cannot hold of a layout, ``None`` if it holds all."""
    if level not in ("bwrap", "landlock"):
        return None
    if network:
        return "its task may reach hosts, which only root-idmap and userns hold a command to"
    for bind in layout.binds:
        problem = _landlock(bind, layout) if level == "landlock" else _mounts(bind, layout, bwrap)
        if problem is not None:
            return problem
    return None


def _landlock(bind: Bind, layout: Layout) -> str | None:
    """Landlock adds rights on the way down, and takes none back."""
    above = _above(bind, layout)
    if bind.masked or any((over.read and not bind.read) or (over.write and not bind.write) for over in above):
        return f"{bind.path} must stay closed within a tree that is granted; grant trees that do not hold it"
    return None


def _mounts(bind: Bind, layout: Layout, bwrap: Bwrap | None) -> str | None:
    """A mount can be read-only or cover something; it cannot be written without being read."""
    if not bind.read and not bind.masked:
        return f"{bind.path} is granted to be written, not to be read, which mounts cannot say; grant fs.read on it too"
    if (mask := next((over for over in _above(bind, layout) if over.masked), None)) is not None:
        return (
            f"{bind.path} is granted within {mask.path}, which is closed; bubblewrap mounts nothing into what it covers"
        )
    version = bwrap.version if bwrap is not None else ()
    if version < _MOUNTS_UNDER_WRITABLE and any(over.write for over in _above(bind, layout)):
        needed, found = (".".join(map(str, numbers)) for numbers in (_MOUNTS_UNDER_WRITABLE, version))
        return (
            f"{bind.path} must stay closed within a tree that may be written, and bubblewrap {found} does that "
            f"safely only from {needed} on; grant trees that do not hold it, such as fs.write:out/**"
        )
    return None


def _above(bind: Bind, layout: Layout) -> list[Bind]:
    return [over for over in layout.binds if bind.path.startswith(over.path + "/")]
