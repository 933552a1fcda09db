"""Path resolution by hand, for systems without openat2: it gives the same answers, one component after the other.

No component is ever left to the operating system to follow: each is opened as itself, from the descriptor of the
directory before it, and a symlink's text is walked here. ``..`` goes back to the directory that one came from, whose
descriptor is still held, so no rename can make it lead above the root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from functools import reduce
from operator import or_

import attrs

_MAX_LINKS = 40
_ATTEMPTS = 256
_PATH_MAX = 4096
_ITSELF = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = _ITSELF | os.O_DIRECTORY
_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
_WITH_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN = reduce(or_, (
    _WITH_PATH, os.O_ACCMODE, os.O_CREAT, os.O_EXCL, os.O_NOCTTY, os.O_TRUNC, os.O_APPEND, os.O_NONBLOCK, os.O_SYNC,
    os.O_DSYNC, os.O_ASYNC, os.O_DIRECT, os.O_LARGEFILE, os.O_NOATIME, os.O_TMPFILE,
))  # fmt: skip

_PROC, _APPARMOR = 0x9FA0, 0x5A3C69F0  # the file systems with links that jump to an object, whatever their text says
_PLAIN_LINKS_OF_PROC = (b"self", b"thread-self", b"mounts")
_NOSYMFOLLOW = 0x2000  # a mount whose links nobody may follow


class _Statfs(ctypes.Structure):
    """The start of ``struct statfs`` on 64 bits, as fstatfs(2) fills it in, and room for the rest."""

    _fields_ = (
        ("type", ctypes.c_long),
        ("_", ctypes.c_long * 9),
        ("flags", ctypes.c_long),
        ("_rest", ctypes.c_long * 8),
    )


_fstatfs = ctypes.CDLL(None, use_errno=True).fstatfs
_fstatfs.argtypes = (ctypes.c_int, ctypes.POINTER(_Statfs))


def walk(root: int, path: bytes, flags: int, mode: int, *, in_root: bool, links: bool) -> int:
    """Open ``path`` as openat2(2) does and return a descriptor that no child inherits.

    ``in_root`` chooses ``RESOLVE_IN_ROOT`` over ``RESOLVE_BENEATH``; magic links are always refused, and all symlinks
    unless ``links``. Raises the ``OSError`` that openat2 would. Holds one descriptor for each directory on the way.
    """
    _check_arguments(path, flags, mode)
    walker = _Walker(root, flags | os.O_CLOEXEC, mode, in_root, links, follow=not flags & os.O_NOFOLLOW)
    try:
        fd = walker.open(path)
    finally:
        walker.close()
    try:
        _require_beneath(root, fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _check_arguments(path: bytes, flags: int, mode: int) -> None:
    creates = flags & os.O_CREAT
    temporary = flags & _TMPFILE
    wrong = (
        flags & ~_KNOWN
        or (flags & os.O_PATH and flags & ~_WITH_PATH)
        or (creates and flags & os.O_DIRECTORY)
        or (temporary and not flags & os.O_DIRECTORY)
        or (temporary and flags & os.O_ACCMODE == os.O_RDONLY)
        or mode & ~0o7777
    )
    if wrong:
        raise _error(errno.EINVAL)
    if len(path) >= _PATH_MAX:
        raise _error(errno.ENAMETOOLONG)


@attrs.define
class _Walker:
    """One resolution. ``todo`` holds the components to come, the next one last; ``held`` the directories behind it.

    ``follow`` and ``directory`` say what holds for the last component; a trailing slash sets both.
    """

    root: int
    flags: int
    mode: int
    in_root: bool
    links: bool
    follow: bool
    directory: bool = False
    slash: bool = False
    followed: int = 0
    todo: list[bytes] = attrs.field(factory=list)
    held: list[int] = attrs.field(factory=list)

    @property
    def here(self) -> int:
        return self.held[-1] if self.held else self.root

    @property
    def creates(self) -> bool:
        return bool(self.flags & os.O_CREAT)

    def open(self, path: bytes) -> int:
        if self.creates and self.flags & os.O_EXCL:
            self.follow = False
        self.take(path)
        while self.todo:
            name = self.todo.pop()
            if name in (b".", b".."):
                self.dots(name)
            elif self.todo:
                self.enter(name)
            else:
                fd = self.last(name)
                if fd is not None:
                    return fd
        return self.itself()

    def close(self) -> None:
        while self.held:
            os.close(self.held.pop())

    def take(self, path: bytes) -> None:
        """Put a path, or the text of a link, before what is still to be walked."""
        if path.startswith(b"/"):
            if not self.in_root:
                raise _error(errno.EXDEV)
            self.close()
        names = [name for name in path.split(b"/") if name]
        if not self.todo:
            self.slash = bool(names) and path.endswith(b"/")
            if self.slash and not self.creates:
                self.follow = self.directory = True
        self.todo += reversed(names)

    def dots(self, name: bytes) -> None:
        self.search()
        if name == b".":
            return
        if self.held:
            os.close(self.held.pop())
        elif not self.in_root:
            raise _error(errno.EXDEV)

    def search(self) -> None:
        """Raise the ``OSError`` of a place that is no directory or may not be searched."""
        os.close(os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=self.here))

    def enter(self, name: bytes) -> None:
        """Go down one component that others follow."""
        try:
            self.held.append(os.open(name, _DIRECTORY, dir_fd=self.here))
            return
        except NotADirectoryError:
            found = os.open(name, _ITSELF, dir_fd=self.here)
        try:
            text = self.text(found, name, last=False)
        finally:
            os.close(found)
        if text is None:
            raise _error(errno.ENOTDIR)
        self.take(text)

    def last(self, name: bytes) -> int | None:
        """Open the last component, or return ``None`` where it is a link whose text is now to be walked."""
        if self.slash and self.creates:
            self.search()
            raise _error(errno.EISDIR)
        for _ in range(_ATTEMPTS):
            found = self.look(name)
            if found is not None:
                try:
                    text = self.text(found, name, last=True) if self.follow else None
                    if text is None and self.flags & (os.O_PATH | _TMPFILE):
                        return self.reached(found)
                finally:
                    os.close(found)
                if text is not None:
                    self.take(text)
                    return None
            try:
                more = os.O_DIRECTORY if self.directory else 0
                return os.open(name, self.flags | more | os.O_NOFOLLOW, self.mode, dir_fd=self.here)
            except OSError as error:
                if error.errno != errno.ELOOP or not self.follow:
                    raise  # else it has become a link since it was looked at
        raise _error(errno.EAGAIN)

    def look(self, name: bytes) -> int | None:
        """Hold what has a name, be it a link; ``None`` for nothing where it may be created."""
        try:
            return os.open(name, _ITSELF, dir_fd=self.here)
        except FileNotFoundError:
            if not self.creates:
                raise
            return None

    def reached(self, found: int) -> int:
        """Return what opening ``found`` gives where its name is no longer needed."""
        if (self.directory or self.flags & os.O_DIRECTORY) and not stat.S_ISDIR(os.fstat(found).st_mode):
            raise _error(errno.ENOTDIR)
        if self.flags & _TMPFILE:
            return os.open(".", self.flags, self.mode, dir_fd=found)
        return os.dup(found)

    def itself(self) -> int:
        """Open the directory that the walk ended in without a name: by a dot, or at the root."""
        if self.creates:
            raise _error(errno.EEXIST if self.flags & os.O_EXCL else errno.EISDIR)
        return os.open(".", self.flags, self.mode, dir_fd=self.here)

    def text(self, found: int, name: bytes, *, last: bool) -> bytes | None:
        """Return a link's text, ``None`` for what is no link. Raises the ``OSError`` of one that nobody may follow."""
        status = os.fstat(found)
        if not stat.S_ISLNK(status.st_mode):
            return None
        self.followed += 1
        if self.followed > _MAX_LINKS or not self.links or _is_forbidden(found, name):
            raise _error(errno.ELOOP)
        if last and _is_planted(status, os.fstat(self.here)):
            raise _error(errno.EACCES)
        return os.readlink(b"", dir_fd=found)


