"""The tasks of a run as a table, and where a report links to each of them."""

from __future__ import annotations

from typing import Final

import attrs

from tek_abi.quantity import show_duration
from tek_runner.history import RunHistory, TaskHistory, milliseconds
from tek_runner.reporting.wording import LONG, cut, usage
from tek_runner.timeline import Span

MAX_TASKS: Final = 5_000
"""Rows of the table of tasks. Of a larger run it has those that did not end well, then the others as far as it goes."""
MAX_NEEDS: Final = 8
GOOD: Final = ("ok", "noop")


@attrs.frozen
class TaskLink:
    """A task by its name. ``row`` is its row's anchor, empty where the table leaves it out."""

    id: str
    row: str


@attrs.frozen
class TaskRow:
    """One task. ``problem`` and ``effects`` are the anchors of what else is told of it, or empty."""

    link: TaskLink
    title: str
    queue: str
    agent: str
    status: str
    lane: str
    start: str
    took: str
    attempts: int
    used: str
    effect_count: int
    needs: tuple[TaskLink, ...]
    more_needs: int
    on_path: bool
    problem: str
    effects: str


class Listing:
    """Which tasks of a run the table has. Anchors count tasks in plan order, so that no name stands in one."""

    def __init__(self, history: RunHistory) -> None:
        ordered = list(history.selected)
        if len(ordered) > MAX_TASKS:
            ordered.sort(key=lambda task: (task.status in GOOD, task.status == "skipped"))
        self.left_out = max(0, len(ordered) - MAX_TASKS)
        number = {id_: count for count, id_ in enumerate(history.tasks, 1)}
        self.tasks = sorted(ordered[:MAX_TASKS], key=lambda task: number[task.task.id])
        self._number = {task.task.id: number[task.task.id] for task in self.tasks}

    def anchor(self, kind: str, task: str) -> str:
        """Return the anchor of what is told of a task: its row, its problem, its effects; empty where it has none."""
        return f"{kind}{self._number[task]}" if task in self._number else ""

    def link(self, task: str) -> TaskLink:
        """Return a link to a task's row."""
        return TaskLink(cut(task, 80), self.anchor("task", task))


def task_rows(
    listing: Listing, spans: list[Span], path: list[TaskHistory], problems: frozenset[str], logged: frozenset[str]
) -> list[TaskRow]:
    """Return the table. ``problems`` and ``logged`` are the anchors of what else is told of tasks."""
    lanes: dict[str, Span] = {}
    for span in spans:
        lanes.setdefault(span.task.task.id, span)
    on_path = frozenset(task.task.id for task in path)
    return [_row(listing, task, lanes.get(task.task.id), on_path, problems, logged) for task in listing.tasks]


def _row(
    listing: Listing,
    told: TaskHistory,
    first: Span | None,
    on_path: frozenset[str],
    problems: frozenset[str],
    logged: frozenset[str],
) -> TaskRow:
    task, needs = told.task, (*told.task.needs, *told.queue.needs)
    return TaskRow(
        listing.link(task.id),
        title_of(told),
        cut(told.queue.name, 80),
        cut(told.agent, 60),
        told.status,
        "" if first is None else str(first.lane + 1),
        "" if first is None else show_duration(first.start),
        took(told),
        len(told.attempts),
        usage(told.usage),
        len(told.effects),
        tuple(listing.link(need) for need in needs[:MAX_NEEDS]),
        max(0, len(needs) - MAX_NEEDS),
        task.id in on_path,
        anchor if (anchor := listing.anchor("problem", task.id)) in problems else "",
        anchor if (anchor := listing.anchor("effects", task.id)) in logged else "",
    )


def title_of(told: TaskHistory) -> str:
    """Return a task's title, empty where it is but its id."""
    return cut(told.task.title, LONG) if told.task.title != told.task.id else ""


def took(told: TaskHistory) -> str:
    """Return how long a task took from its first attempt to its end; empty where it has not both."""
    return show_duration(milliseconds(told.begun, told.ended)) if told.begun and told.ended else ""
