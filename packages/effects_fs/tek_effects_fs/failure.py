"""What the errors of the operating system mean to an agent: a stable code, and what to do about it."""

from __future__ import annotations

import errno
from typing import Final

from tek_abi import Budget
from tek_kernel.effect import EffectError

IS_MISSING: Final = "is not there; make it first, or correct the name"
HOLDER_IS_MISSING: Final = "cannot be made: the directory that is to hold it is not there; make that first"

_MEANINGS = {
    "not-found": {
        errno.ENOENT: IS_MISSING,
        errno.ENXIO: "has nothing behind it",
    },
    "exists": {
        errno.EEXIST: "is there already; remove it first, or choose another name",
        errno.ENOTEMPTY: "is a directory that is not empty; remove what it holds first",
    },
    "not-permitted": {
        errno.EACCES: "is closed to this user; change its mode or its owner",
        errno.EPERM: "is closed to this user; change its mode, owner or attributes",
        errno.EROFS: "is on a file system that is mounted read-only",
        errno.EBUSY: "is in use by the system, as a mount point for one",
        errno.ETXTBSY: "is a program that is running; write it anew instead",
    },
    "wrong-kind": {
        errno.ENOTDIR: "is not a directory, or goes through something that is none",
        errno.EISDIR: "is a directory; name a file in it",
    },
    "escapes": {
        errno.EXDEV: "leads out of its root, by an absolute or an upward symlink; name the target itself",
        errno.ELOOP: "goes through a symlink that cannot be followed (a loop, or one of /proc); name the target itself",
    },
    "unsupported": {
        errno.ENOSYS: "needs a system call that is missing here",
        errno.EOPNOTSUPP: "is on a file system that cannot do this",
    },
    "bad-request": {
        errno.EINVAL: "cannot be used in this way, such as moving a directory into itself",
        errno.ENAMETOOLONG: "is too long for a path or a name",
    },
    "io": {
        errno.ENOSPC: "cannot be written: no space left on its device; free some",
        errno.EDQUOT: "cannot be written: the disk quota is used up; free some",
        errno.EFBIG: "cannot be written: the file would be larger than the system allows (see ulimit -f)",
        errno.EIO: "cannot be used: its device reports an error",
        errno.EAGAIN: "kept changing while it was resolved; ask again",
    },
}
_BY_ERRNO = {number: (code, text) for code, texts in _MEANINGS.items() for number, text in texts.items()}


def failure(error: OSError, path: str, usage: Budget, is_missing: str = IS_MISSING) -> EffectError:
    """Return the failure that an ``OSError`` is to an agent that asked for ``path``, after ``usage`` was spent."""
    number = error.errno or 0
    code, text = _BY_ERRNO.get(number, ("io", f"cannot be used: {error.strerror}"))
    text = is_missing if number == errno.ENOENT else text
    return EffectError(code, f"{path}: {text}", usage, obs={"errno": errno.errorcode.get(number, str(number))})
