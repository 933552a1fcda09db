"""When the tasks of a run ran, beside each other: lanes as workers, and the chain of tasks that the run waited for."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import attrs

from tek_runner.history import RunHistory, TaskHistory, microseconds


@attrs.frozen
class Span:
    """One attempt at a task, from ``begun`` to ``ended`` in microseconds of the run. ``lane`` counts from 0."""

    task: TaskHistory
    attempt: int
    begun: int
    ended: int
    lane: int

    @property
    def start(self) -> int:
        """When it began, in whole milliseconds since the run did."""
        return self.begun // 1000

    @property
    def end(self) -> int:
        """When it ended, in whole milliseconds since the run began."""
        return self.ended // 1000


def spans(history: RunHistory) -> list[Span]:
    """Return every attempt in order of its start, each in the lowest lane that is free: as many lanes as ran at once.

    What has no end on record ends with the record.
    """
    began, found = history.began, list[tuple[int, int, TaskHistory, int]]()
    for task in history.tasks.values():
        for attempt in task.attempts:
            start = microseconds(began, attempt.begun)
            end = microseconds(began, attempt.ended or history.last)
            found.append((start, max(start, end), task, attempt.number))
    found.sort(key=lambda one: one[:2])
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    placed: list[Span] = []
    for start, end, task, number in found:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, lane))
        placed.append(Span(task, number, start, end, lane))
    return placed


def critical_path(history: RunHistory) -> list[TaskHistory]:
    """Return the chain of tasks that ended last, each the need that the next one waited for longest."""
    ended = [task for task in history.tasks.values() if task.attempts and task.ended]
    chain: list[TaskHistory] = []
    current = max(ended, key=lambda task: task.ended, default=None)
    by_name = _by_name(history.tasks.values())
    while current is not None:
        chain.append(current)
        needed = (one for need in (*current.task.needs, *current.queue.needs) for one in by_name.get(need, ()))
        before = [one for one in needed if one.attempts and one.ended and one.ended <= chain[-1].begun]
        current = max(before, key=lambda task: task.ended, default=None)
    return chain[::-1]


def _by_name(tasks: Iterable[TaskHistory]) -> dict[str, Sequence[TaskHistory]]:
    """Return the tasks by each name that ``Needs`` has for them: an id, its bare form, a queue's letter."""
    found: dict[str, list[TaskHistory]] = {}
    for one in tasks:
        for name in {one.task.id, one.task.id.partition("#")[0], one.queue.letter}:
            found.setdefault(name, []).append(one)
    return dict(found)
