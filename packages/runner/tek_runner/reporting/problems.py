"""What did not go well in a run: first in a report, with all that is needed to go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from tek_abi import Blob
from tek_runner.history import OPEN, EffectHistory, RunHistory, TaskHistory, last_lines
from tek_runner.reporting.again import run_again
from tek_runner.reporting.listing import Listing, TaskLink, title_of
from tek_runner.reporting.wording import LONG, MESSAGE, cut

FULL: Final = 50
"""Problems that are told with output and commands; further ones are in the table of tasks alone."""
LINES: Final = 20
_LINE: Final = 300
_REFUSALS: Final = 10
_SKIPPED: Final = 12
_MAX_OUTPUT: Final = 16 * 2**20
_BAD: Final = ("failed", "denied", "in_doubt", "cancelled", OPEN)


@attrs.frozen
class Output:
    """The last lines of what a command wrote to ``stream``. ``note`` says what is not shown, and why."""

    stream: str
    lines: tuple[str, ...]
    note: str


@attrs.frozen
class Refusal:
    """A request that was denied or failed. ``grant`` is what would have granted it, or empty."""

    task: TaskLink
    position: str
    effect: str
    subject: str
    status: str
    problem: str
    grant: str


@attrs.frozen
class Problem:
    """One task that did not end well. ``message`` is empty where the last refusal says it all; ``again`` is the
    command that runs the task alone, or empty.
    """

    anchor: str
    link: TaskLink
    title: str
    queue: str
    status: str
    message: str
    refusals: tuple[Refusal, ...]
    more_refusals: int
    outputs: tuple[Output, ...]
    skipped: tuple[TaskLink, ...]
    more_skipped: int
    again: str


@attrs.frozen
class Problems:
    """All of them. ``handled`` are refusals in tasks that went on; the numbers count what is not told here."""

    told: tuple[Problem, ...]
    more: int
    handled: tuple[Refusal, ...]
    more_handled: int


def problems_of(history: RunHistory, listing: Listing) -> Problems:
    """Return what did not go well, in plan order."""
    bad = [task for task in history.selected if task.status in _BAD]
    skipped: dict[str, list[str]] = {}
    for task in history.selected:
        if task.status == "skipped":
            skipped.setdefault(task.because, []).append(task.task.id)
    told = tuple(_problem(history, listing, task, skipped.get(task.task.id, [])) for task in bad[:FULL])
    handled = [effect for task in history.selected if task.status not in _BAD for effect in refused(task.effects)]
    shown = tuple(refusal(listing, effect) for effect in handled[:FULL])
    return Problems(told, max(0, len(bad) - FULL), shown, max(0, len(handled) - FULL))


def refused(effects: Iterable[EffectHistory]) -> Iterator[EffectHistory]:
    """Yield the requests that were denied or failed."""
    return (effect for effect in effects if effect.status in ("denied", "failed"))


def refusal(listing: Listing, effect: EffectHistory) -> Refusal:
    """Return what is told of one that was."""
    return Refusal(
        listing.link(effect.position.task),
        str(effect.position),
        effect.name,
        cut(effect.subject, LONG),
        effect.status,
        cut(effect.problem, MESSAGE),
        cut(effect.grant, MESSAGE),
    )


def _problem(history: RunHistory, listing: Listing, told: TaskHistory, skipped: list[str]) -> Problem:
    refusals, message = list(refused(told.effects)), cut(told.message, MESSAGE)
    return Problem(
        listing.anchor("problem", told.task.id),
        listing.link(told.task.id),
        title_of(told),
        cut(told.queue.name, 80),
        told.status,
        "" if any(_says(told.message, effect) for effect in refusals[-1:]) else message,
        tuple(refusal(listing, effect) for effect in refusals[-_REFUSALS:]),
        max(0, len(refusals) - _REFUSALS),
        tuple(_outputs(history, told)),
        tuple(listing.link(task) for task in skipped[:_SKIPPED]),
        max(0, len(skipped) - _SKIPPED),
        run_again(history, told.task.id),
    )


def _says(message: str, effect: EffectHistory) -> bool:
    """Whether a task's message is its last refusal's, without the code that a failure has before it."""
    return bool(effect.problem) and effect.problem.removeprefix("budget-exhausted: ") in message


def _outputs(history: RunHistory, told: TaskHistory) -> Iterator[Output]:
    """Yield the last lines of the last command that ended badly, else of the last command."""
    commands = [effect for effect in told.effects if effect.outputs()]
    bad = [effect for effect in commands if effect.exit != "0"]
    for effect in (bad or commands)[-1:]:
        for stream, blob in effect.outputs().items():
            if blob.size:
                yield _output(history, stream, blob)


def _output(history: RunHistory, stream: str, blob: Blob) -> Output:
    if blob.size > _MAX_OUTPUT:
        return Output(stream, (), f"{blob.size:,} bytes, too many to show here: blob {blob.sha256}")
    try:
        lines, before = last_lines(history.bytes_of(blob), LINES, _LINE + 1)
    except LookupError as error:
        return Output(stream, (), f"cannot be shown: {cut(str(error), MESSAGE)}")
    note = f"{before:,} lines above are in blob {blob.sha256}" if before else ""
    short = (line if len(line) <= _LINE else f"{line[:_LINE]}…" for line in lines)
    return Output(stream, tuple(line.expandtabs(8) for line in short), note)
