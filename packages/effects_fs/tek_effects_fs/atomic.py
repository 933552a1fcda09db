"""Replacing a file whole: whoever opens the name finds the old bytes or the new ones, after a crash too."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress

import attrs

from tek_effects_fs.beneath import Beneath, Place
from tek_effects_fs.meter import Meter

_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
_PERMISSIONS = 0o777


def write_all(fd: int, data: bytes | memoryview, count: Callable[[int], None]) -> None:
    """Write all of ``data``, however little the system takes at a time, and ``count`` the bytes that it took.

    Raises ``OSError`` where it takes no more.
    """
    rest = memoryview(data)
    while rest:
        written = os.write(fd, rest)
        count(written)
        rest = rest[written:]


def replace(place: Place, old: os.stat_result | None, fill: Callable[[int], None], mode: int, meter: Meter) -> None:
    """Give ``place`` the bytes that ``fill`` writes to a descriptor, durably.

    Where ``fill``, the meter or the system (``OSError``) raises, the place stays as it is. ``old`` is the regular file
    that is there: it passes on its owner and permissions, but never set-id bits. A new one gets ``mode`` less the
    umask.
    """
    draft = _Draft.start(place.directory, mode)
    try:
        fill(draft.fd)
        if old is not None:
            _take_after(draft.fd, old)
        os.fsync(draft.fd)
        meter.check()
        draft.publish(place.name)
    finally:
        draft.discard()
    os.fsync(place.directory)


@attrs.define
class _Draft:
    """A file in the making. It has no name, where the file system can do that, so that a crash leaves nothing."""

    directory: int
    fd: int
    name: str | None

    @classmethod
    def start(cls, directory: int, mode: int) -> _Draft:
        flags = os.O_WRONLY
        try:
            return cls(directory, Beneath(directory, ".").open(flags | os.O_TMPFILE, mode), None)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        name = _fresh_name()
        return cls(directory, Beneath(directory, name).open(flags | os.O_CREAT | os.O_EXCL, mode), name)

    def publish(self, name: str) -> None:
        if self.name is None:
            fresh = _fresh_name()
            os.link(f"/proc/self/fd/{self.fd}", fresh, dst_dir_fd=self.directory)
            self.name = fresh
        os.rename(self.name, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self.name = None

    def discard(self) -> None:
        os.close(self.fd)
        if self.name is not None:
            with suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=self.directory)


def _fresh_name() -> str:
    return f".tek-{secrets.token_hex(8)}"


def _take_after(fd: int, old: os.stat_result) -> None:
    new = os.fstat(fd)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):  # only root may give files away; the writer then owns the new one
            os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, old.st_mode & _PERMISSIONS)
