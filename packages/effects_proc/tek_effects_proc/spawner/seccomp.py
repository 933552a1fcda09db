"""The filter of system calls: what namespaces and Landlock leave open (seccomp(2), bpf(4)).

All that could change mounts, enter or make namespaces, look into processes, load code into the system, plant set-id
bits or devices, or reach a network past the empty namespace is refused; a call that is newer than this table does not
exist; another architecture's calls kill.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from tek_effects_proc.spawner.system import ARCHITECTURES, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, MACHINE

_EPERM, _EACCES, _ENOSYS, _ENOTSUP, _EAFNOSUPPORT = 1, 13, 38, 95, 97
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000

# Not CLONE_NEWTIME: in clone's flags its bit belongs to the exit signal; unshare's mask has it.
_NAMESPACES = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000
_SET_ID = 0o6000
_O_CREATES = 0o100 | 0o20000000
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE = 1, 5, 0xFF
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_LAST_KNOWN = 462

_NUMBERS = {
    # name: (x86_64, aarch64); None where an architecture lacks the call
    "open": (2, None), "creat": (85, None), "openat": (257, 56), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "mknod": (133, None), "mknodat": (259, 33),
    "ioctl": (16, 29), "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "clone": (56, 220),
    "unshare": (272, 97), "personality": (135, 92), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "create_module": (174, None),
    "query_module": (178, None), "get_kernel_syms": (177, None), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "acct": (163, 89),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "vhangup": (153, 58),
    "syslog": (103, 116), "_sysctl": (156, None), "uselib": (134, None), "ustat": (136, None),
    "sysfs": (139, None), "migrate_pages": (256, 238), "move_pages": (279, 239), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "clone3": (435, 435),
    "openat2": (437, 437), "mount_setattr": (442, 442), "memfd_secret": (447, 447),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5),
    "lsetxattr": (189, 6), "fsetxattr": (190, 7), "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10),
    "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "inotify_add_watch": (254, 27), "pidfd_open": (434, 434),
    "prlimit64": (302, 261), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186), "msgctl": (71, 187), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "mq_open": (240, 180), "mq_unlink": (241, 181), "bind": (49, 200), "listen": (50, 201),
    "process_mrelease": (448, 448), "statmount": (457, 457), "listmount": (458, 458),
}  # fmt: skip

_REFUSED = (
    "mount", "umount2", "pivot_root", "chroot", "setns", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
    "pidfd_getfd", "process_madvise", "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module",
    "get_kernel_syms", "reboot", "swapon", "swapoff", "sethostname", "setdomainname", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "acct", "quotactl", "quotactl_fd", "iopl", "ioperm", "modify_ldt",
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "lookup_dcookie", "nfsservctl", "vhangup", "syslog",
    "_sysctl", "uselib", "ustat", "sysfs", "migrate_pages", "move_pages", "mbind", "set_mempolicy", "open_tree",
    "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "memfd_secret",
)  # fmt: skip
_ABSENT = ("io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "openat2")
"""Calls whose arguments a filter cannot see. Programs fall back where the system says that it does not know them."""

_UNMARKED = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat", "utime", "utimes", "futimesat",
    "utimensat",
)  # fmt: skip
_UNATTRIBUTED = (
    "setxattr", "lsetxattr", "fsetxattr", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "removexattr", "lremovexattr", "fremovexattr",
)  # fmt: skip
_UNSHARED = (
    "inotify_add_watch", "process_mrelease", "shmget", "shmat", "shmctl", "semget", "semctl", "semop", "semtimedop",
    "msgget", "msgctl", "msgsnd", "msgrcv", "mq_open", "mq_unlink", "bind", "listen",
)  # fmt: skip
_SELF_ONLY = {
    "prlimit64": 0, "sched_setparam": 0, "sched_setscheduler": 0, "sched_setaffinity": 0, "sched_setattr": 0,
    "setpriority": 1, "ioprio_set": 1,
}  # fmt: skip
"""Calls that may name another process, with the argument that names it; zero is the caller."""

Instruction = tuple[int, int, int, int]
_NEAR = 255
"""How many instructions a conditional jump can pass over; an unconditional one passes over all."""

_LOAD, _AND = 0x20, 0x54
_JA, _JEQ, _JGT, _JGE, _JSET = 0x05, 0x15, 0x25, 0x35, 0x45
_RETURN = 0x06


def _argument(index: int) -> Instruction:
    return _LOAD, 0, 0, 16 + 8 * index


def _refuse(code: int) -> Instruction:
    return _RETURN, 0, 0, _ERRNO | code


_ALLOWED: Instruction = (_RETURN, 0, 0, _ALLOW)


def _with_bits(argument: int, mask: int, code: int = _EPERM) -> list[Instruction]:
    """Refuse where an argument has any bit of ``mask``."""
    return [_argument(argument), (_JSET, 0, 1, mask), _refuse(code)]


def _mode_of_new(flags: int, mode: int) -> list[Instruction]:
    """Refuse set-id bits in the mode, which counts only where the flags create a file."""
    return [_argument(flags), (_JSET, 0, 3, _O_CREATES), _argument(mode), (_JSET, 0, 1, _SET_ID), _refuse(_EPERM)]


def _node(mode: int) -> list[Instruction]:
    kind = [_argument(mode), (_AND, 0, 0, 0o170000)]
    devices = [(_JEQ, 1, 0, 0o020000), (_JEQ, 0, 1, 0o060000), _refuse(_EPERM)]
    return [*_with_bits(mode, _SET_ID), *kind, *devices]


def _one_of(argument: int, mask: int, values: tuple[int, ...], code: int) -> list[Instruction]:
    """Refuse any value of an argument but these."""
    tests = [(_JEQ, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [_argument(argument), (_AND, 0, 0, mask), *tests, _refuse(code)]


def _none_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    return [_argument(argument), *(step for value in values for step in ((_JEQ, 0, 1, value), _refuse(_EPERM)))]


def _blocks(network: bool) -> dict[str, list[Instruction]]:
    """Return what is looked at in the arguments of each call that is neither always refused nor always allowed."""
    whole = 0xFFFFFFFF
    streams = _one_of(1, _SOCK_TYPE, (_SOCK_STREAM, _SOCK_SEQPACKET), _EACCES)
    if network:
        # TCP towards the proxy alone; a unix socket by its path could be anybody's.
        sockets = [
            *_one_of(0, whole, (_AF_INET, _AF_INET6), _EAFNOSUPPORT),
            *_one_of(1, _SOCK_TYPE, (_SOCK_STREAM,), _EACCES),
            *_one_of(2, whole, (0, 6), _EACCES),
        ]
    else:
        sockets = [*_one_of(0, whole, (_AF_UNIX,), _EAFNOSUPPORT), *streams]
    blocks = {
        "clone": _with_bits(0, _NAMESPACES),
        "unshare": _with_bits(0, _NAMESPACES | 0x80),
        "chmod": _with_bits(1, _SET_ID),
        "fchmod": _with_bits(1, _SET_ID),
        "fchmodat": _with_bits(2, _SET_ID),
        "fchmodat2": _with_bits(2, _SET_ID),
        "creat": _with_bits(1, _SET_ID),
        "open": _mode_of_new(1, 2),
        "openat": _mode_of_new(2, 3),
        "mknod": _node(1),
        "mknodat": _node(2),
        "ioctl": _none_of(1, (_TIOCSTI, _TIOCLINUX, _TIOCSETD)),
        "personality": _one_of(0, whole, (0, 0x40000, whole), _EPERM),
        "socket": sockets,
        # A datagram socket can name another address in each message, where no filter looks.
        "socketpair": [*_one_of(0, whole, (_AF_UNIX,), _EAFNOSUPPORT), *streams],
    }
    if not network:
        # A unix socket's path may lead to a server outside; the empty namespace has nothing else to connect to.
        blocks["connect"] = [_refuse(_EACCES)]
    return blocks


def _search(blocks: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """Find a call's block by halves: the system runs the program once for every call there is when it takes it."""
    if not blocks:
        return [_ALLOWED]
    if len(blocks) == 1:
        ((number, block),) = blocks
        return [(_JEQ, 0, len(block), number), *block, _ALLOWED]
    middle = len(blocks) // 2
    below, above = _search(blocks[:middle]), _search(blocks[middle:])
    if len(below) <= _NEAR:
        return [(_JGE, len(below), 0, blocks[middle][0]), *below, *above]
    return [(_JGE, 1, 0, blocks[middle][0]), (_JA, 0, 0, 1), (_JA, 0, 0, len(below)), *below, *above]


