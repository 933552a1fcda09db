"""Path resolution by the kernel of the operating system: the system call openat2(2) (DESIGN section 6).

Comparing path strings cannot keep a path beneath a root, because a symlink or a rename may change what a path means
between the check and the use. ``openat2`` resolves and opens in one step, and stops at the root. Where the system
lacks it, or a container's filter forbids it, ``walk`` takes its place.
"""

from __future__ import annotations

import ctypes
import errno
import os
from enum import IntFlag
from functools import cache

from tek_kernel.walk import walk

_SYS_OPENAT2 = 437  # one number on every architecture that CPython supports
_ATTEMPTS = 256
_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY  # O_TMPFILE holds O_DIRECTORY, which creates nothing


class Resolve(IntFlag):
    """What the resolution of a path may not do; values are those of ``<linux/openat2.h>``."""

    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


BENEATH = Resolve.BENEATH | Resolve.NO_MAGICLINKS
"""Stay beneath the directory that one starts from: no absolute path or link, no ``..`` above it, no magic link."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)


@cache
def supported() -> bool:
    """Whether this system has openat2 and lets this process call it. Found out once a process."""
    try:
        os.close(_call(-1, b"/", os.O_PATH, 0, Resolve.NO_MAGICLINKS))
    except OSError as error:
        # EPERM is what a seccomp filter that does not know the call answers; for these flags nothing else does.
        return error.errno not in (errno.ENOSYS, errno.EPERM)
    return True


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: Resolve = BENEATH) -> int:
    """Open ``path``, seen from the directory ``dirfd``, and return a descriptor that no child inherits.

    ``mode`` counts only where ``flags`` create a file; ``resolve`` holds either ``BENEATH`` or ``IN_ROOT``, and magic
    links are never followed. Raises ``ValueError`` for other rules and for a path that is empty, holds NUL or has no
    UTF-8 form, and the ``OSError`` of the call else: ``EXDEV`` for a path that leaves ``dirfd``, ``ELOOP`` for a
    magic link, ``EAGAIN`` if renames kept racing with it.
    """
    if not path or "\0" in path:
        raise ValueError(f"not a path: {path!r}")
    encoded = path.encode("utf-8")  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    if bool(resolve & Resolve.BENEATH) == bool(resolve & Resolve.IN_ROOT):
        raise ValueError(f"a path is resolved either beneath its root or in it: {resolve!r}")
    if not flags & (os.O_CREAT | _TMPFILE):
        mode = 0
    try:
        if supported():
            return _call(dirfd, encoded, flags, mode, resolve | Resolve.NO_MAGICLINKS)
        in_root, links = bool(resolve & Resolve.IN_ROOT), not resolve & Resolve.NO_SYMLINKS
        return walk(dirfd, encoded, flags, mode, in_root=in_root, links=links)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _call(dirfd: int, path: bytes, flags: int, mode: int, resolve: Resolve) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_ATTEMPTS):
        fd: int = _syscall(_SYS_OPENAT2, dirfd, path, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        # EAGAIN: a rename or mount raced with a ".." in the path. EINTR: a signal, for which its handler has now run.
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code))
