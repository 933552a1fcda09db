"""A recorded run in words, for a terminal: the run as a whole, or one of its tasks with every request.

What a run says of itself is not trusted: whoever writes these lines makes them printable.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any, Final

import attrs

from tek_abi import CODEC, Budget
from tek_abi.permit import show_path
from tek_abi.quantity import show_duration
from tek_kernel import short
from tek_runner.history import EffectHistory, RunHistory, TaskHistory, last_lines, milliseconds
from tek_runner.prepare import program, shown
from tek_runner.progress import MARKS
from tek_runner.reporting.again import run_again
from tek_runner.reporting.verdict import verdict_of
from tek_runner.reporting.wording import cut, moment, usage

LINES: Final = 20
"""How many lines of a command's output are shown of it."""

_MAX_OUTPUT: Final = 16 * 2**20
_GOOD: Final = ("ok", "noop", "not-run", "skipped")
_NAMED: Final = 5


def run_lines(history: RunHistory) -> Iterator[str]:
    """Yield a run: how it ended, a line a task, those that did not end well told whole at the end."""
    verdict = verdict_of(history)
    yield f"{verdict.headline}. {verdict.text}"
    yield ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in verdict.counts) or "no task was to run"
    yield f"began        {moment(history.began)}, took {verdict.took}; {verdict.level}"
    yield f"ledger       {shown(history.path)}, {history.lines} lines"
    yield f"ledger head  {verdict.ledger_head}"
    if verdict.replay_hash:
        yield f"replay hash  {verdict.replay_hash}"
    yield f"verify with  {shlex.join([program(), 'replay', shown(history.path)])}"
    queue, bad = None, []
    for task in history.selected:
        if task.queue.name != queue:
            queue = task.queue.name
            yield f"\n{queue}"
        yield _task_line(task)
        bad += [task] if task.status not in _GOOD else []
    skipped: dict[str, list[str]] = {}
    for task in history.selected:
        if task.status == "skipped":
            skipped.setdefault(task.because, []).append(task.task.id)
    for task in bad:
        yield ""
        yield from _problem(history, task, skipped.get(task.task.id, []))


def _task_line(task: TaskHistory) -> str:
    word = MARKS.get(task.status, task.status)
    title = task.task.title if task.task.title != task.task.id else ""
    took = show_duration(milliseconds(task.begun, task.ended)) if task.ended and task.begun else ""
    attempts = f"{len(task.attempts)} attempts" if len(task.attempts) > 1 else ""
    because = f"because of {task.because}" if task.status == "skipped" and task.because else ""
    return "  ".join(filter(None, (f"{word:<9} {task.task.id:<9}", title, took, attempts, _used(task.usage), because)))


def _problem(history: RunHistory, task: TaskHistory, skipped: list[str]) -> Iterator[str]:
    place = f"  {_source(history)}:{task.task.line}" if task.task.line else ""
    yield f"{MARKS.get(task.status, task.status)} {task.task.id}  {task.queue.name}{place}"
    refused = [effect for effect in task.effects if effect.status in ("denied", "failed")]
    if task.message:
        yield f"  {task.message}"
    for effect in refused[-1:] if not any(effect.problem in task.message for effect in refused[-1:]) else ():
        yield from (f"  {line}" for line in _refusal(effect))
    commands = [effect for effect in task.effects if effect.outputs()]
    for effect in ([one for one in commands if one.exit != "0"] or commands)[-1:]:
        yield from (f"  {line}" for line in _output(history, effect))
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        yield f"  skipped because of it: {', '.join(skipped[:_NAMED])}{more}"
    yield from (f"  {line}" for line in _further(history, task))


def task_lines(history: RunHistory, task: TaskHistory) -> Iterator[str]:
    """Yield a task: what the plan says of it, its attempts, each request with its decision and what came of it."""
    yield _task_line(task)
    if task.message and not any(effect.problem and effect.problem in task.message for effect in task.effects):
        yield f"  {task.message}"
    yield f"  queue     {task.queue.name}"
    if task.task.line:
        yield f"  plan      {_source(history)}:{task.task.line}"
    if task.agent:
        yield f"  agent     {task.agent}"
    for name, values in (("needs", task.task.needs), ("allow", _rules(task))):
        if values:
            yield f"  {name:<9} {', '.join(values)}"
    for attempt in task.attempts:
        until = show_duration(milliseconds(attempt.begun, attempt.ended)) if attempt.ended else "no end on record"
        yield f"  attempt   {attempt.number}, from {moment(attempt.begun)}: {until}"
    for at, decision in task.decisions:
        yield f"  decided   {decision.subject} at {moment(at)}: {short(str(decision.value))}"
    for effect in task.effects:
        yield ""
        yield from _effect(history, effect)
    yield ""
    yield from _further(history, task)


