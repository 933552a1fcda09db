"""Whether a root that was built before its command was asked for is what would be built now.

It is as long as every file and directory in it is still found at its path, and no mount has come, gone or moved: a
mount goes when what it lies on is removed or replaced elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from tek_effects_proc.spawner.files import read_all

_MOUNTS = "/proc/self/mountinfo"


class Origin(NamedTuple):
    """What a part of a root was made from: a path of the host, and the device and inode that stood there."""

    path: str
    identity: tuple[int, int]


class Account(NamedTuple):
    """What a root was made from, and what was mounted when it was done: an open list, and its text."""

    origins: tuple[Origin, ...]
    mounts: int
    text: bytes


def account(origins: Iterable[Origin]) -> Account:
    """Write down what has just been built. Called before the root is entered."""
    mounts = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
    return Account(tuple(origins), mounts, read_all(mounts))


def still_stands(built: Account) -> bool:
    """Whether the same would be built now. Called before the root is entered."""
    try:
        return read_all(built.mounts) == built.text and all(map(_is_there, built.origins))
    except OSError:
        return False


def _is_there(origin: Origin) -> bool:
    status = os.stat(origin.path)  # by whatever symlinks: it is the same file or directory, or it is not
    return (status.st_dev, status.st_ino) == origin.identity
