"""Where an answer about a run that never happened stops being certain.

A task that is decided otherwise than on record may ask for other things from there on, and so may every task that
needs it. A shared ceiling that refuses lets no further task start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from tek_abi import Position, Queue, Task


@attrs.frozen
class Doubt:
    """From where on nobody knows what a task would have asked for: after ``since``, or from its start."""

    task: str
    since: Position | None
    why: str


class Certainty:
    """Keeps, for each task, the first thing that could have made it go differently."""

    def __init__(self, tasks: Mapping[str, tuple[Queue, Task]]) -> None:
        self._tasks = tasks
        self._started: set[str] = set()
        self._lost: dict[str, Doubt] = {}
        self._changed: dict[str, str] = {}
        """By every name that ``Needs`` may use, a task that may go differently."""
        self._halted: Position | None = None

    def holds(self, task: str) -> bool:
        """Whether nothing so far could have made a task go differently."""
        return task not in self._lost

    def lose(self, task: str, since: Position | None, why: str) -> None:
        """Note the first thing that could make a task go differently."""
        if task in self._lost:
            return
        self._lost[task] = Doubt(task, since, why)
        queue, _ = self._tasks[task]
        for name in (task, task.partition("#")[0], queue.letter):
            self._changed.setdefault(name, task)

    def halt(self, position: Position) -> None:
        """Note that a shared ceiling refuses a request: no task starts after it."""
        self._halted = self._halted or position

    def started(self, task: str) -> None:
        """Note that a task starts: it is as certain as what it needs."""
        self._started.add(task)
        queue, planned = self._tasks[task]
        other = next((self._changed[need] for need in (*planned.needs, *queue.needs) if need in self._changed), None)
        if self._halted is not None:
            self.lose(task, None, f"a shared budget refuses {self._halted}, and no task starts after that")
        elif other is not None:
            self.lose(task, None, f"it needs {other}, which may go differently")

    def doubts(self, selected: Iterable[str]) -> tuple[Doubt, ...]:
        """Return all doubts in plan order. A task of ``selected`` (of all, where that is empty) that never started is
        one.
        """
        chosen = frozenset(selected)
        found = []
        for task in self._tasks:
            if task in self._lost:
                found.append(self._lost[task])
            elif task not in self._started and (not chosen or task in chosen):
                found.append(Doubt(task, None, "it was not started on record, so nobody knows what it asks for"))
        return tuple(found)
