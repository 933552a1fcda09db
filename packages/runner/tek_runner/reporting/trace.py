"""A run in the Trace Event Format, which Perfetto opens: a track a lane, tasks on it, their effects within them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tek_abi import Decision
from tek_abi.quantity import show_duration
from tek_runner.console import printable
from tek_runner.history import EffectHistory, RunHistory, microseconds
from tek_runner.reporting.wording import MESSAGE, cut
from tek_runner.timeline import Span, spans

_PID: Final = 1
_RUN: Final = 0
"""The track of what belongs to no lane."""


def trace_of(history: RunHistory) -> Iterator[dict[str, Any]]:
    """Yield the events. Times are microseconds since the run began; what has no end on record ends with the record.

    An effect that overlaps the one before it in its task cannot stand on its lane's track, and is an asynchronous one.
    """
    name = cut(history.path.resolve().parent.name)
    ran = spans(history)
    yield _named("process_name", _RUN, f"tek run {name}")
    yield _named("thread_name", _RUN, "run")
    for lane in range(max((span.lane for span in ran), default=-1) + 1):
        yield _named("thread_name", lane + 1, f"lane {lane + 1}")
        yield {"ph": "M", "name": "thread_sort_index", "pid": _PID, "tid": lane + 1, "args": {"sort_index": lane + 1}}
    whole = microseconds(history.began, history.last)
    yield _complete(name, "run", _RUN, 0, whole, {"status": history.state, "took": show_duration(whole // 1000)})
    for span in ran:
        yield from _attempt(history, span)
    for at, event in history.events:
        yield _instant(event.kind, _RUN, microseconds(history.began, at), {})


def _attempt(history: RunHistory, span: Span) -> Iterator[dict[str, Any]]:
    told, tid = span.task, span.lane + 1
    args = {
        "title": cut(told.task.title),
        "queue": cut(told.queue.name),
        "agent": cut(told.agent),
        "attempt": span.attempt,
        "status": told.status,
        "message": cut(told.message, MESSAGE),
    }
    yield _complete(told.task.id, "task", tid, span.begun, span.ended, args)
    free = span.begun
    for effect in told.effects:
        if effect.position.attempt != span.attempt:
            continue
        begun = max(span.begun, microseconds(history.began, effect.begun))
        ended = microseconds(history.began, effect.ended) if effect.ended else span.ended
        if free <= begun <= ended <= span.ended:
            yield _complete(effect.name, "effect", tid, begun, ended, _args(effect))
            free = ended
        else:
            yield from _asynchronous(effect, tid, begun, max(begun, ended))
    for at, decision in told.decisions:
        moment = microseconds(history.began, at)
        if decision.position.attempt in (0, span.attempt) and span.begun <= moment <= span.ended:
            yield _decision(decision, tid, moment)


def _decision(decision: Decision, tid: int, at: int) -> dict[str, Any]:
    return _instant(f"decision: {decision.subject}", tid, at, {"position": str(decision.position)})


def _args(effect: EffectHistory) -> dict[str, Any]:
    return {
        "position": str(effect.position),
        "about": printable(cut(effect.subject)),
        "status": effect.status,
        "line": effect.line,
        "rule": cut(effect.intent.rule),
        "problem": printable(cut(effect.problem, MESSAGE)),
        **dict(zip(("ms", "tokens", "io"), effect.usage.amounts(), strict=True)),
    }


def _named(kind: str, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": _PID, "tid": tid, "args": {"name": printable(name)}}


def _complete(name: str, category: str, tid: int, begun: int, ended: int, args: dict[str, Any]) -> dict[str, Any]:
    event = {"ph": "X", "name": printable(cut(name)), "cat": category, "pid": _PID, "tid": tid}
    return {**event, "ts": begun, "dur": max(0, ended - begun), "args": args}


def _asynchronous(effect: EffectHistory, tid: int, begun: int, ended: int) -> Iterator[dict[str, Any]]:
    event = {"name": printable(cut(effect.name)), "cat": "effect", "id": str(effect.position), "pid": _PID, "tid": tid}
    yield {"ph": "b", **event, "ts": begun, "args": _args(effect)}
    yield {"ph": "e", **event, "ts": ended}


def _instant(name: str, tid: int, at: int, args: dict[str, Any]) -> dict[str, Any]:
    event = {"ph": "i", "s": "t", "name": printable(cut(name)), "cat": "decision", "pid": _PID, "tid": tid}
    return {**event, "ts": at, "args": args}
