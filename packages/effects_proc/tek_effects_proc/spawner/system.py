"""The system calls that Python has no name for. Each raises ``OSError`` with the call's name as its file.

Numbers above 400 are the same on every architecture; the others are looked up by the machine's name.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The machines that a filter can be made for, with their AUDIT_ARCH_* of <linux/audit.h>."""

MACHINE = os.uname().machine

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(MACHINE, -1)
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_FSPICK = 433
_CLONE3, _CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR = 435, 436, 437, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_CLONE_PIDFD = 0x00001000

AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
_MOUNT_ATTR_IDMAP = 0x100000
_MS_PRIVATE = 1 << 18
_MS_SLAVE = 1 << 19
_MS_REC = 1 << 14

_MOVE_MOUNT_T_EMPTY_PATH = 0x40

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_CHILD_SUBREAPER = 22, 2, 36

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _check(result: int, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def _path(path: str) -> ctypes.c_char_p:
    if "\0" in path:
        raise ValueError("a path holds NUL")
    return ctypes.c_char_p(os.fsencode(path))


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls")
    )


def clone(flags: int) -> tuple[int, int]:
    """Fork into new namespaces, clone3(2). Return the child's id and pidfd to the parent, ``(0, -1)`` to the child.

    Python's own work around a fork is left out: the caller has one thread.
    """
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(flags=flags | _CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=17)
    pid = _check(_syscall(_long(_CLONE3), ctypes.byref(args), _long(ctypes.sizeof(args))), "clone3")
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones: the call unshare."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Enter a namespace: the call setns."""
    _check(_libc.setns(fd, kind), "setns")


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_path(path: str, directory: int = AT_FDCWD) -> int:
    """Return an ``O_PATH`` descriptor of what ``path`` names without following any symlink, openat2(2)."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    result = _syscall(_long(_OPENAT2), _long(directory), _path(path), ctypes.byref(how), _long(ctypes.sizeof(how)))
    return _check(result, "openat2")


def open_tree(fd: int, recursive: bool) -> int:
    """Return a detached copy of the mount at ``fd``, from there down: the call open_tree."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return _check(_syscall(_long(_OPEN_TREE), _long(fd), _path(""), _long(flags)), "open_tree")


def move_mount(tree: int, point: int) -> None:
    """Attach a detached mount on the file or directory ``point``: the call move_mount."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _check(_syscall(_long(_MOVE_MOUNT), _long(tree), _path(""), _long(point), _path(""), _long(flags)), "move_mount")


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd"))


def mount_setattr(tree: int, attributes: int, recursive: bool, userns: int = -1) -> None:
    """Set attributes on a mount and make it private; with ``userns`` map its owners by that namespace,
    mount_setattr(2).
    """
    attr = _MountAttr(attributes, 0, _MS_PRIVATE, 0)
    if userns >= 0:
        attr.attr_set |= _MOUNT_ATTR_IDMAP
        attr.userns_fd = userns
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    result = _syscall(
        _long(_MOUNT_SETATTR), _long(tree), _path(""), _long(flags), ctypes.byref(attr), _long(ctypes.sizeof(attr))
    )
    _check(result, "mount_setattr")


def new_filesystem(kind: str, attributes: int, **options: str) -> int:
    """Return a detached mount of a new file system, fsopen(2), fsconfig(2), fsmount(2)."""
    context = _check(_syscall(_long(_FSOPEN), _path(kind), _long(1)), "fsopen")
    try:
        for name, value in options.items():
            result = _syscall(_long(_FSCONFIG), _long(context), _long(1), _path(name), _path(value), _long(0))
            _check(result, f"fsconfig {kind} {name}")
        _check(_syscall(_long(_FSCONFIG), _long(context), _long(6), None, None, _long(0)), f"fsconfig {kind}")
        return _check(_syscall(_long(_FSMOUNT), _long(context), _long(1), _long(attributes)), f"fsmount {kind}")
    finally:
        os.close(context)


def reconfigure(path: str, **options: str) -> None:
    """Change options of the file system that is mounted at ``path``, fspick(2)."""
    context = _check(_syscall(_long(_FSPICK), _long(AT_FDCWD), _path(path), _long(1)), "fspick")
    try:
        for name, value in options.items():
            result = _syscall(_long(_FSCONFIG), _long(context), _long(1), _path(name), _path(value), _long(0))
            _check(result, f"fsconfig {name}")
        _check(_syscall(_long(_FSCONFIG), _long(context), _long(7), None, None, _long(0)), "fsconfig")
    finally:
        os.close(context)


def keep_mounts_here() -> None:
    """Let mounts made here reach no other namespace, while those made outside still reach this one, mount(2)."""
    _check(_libc.mount(_path("none"), _path("/"), None, ctypes.c_ulong(_MS_SLAVE | _MS_REC), None), "mount")


def unmount(path: str) -> None:
    """Take away what is mounted at ``path`` with all beneath it, umount2(2) with MNT_DETACH."""
    _check(_libc.umount2(_path(path), 2), "umount2")


def pivot_root_here() -> None:
    """Make the current directory the root and drop the old one, pivot_root(2)."""
    _check(_syscall(_long(_PIVOT_ROOT), _path("."), _path(".")), "pivot_root")
    unmount(".")


def _prctl(name: str, option: int, first: Any = 0, second: Any = 0) -> None:
    _check(_libc.prctl(option, *(v if not isinstance(v, int) else _long(v) for v in (first, second, 0, 0))), name)


def die_with_parent(number: int = 9) -> None:
    """Get a signal, SIGKILL unless told, when the parent ends, PR_SET_PDEATHSIG. A change of credentials undoes it."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, number)


