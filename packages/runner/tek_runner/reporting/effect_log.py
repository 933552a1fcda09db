"""The log of effects by task: every one, or in a large run how many of which, and each that did not go well."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from tek_abi.quantity import show_duration
from tek_runner.history import EffectHistory, RunHistory, milliseconds
from tek_runner.reporting.listing import Listing, TaskLink
from tek_runner.reporting.problems import Refusal, refusal, refused
from tek_runner.reporting.wording import cut, usage

MAX_ROWS: Final = 5_000
_REFUSED: Final = 1_000
_DETAIL: Final = 240


@attrs.frozen
class EffectRow:
    """One effect. ``line`` is where it stands in the ledger, from 1; ``rule`` is what decided it."""

    line: int
    position: str
    name: str
    subject: str
    status: str
    detail: str
    rule: str
    used: str
    took: str


@attrs.frozen
class TaskLog:
    """The effects of one task. ``summary`` counts them by name."""

    anchor: str
    link: TaskLink
    total: int
    summary: str
    rows: tuple[EffectRow, ...]


@attrs.frozen
class EffectLog:
    """The log. If it is ``folded``, tasks have counts alone, and ``refusals`` the effects that did not go well."""

    total: int
    tasks: tuple[TaskLog, ...]
    folded: bool
    refusals: tuple[Refusal, ...]
    more_refusals: int


def effect_log(history: RunHistory, listing: Listing) -> EffectLog:
    """Return the log of the listed tasks."""
    total = sum(len(task.effects) for task in history.tasks.values())
    folded = total > MAX_ROWS
    tasks = tuple(
        TaskLog(
            listing.anchor("effects", task.task.id),
            listing.link(task.task.id),
            len(task.effects),
            _summary(task.effects),
            () if folded else tuple(map(_row, task.effects)),
        )
        for task in listing.tasks
        if task.effects
    )
    bad = list(refused(history.effects())) if folded else []
    shown = tuple(refusal(listing, effect) for effect in bad[:_REFUSED])
    return EffectLog(total, tasks, folded, shown, max(0, len(bad) - _REFUSED))


def _summary(effects: list[EffectHistory]) -> str:
    counts = Counter(effect.name for effect in effects)
    return cut(", ".join(f"{count} {name}" for name, count in counts.most_common()))


def _row(effect: EffectHistory) -> EffectRow:
    told = (effect.problem, f"exit {effect.exit}" if effect.exit not in ("", "0") else "", effect.grant)
    return EffectRow(
        effect.line,
        str(effect.position),
        effect.name,
        cut(effect.subject),
        effect.status,
        cut(" — ".join(filter(None, told)), _DETAIL),
        cut(effect.intent.rule, 80),
        usage(effect.usage),
        show_duration(milliseconds(effect.begun, effect.ended)) if effect.ended else "",
    )
