"""Step, Task, Queue, ExecutionPlan: what the planner makes of a source of truth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import attrs

from tek_abi.budget import Limit
from tek_abi.permit import Permit

LAYERS: Final = ("foundation", "orchestration", "platform", "services", "monitoring", "execution")
_LAYER_ENDS: Final = ((21, "foundation"), (29, "orchestration"), (41, "platform"), (53, "services"), (61, "monitoring"))
TASK_ID: Final = re.compile(r"TASK-[0-9]{3,}", re.ASCII)


def layer_of(task_id: str) -> str:
    """Return the layer of a task by its number (DESIGN section 7): 1-21 foundation, ... else execution."""
    digits = task_id.removeprefix("TASK-").partition("#")[0].lstrip("0")
    if len(digits) > 2 or not (digits.isascii() and digits.isdigit()):
        return "execution"
    number = int(digits)
    return next((layer for end, layer in _LAYER_ENDS if number <= end), "execution")


def _some(_: object, attribute: attrs.Attribute[Any], value: str | tuple[str, ...]) -> None:
    if not value:
        raise ValueError(f"{attribute.name} is empty")


def _natural(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} is a number from 0, not {value}")


def _positive(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"{attribute.name} is a number above 0, not {value}")


@attrs.frozen
class Step:
    """One command of a task. ``argv`` is what is started, never through a shell of tek's own.

    ``source`` says where it stands: a ``block`` stops its task at the first failure; ``hook`` commands all run, as
    the older kit ran them. ``line`` is the fence's or command's line in the source, from 1.
    """

    argv: tuple[str, ...] = attrs.field(validator=_some)
    source: Literal["block", "hook"] = "block"
    cwd: str | None = None
    line: int | None = None


@attrs.frozen
class Allow:
    """One ``Allow`` field: the rules that it asks for, and the line where it stands."""

    rules: tuple[Permit, ...]
    line: int | None = None


@attrs.frozen
class Task:
    """A unit of work. ``id`` is unique in its plan: from its second occurrence on, ``TASK-001#2``.

    ``timeout`` and budgets' ``ms`` are milliseconds. ``needs`` names tasks and queues (by letter).
    ``env`` are pairs of a name and a value, ``secret:NAME`` standing for the operator's variable.
    """

    id: str = attrs.field(validator=_some)
    title: str
    layer: str
    needs: tuple[str, ...] = ()
    agent: str | None = None
    allow: tuple[Allow, ...] = ()
    budget: Limit = Limit()
    timeout: int | None = attrs.field(default=None, validator=_positive)
    retries: int = attrs.field(default=0, validator=_natural)
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    idempotent: bool = False
    steps: tuple[Step, ...] = ()
    line: int | None = None


@attrs.frozen
class Queue:
    """A list of tasks under one name. Its budget is a ceiling that its tasks share; its ``Allow`` bounds theirs."""

    name: str
    tasks: tuple[Task, ...] = ()
    needs: tuple[str, ...] = ()
    allow: tuple[Allow, ...] = ()
    budget: Limit = Limit()
    line: int | None = None

    @property
    def letter(self) -> str:
        """The letter or letters between ``Queue`` and the dash, by which ``Needs`` names the queue."""
        return self.name.removeprefix("Queue ").partition(" ")[0]


@attrs.frozen
class ExecutionPlan:
    """Everything that a run carries out. ``source`` and ``generated_at`` are kept out of every digest."""

    queues: tuple[Queue, ...] = ()
    allow: tuple[Allow, ...] = ()
    budget: Limit = Limit()
    source: str = ""
    generated_at: str = ""

    def tasks(self) -> Iterator[tuple[Queue, Task]]:
        """Yield each task with its queue, in plan order."""
        for queue in self.queues:
            for task in queue.tasks:
                yield queue, task


@attrs.frozen
class Assignment:
    """What an agent gets: its task, which attempt this is (from 1), and the steps already done by earlier ones."""

    task: Task
    attempt: int = attrs.field(default=1, validator=_positive)
    progress: int = attrs.field(default=0, validator=_natural)

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def title(self) -> str:
        """The task's title."""
        return self.task.title

    @property
    def steps(self) -> tuple[Step, ...]:
        """The task's commands."""
        return self.task.steps