def adopt() -> None:
    """Become the parent of descendants that lose theirs, PR_SET_CHILD_SUBREAPER."""
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)


def hide() -> None:
    """Let no process of the same user look into this one, PR_SET_DUMPABLE."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    """Let no program gain rights when it is executed, PR_SET_NO_NEW_PRIVS."""
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)


def drop_bounding_set() -> None:
    """Let no execution gain a capability, PR_CAPBSET_DROP."""
    for capability in range(64):
        try:
            _prctl("PR_CAPBSET_DROP", _PR_CAPBSET_DROP, capability)
        except OSError:
            return  # past the last capability that this system knows


def drop_capabilities() -> None:
    """Give up every capability, capset(2)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes) -> None:
    """Filter the system calls of this process from now on by a BPF program, seccomp(2)."""
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = _Program(len(program) // 8, ctypes.addressof(buffer))
    _prctl("PR_SET_SECCOMP", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(prog))


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close every descriptor from ``first`` to ``last``: the call close_range."""
    _check(_syscall(_long(_CLOSE_RANGE), ctypes.c_uint(first), ctypes.c_uint(last), _long(0)), "close_range")


def close_on_exec(first: int) -> None:
    """Mark every descriptor from ``first`` on to be closed by execve, close_range(2)."""
    _check(_syscall(_long(_CLOSE_RANGE), ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), _long(4)), "close_range")


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def landlock_version() -> int:
    """Return the Landlock ABI of this system, 0 where it has none, landlock_create_ruleset(2)."""
    return max(0, int(_syscall(_long(_LANDLOCK_CREATE), None, _long(0), _long(1))))


def landlock_ruleset(fs: int, net: int, scoped: int) -> int:
    """Return a ruleset that handles these accesses."""
    attr = _Ruleset(fs, net, scoped)
    size = ctypes.sizeof(attr) if scoped else 16 if net else 8
    return _check(_syscall(_long(_LANDLOCK_CREATE), ctypes.byref(attr), _long(size), _long(0)), "landlock")


def landlock_allow(ruleset: int, fd: int, accesses: int) -> None:
    """Allow accesses at and beneath the file or directory ``fd``."""
    rule = _PathBeneath(accesses, fd)
    _check(_syscall(_long(_LANDLOCK_ADD), _long(ruleset), _long(1), ctypes.byref(rule), _long(0)), "landlock rule")


def landlock_allow_port(ruleset: int, port: int, accesses: int) -> None:
    """Allow accesses to a TCP port."""
    rule = _NetPort(accesses, port)
    _check(_syscall(_long(_LANDLOCK_ADD), _long(ruleset), _long(2), ctypes.byref(rule), _long(0)), "landlock port")


def landlock_restrict(ruleset: int) -> None:
    """Hold this process to a ruleset from now on."""
    _check(_syscall(_long(_LANDLOCK_RESTRICT), _long(ruleset), _long(0)), "landlock_restrict_self")
