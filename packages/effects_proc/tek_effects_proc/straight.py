"""Straight paths: absolute ones on which no symlink stands.

Commands leave symlinks behind; what the runner looks at and renames afterwards, with all of its rights, must be what
the path says and nothing that a symlink on its way leads to.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def opened(directory: str, flags: int = os.O_PATH) -> Iterator[int]:
    """Open a directory by a straight path. Raises ``OSError``, ``ELOOP`` where a symlink stands on the way."""
    fd = os.open(directory, flags | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # The system tells where the descriptor really stands, whatever is done to the path meanwhile.
        if os.readlink(f"/proc/self/fd/{fd}") != directory:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), directory)
        yield fd
    finally:
        os.close(fd)


def status_of(path: str) -> os.stat_result:
    """Return the status of what has a straight path's name, a symlink itself among them. Raises ``OSError``."""
    parent, name = os.path.split(path)
    if not name:
        return os.lstat(path)
    with opened(parent) as fd:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)


def first_link(path: str) -> str | None:
    """Return the first symlink on the way to a path, the path itself left out; ``None`` where there is none."""
    place = ""
    for part in path.strip("/").split("/")[:-1]:
        place = f"{place}/{part}"
        if os.path.islink(place):
            return place
    return None


def rename_away(path: str, identity: tuple[int, int], new_name: str) -> None:
    """Give what has a straight path's name another in the same directory, if it is still the one meant.

    Raises ``OSError``.
    """
    parent, name = os.path.split(path)
    with opened(parent) as fd:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if (status.st_dev, status.st_ino) == identity:
            os.rename(name, new_name, src_dir_fd=fd, dst_dir_fd=fd)
