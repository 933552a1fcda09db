"""Exit codes (DESIGN section 8), and which one stands where several hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from tek_abi import TaskStatus


class Exit(IntEnum):
    """What ``tek-runner`` ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    LEDGER = 4
    SANDBOX = 5
    IN_DOUBT = 6
    STORAGE = 7
    INTERRUPTED = 130


_PRECEDENCE = (
    Exit.INTERRUPTED, Exit.LEDGER, Exit.STORAGE, Exit.SANDBOX, Exit.USAGE, Exit.IN_DOUBT, Exit.FAILED, Exit.DENIED,
)  # fmt: skip
_OF_STATUS: dict[TaskStatus, Exit] = {
    "failed": Exit.FAILED,
    "denied": Exit.DENIED,
    "in_doubt": Exit.IN_DOUBT,
    "cancelled": Exit.INTERRUPTED,
}


def exit_of(statuses: Iterable[TaskStatus], interrupted: bool = False) -> Exit:
    """Return the exit code of a run whose tasks ended so. A skip is the doing of what it was skipped for."""
    found = {_OF_STATUS[status] for status in set(statuses) if status in _OF_STATUS}
    if interrupted:
        found.add(Exit.INTERRUPTED)
    return next((code for code in _PRECEDENCE if code in found), Exit.OK)
