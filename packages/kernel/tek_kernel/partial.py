"""Re-driving what can still be driven: a task that reads a redacted blob drops out, and all others go on.

What such a task's requests reserved and used is taken from the record, so that the budgets that tasks share decide
the same for the others.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from tek_abi import (
    Budget,
    DecodeError,
    EffectIntent,
    EffectOutcome,
    Entry,
    Limit,
    Position,
    TaskEnded,
    TaskStarted,
    ValueNotAllowed,
)
from tek_abi.entry import Decision
from tek_kernel.account import Account, Busy, Exhausted, Reservation
from tek_kernel.effect import Cost
from tek_kernel.lines import LedgerInvalid, Line
from tek_kernel.redaction import RecordedBlobs, Redacted
from tek_kernel.verify import ReplayMismatch


@attrs.frozen
class Dropped:
    """What a task holds that is driven no further: its account and the reservations of its open requests."""

    account: Account
    open: dict[Position, Reservation]


class Driver(Protocol):
    """Drives tasks line by line, and can let one go."""

    def take(self, line: Line) -> None:
        """Take one line."""
        ...

    def drop(self, task: str) -> Dropped | None:
        """Drive a task no further; ``None`` if it has ended."""
        ...


class PartialRedrive:
    """Drives a ledger's tasks but for those that ask for a redacted blob. ``dropped`` names these, with the blob."""

    def __init__(self, driver: Driver, blobs: RecordedBlobs | None) -> None:
        self._driver = driver
        self._blobs = blobs
        self._accounts: dict[str, Dropped] = {}
        self.dropped: dict[str, Redacted] = {}

    def take(self, line: Line) -> None:
        """Take one line. Raises as the driver does, but for tasks that cannot be driven."""
        task = _task_of(line.entry)
        if task in self.dropped:
            self._follow(line, task)
            return
        if self._blobs is None:
            self._driver.take(line)
            return
        self._blobs.asked.clear()
        problem: Exception | None = None
        try:
            self._driver.take(line)
        except (LedgerInvalid, LookupError, DecodeError, ValueNotAllowed) as error:
            problem = error
        if self._blobs.asked:
            # Whatever it did once it lacked the blob says nothing of what it did with it.
            self._drop(line, task, self._blobs.asked[0])
        elif problem is not None:
            raise problem

    def _drop(self, line: Line, task: str, redacted: Redacted) -> None:
        self.dropped[task] = redacted
        dropped = self._driver.drop(task)
        if dropped is None:
            return
        self._accounts[task] = dropped
        if isinstance(line.entry, EffectIntent) and line.entry.position not in dropped.open:
            self._follow(line, task)

    def _follow(self, line: Line, task: str) -> None:
        """Do to the shared budgets what the record says that the task did."""
        dropped = self._accounts.get(task)
        if dropped is None:
            return
        match line.entry:
            case EffectIntent(position, allow=True, reservation=amount):
                try:
                    dropped.open[position] = dropped.account.reserve(_exactly(amount))
                except (Busy, Exhausted) as error:
                    problem = "reserves more than there is"
                    raise ReplayMismatch(line.number, problem, str(amount), str(error), task=task) from None
            case EffectOutcome(position, usage=usage) if position in dropped.open:
                dropped.account.settle(dropped.open.pop(position), usage)
            case TaskEnded():
                del self._accounts[task]
            case _:
                pass


def _exactly(amount: Budget) -> Cost:
    return Cost(amount, Limit(amount.ms, amount.tokens, amount.io))


def _task_of(entry: Entry) -> str:
    match entry:
        case TaskStarted() | TaskEnded():
            return entry.task
        case EffectIntent() | EffectOutcome() | Decision():
            return entry.position.task
        case _:
            return ""
