"""Landlock: the rules of the mounts once more, should one be wrong; and no signal or abstract socket out.

Each version of its ABI handles more; what this system does not know is left out, and ``probe`` tells whether the rest
suffices (landlock(7)).
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache

from tek_effects_proc.spawner import system

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_HANDLED = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV

_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1

PORTS_SINCE = 4
"""The version that knows TCP ports."""

SCOPES_SINCE = 6
"""The version that keeps signals and abstract sockets within the confinement."""

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM | _REFER
    | _TRUNCATE
)  # fmt: skip


@lru_cache(maxsize=1)
def version() -> int:
    """Return the version of Landlock that this system has, 0 for none."""
    return system.landlock_version()


class Ruleset:
    """Deny by default; ``allow`` adds exceptions, ``restrict`` puts them in force for this process for good."""

    def __init__(self) -> None:
        known = version()
        self._handled = 0
        for since, accesses in _HANDLED:
            self._handled |= accesses if known >= since else 0
        if not self._handled:
            raise OSError(38, "this system has no Landlock", "landlock")
        self._fd = system.landlock_ruleset(
            self._handled, _BIND_TCP | _CONNECT_TCP if known >= PORTS_SINCE else 0, 3 if known >= SCOPES_SINCE else 0
        )

    def allow(self, fd: int, accesses: int) -> None:
        """Allow accesses at and beneath ``fd``; those that a file does not have are left out."""
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            accesses &= _OF_FILES
        if accesses & self._handled:
            system.landlock_allow(self._fd, fd, accesses & self._handled)

    def allow_connecting(self, port: int) -> None:
        """Allow TCP connections to a port."""
        if version() >= PORTS_SINCE:
            system.landlock_allow_port(self._fd, port, _CONNECT_TCP)

    def restrict(self) -> None:
        """Put the rules in force."""
        system.landlock_restrict(self._fd)
        os.close(self._fd)


def scope() -> None:
    """Let this process and all that it starts signal nobody else, and restrict nothing but that. Raises ``OSError``."""
    if version() < SCOPES_SINCE:
        raise OSError(38, f"version {SCOPES_SINCE} is needed (Linux 6.12), this system has {version()}", "landlock")
    ruleset = system.landlock_ruleset(0, 0, 3)
    try:
        system.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