def _shared() -> dict[str, list[Instruction]]:
    """Return what else is refused where a command shares the host's namespaces: what Landlock does not cover of files
    outside its rules, of processes of the same user, and of the host's memory, queues and addresses.
    """
    return {
        **{name: [_refuse(_EPERM)] for name in _UNMARKED},
        **{name: [_refuse(_ENOTSUP)] for name in _UNATTRIBUTED},
        **{name: [_refuse(_EACCES)] for name in _UNSHARED},
        **{name: [_refuse(_ENOSYS)] for name in ("pidfd_open", "statmount", "listmount")},
        **{name: _one_of(argument, 0xFFFFFFFF, (0,), _EPERM) for name, argument in _SELF_ONLY.items()},
    }


@lru_cache(maxsize=3)
def program(*, network: bool, shared: bool) -> bytes:
    """Return the filter for this machine. ``network`` lets TCP sockets connect: the namespace holds the proxy alone.
    ``shared`` is for a command in the host's own namespaces.

    Raises ``OSError`` on a machine that has no table.
    """
    if MACHINE not in ARCHITECTURES:
        raise OSError(_ENOSYS, f"no system call table for {MACHINE}", "seccomp")
    column = list(ARCHITECTURES).index(MACHINE)
    steps: list[Instruction] = [
        (_LOAD, 0, 0, 4), (_JEQ, 1, 0, ARCHITECTURES[MACHINE]), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]  # fmt: skip
    if MACHINE == "x86_64":
        steps += [(_JGE, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]  # the x32 calls
    steps += [(_JGT, 0, 1, _LAST_KNOWN), _refuse(_ENOSYS)]
    refusals = {**dict.fromkeys(_REFUSED, _EPERM), **dict.fromkeys(_ABSENT, _ENOSYS)}
    blocks = {**{name: [_refuse(code)] for name, code in refusals.items()}, **_blocks(network)}
    blocks |= _shared() if shared else {}
    numbered = {_NUMBERS[name][column]: block for name, block in blocks.items()}
    steps += _search(sorted((number, block) for number, block in numbered.items() if number is not None))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
