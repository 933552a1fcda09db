"""Where, under what and by whom a run was carried out, as its ledger has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
import orjson

from tek_abi import Decision, RunResumed
from tek_runner.history import RunHistory
from tek_runner.reporting.listing import Listing, TaskLink
from tek_runner.reporting.wording import LONG, MESSAGE, cut, moment

_OF_MACHINES: Final = ("race", "timeout", "cancel", "skip", "ceiling", "retry")
"""Subjects of decisions that depend on timing alone; all others are, or may be, a person's."""
_OBSERVED: Final = (
    ("Workspace", "workspace"),
    ("Source", "source"),
    ("Configuration", "config"),
    ("Workers", "workers"),
    ("Durability", "durability"),
    ("Key on record", "checkpoint_key"),
)
_MAX: Final = 100


@attrs.frozen
class Answer:
    """One decision by a person."""

    at: str
    link: TaskLink
    subject: str
    text: str


@attrs.frozen
class Environment:
    """What is known: names with values, agents as name, distribution and version, and decisions by people."""

    facts: tuple[tuple[str, str], ...]
    agents: tuple[tuple[str, str, str], ...]
    answers: tuple[Answer, ...]
    more_answers: int


def environment_of(history: RunHistory, listing: Listing) -> Environment:
    """Return what ``run.opened``, ``plan`` and the decisions say."""
    agents = history.entry.agents if history.entry is not None else ()
    decisions = [
        (at, task.task.id, decision)
        for task in history.tasks.values()
        for at, decision in task.decisions
        if decision.subject not in _OF_MACHINES
    ]
    answers = sorted(decisions, key=lambda one: one[:2])
    told = tuple(Answer(moment(at), listing.link(task), cut(d.subject, 40), _text(d)) for at, task, d in answers[:_MAX])
    names = tuple((cut(name, 60), cut(package, 60), cut(version, 40)) for name, package, version in agents[:_MAX])
    return Environment(tuple(_facts(history)), names, told, max(0, len(answers) - _MAX))


def _text(decision: Decision) -> str:
    return cut(orjson.dumps(decision.value).decode(), LONG) if decision.value is not None else ""


def _facts(history: RunHistory) -> Iterator[tuple[str, str]]:
    opened = history.opened
    if opened is None:
        return
    yield "Run", cut(opened.run)
    yield "Began", moment(history.began)
    yield "Last line", moment(history.last)
    for name, version in opened.versions[:_MAX]:
        yield f"Version of {cut(name, 40)}", cut(version, 60)
    yield "Confinement", cut(opened.level, 60)
    for at, event in history.events[:_MAX]:
        if isinstance(event, RunResumed):
            versions = ", ".join(f"{name} {version}" for name, version in event.versions[:4])
            yield "Resumed", cut(f"{moment(at)}, confinement {event.level}, {versions}")
        else:
            yield "Paused", cut(f"{moment(at)}: {event.reason}")
    for label, key in _OBSERVED:
        value: Any = history.observed(key)
        if isinstance(value, str | int):
            yield label, cut(str(value), MESSAGE)
    yield "Preset of the policy", cut(history.policy.preset, 60)
    yield "Plan digest", cut(opened.plan_digest, 80)
    yield "Policy digest", cut(opened.policy_digest, 80)
    yield "Configuration digest", cut(opened.config_digest, 80)
