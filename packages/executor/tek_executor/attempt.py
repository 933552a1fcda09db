"""One attempt at one task: the agent being driven, and its requests on their way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs

from tek_abi import Bound, Drive, Path, Position, Queue, Task
from tek_kernel import Admitted, Cancel, Result, Scope, SideEffect, TaskRecord


@attrs.define(eq=False)
class Flight:
    """A request with an intent on record and no outcome delivered yet. ``racing`` ones must not wait for others."""

    attempt: Attempt
    path: Path
    admitted: Admitted
    racing: bool = False
    cancel: Cancel = attrs.field(factory=Cancel)
    _taken: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def take(self) -> bool:
        """Return whether the caller is the first to take this request, be it to apply it or to end it unapplied.

        Any thread may ask; a cancelled request that no worker has taken need not wait for one.
        """
        return self._taken.acquire(blocking=False)

    @property
    def side_effect(self) -> SideEffect:
        """What a second application would do."""
        return self.admitted.effect.side_effect(self.admitted.request)

    @property
    def is_read(self) -> bool:
        """Whether nothing need be durable before or after it."""
        return self.side_effect is SideEffect.READ


@attrs.define(eq=False)
class Parked:
    """A request that waits for others to release the budget it needs. Nothing of it is on record."""

    attempt: Attempt
    path: Path
    bound: Bound[Any]
    share: int
    racing: bool
    known: Callable[[Admitted], Result] | None = None
    """How it ends without being applied, where that is known."""


@attrs.define(eq=False)
class Work:
    """A task under way, over all its attempts."""

    queue: Queue
    task: Task
    agent: str
    record: TaskRecord = attrs.field(factory=TaskRecord)
    scope: Scope | None = None
    attempts: int = 0
    progress: int = 0
    in_doubt: bool = False


@attrs.define(eq=False)
class Attempt:
    """One run of a task's agent. ``stopped`` says why it was cut short: timeout or interrupt.

    ``refused`` are the denied requests whose denial is on record but not delivered yet.
    """

    work: Work
    drive: Drive
    number: int
    flights: dict[Path, Flight] = attrs.field(factory=dict)
    refused: set[Path] = attrs.field(factory=set)
    stopped: str = ""

    def position(self, path: Path = ()) -> Position:
        """Return the position of a request, or of the attempt itself."""
        return Position(self.work.task.id, self.number, path)