def _is_forbidden(fd: int, name: bytes) -> bool:
    """Whether a link is a magic one, or on a mount where none may be followed."""
    status = _Statfs()
    if _fstatfs(fd, ctypes.byref(status)) != 0:
        raise _error(ctypes.get_errno())
    magic = status.type == _APPARMOR or (status.type == _PROC and name not in _PLAIN_LINKS_OF_PROC)
    return magic or bool(status.flags & _NOSYMFOLLOW)


def _is_planted(link: os.stat_result, directory: os.stat_result) -> bool:
    """Whether someone else may have left a link where anyone may, which ``fs.protected_symlinks`` forbids to follow.

    Held to here whatever that setting says.
    """
    shared = stat.S_ISVTX | stat.S_IWOTH
    return link.st_uid not in (os.geteuid(), directory.st_uid) and directory.st_mode & shared == shared


def _require_beneath(root: int, fd: int) -> None:
    """Raise the ``OSError`` of a place that was moved out of the root while it was walked to."""
    for _ in range(_ATTEMPTS):
        base, place, again = (os.readlink(f"/proc/self/fd/{each}") for each in (root, fd, root))
        if place == base or place.startswith(base.rstrip("/") + "/"):
            return
        if base == again:
            raise _error(errno.EXDEV)
    raise _error(errno.EAGAIN)


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
