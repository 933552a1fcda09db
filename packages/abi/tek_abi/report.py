"""TaskReport, TaskResult, RunSummary: what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import attrs

TaskStatus: TypeAlias = Literal["ok", "noop", "failed", "denied", "skipped", "cancelled", "in_doubt"]
TASK_STATUSES: Final[tuple[TaskStatus, ...]] = (
    "ok", "noop", "failed", "denied", "skipped", "cancelled", "in_doubt",
)  # fmt: skip


@attrs.frozen
class TaskReport:
    """An agent's own word on its task. ``progress`` is how many requests at its start a retry need not repeat."""

    status: Literal["ok", "noop", "failed"] = "ok"
    message: str = ""
    progress: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class TaskResult:
    """How a task ended. ``because`` names the task or rule that a skip or denial goes back to."""

    task: str
    queue: str
    agent: str
    status: TaskStatus
    message: str = ""
    because: str = ""
    attempts: int = 1


@attrs.frozen
class RunSummary:
    """A run's end: how many tasks ended in which status, in plan order of statuses."""

    ok: int = 0
    noop: int = 0
    failed: int = 0
    denied: int = 0
    skipped: int = 0
    cancelled: int = 0
    in_doubt: int = 0

    @classmethod
    def count(cls, statuses: Iterable[TaskStatus]) -> RunSummary:
        """Count statuses."""
        counts = dict.fromkeys(TASK_STATUSES, 0)
        for status in statuses:
            counts[status] += 1
        return cls(**counts)

    @property
    def status(self) -> str:
        """``ok`` where every task ended ok or noop, else the word of the worst kind."""
        for status in ("in_doubt", "failed", "denied", "cancelled", "skipped"):
            if getattr(self, status):
                return "cancelled" if status == "skipped" else status
        return "ok"