def _rules(task: TaskHistory) -> list[str]:
    rules = (rule for allow in task.task.allow for rule in allow.rules)
    return [f"{rule.action[0]}:{show_path(rule.resource[0])}" for rule in rules]


def _effect(history: RunHistory, effect: EffectHistory) -> Iterator[str]:
    took = show_duration(milliseconds(effect.begun, effect.ended)) if effect.ended else "no end on record"
    exit_ = f"exit {effect.exit}" if effect.exit else ""
    ending = "  ".join(filter(None, (effect.status, exit_, took, _used(effect.usage))))
    yield f"{effect.position}  {effect.name}  {cut(effect.subject)}"
    yield f"  {ending}  (line {effect.line})"
    if effect.intent.rule:
        yield f"  decided by {effect.intent.rule}"
    yield from (f"  {line}" for line in _refusal(effect))
    yield from (f"  {line}" for line in _output(history, effect))


def _refusal(effect: EffectHistory) -> Iterator[str]:
    if effect.problem:
        yield effect.problem
    if effect.grant:
        yield f"to grant it: {effect.grant}"


def _output(history: RunHistory, effect: EffectHistory) -> Iterator[str]:
    """Yield the last lines of what a command wrote."""
    for stream, blob in effect.outputs().items():
        if not blob.size:
            continue
        if blob.size > _MAX_OUTPUT:
            yield f"{stream} | {blob.size:,} bytes, too many to show here: blob {blob.sha256}"
            continue
        try:
            lines, before = last_lines(history.bytes_of(blob), LINES)
        except LookupError as error:
            yield f"{stream} | cannot be shown: {error}"
            continue
        yield from [f"{stream} | ... {before:,} lines before"] if before else []
        yield from (f"{stream} | {line}" for line in lines)


def _used(spent: Budget) -> str:
    return f"used {usage(spent)}" if usage(spent) else ""


def _further(history: RunHistory, task: TaskHistory) -> Iterator[str]:
    """Yield how to go on with a task."""
    if again := run_again(history, task.task.id):
        yield f"again: {again}"
    elif history.closed is None and task.end is None:
        yield f"go on with: {shlex.join([program(), 'resume', shown(history.path.parent)])}"


def _source(history: RunHistory) -> str:
    return str(history.observed("source") or history.plan.source or "plan")


def run_json(history: RunHistory) -> dict[str, Any]:
    """Return a run as one object."""
    verdict = verdict_of(history)
    return {
        "status": verdict.status,
        "state": history.state,
        "ledger": str(history.path),
        "lines": history.lines,
        "ledger_head": verdict.ledger_head,
        "replay_hash": verdict.replay_hash or None,
        "level": history.level,
        "began": history.began,
        "took_ms": milliseconds(history.began, history.last),
        "problem": None if history.problem is None else str(history.problem),
        "tasks": [_summary(task) for task in history.selected],
    }


def task_json(history: RunHistory, task: TaskHistory) -> dict[str, Any]:
    """Return one task as one object."""
    return {
        **_summary(task),
        "plan": CODEC.encode(task.task),
        "attempts": [attrs.asdict(attempt) for attempt in task.attempts],
        "decisions": [{"at": at, "subject": one.subject, "value": one.value} for at, one in task.decisions],
        "effects": [_effect_json(effect) for effect in task.effects],
        "again": run_again(history, task.task.id) or None,
    }


def _summary(task: TaskHistory) -> dict[str, Any]:
    return {
        "task": task.task.id,
        "queue": task.queue.name,
        "title": task.task.title,
        "agent": task.agent or None,
        "status": task.status,
        "message": task.message,
        "because": task.because or None,
        "attempts": len(task.attempts),
        "took_ms": milliseconds(task.begun, task.ended),
        "usage": attrs.asdict(task.usage),
    }


def _effect_json(effect: EffectHistory) -> dict[str, Any]:
    return {
        "position": str(effect.position),
        "effect": effect.name,
        "args": dict(effect.args),
        "line": effect.line,
        "begun": effect.begun,
        "ended": effect.ended or None,
        "status": effect.status,
        "exit": effect.exit or None,
        "problem": effect.problem or None,
        "grant": effect.grant or None,
        "rule": effect.intent.rule or None,
        "usage": attrs.asdict(effect.usage),
        "outputs": {stream: attrs.asdict(blob) for stream, blob in effect.outputs().items()},
    }
