"""Drift: where a run of a recorded plan went differently (``replay --live``, DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from tek_abi import Codec, Position, Value, canonical, digest
from tek_kernel.redaction import Redacted
from tek_kernel.trace import Place, Step, TaskTrace, Trace

_SHORT: Final = 60
"""Characters of the longest value that stands for itself; of a longer one its digest does."""


@attrs.frozen
class Drift:
    """One difference: in ``field`` of the request at ``position``, or of the task where there is no position.

    A side is the value as canonical JSON, ``sha256:`` and a digest for a long or redacted one, ``None`` where there
    is nothing.
    """

    task: str
    position: Position | None
    effect: str
    field: str
    recorded: str | None
    live: str | None


def drifts(tasks: Iterable[str], recorded: Trace, live: Trace, of_record: Codec, of_live: Codec) -> Iterator[Drift]:
    """Yield every difference, by task and position. The codecs read what stands in blobs."""
    for task in tasks:
        before, after = (trace.tasks.get(task, TaskTrace()) for trace in (recorded, live))
        yield from _of_races(task, before, after)
        yield from _of_steps(task, before, after, (of_record, of_live))
        if before.status != after.status:
            yield Drift(task, None, "", "status", before.status, after.status)


def _of_races(task: str, before: TaskTrace, after: TaskTrace) -> Iterator[Drift]:
    for place in sorted({*before.races, *after.races}):
        sides = [
            None if winner is None else str(winner) for winner in (before.races.get(place), after.races.get(place))
        ]
        if sides[0] != sides[1]:
            yield Drift(task, _at(task, place), "race", "winner", sides[0], sides[1])


def _of_steps(task: str, before: TaskTrace, after: TaskTrace, codecs: tuple[Codec, Codec]) -> Iterator[Drift]:
    old, new = before.counted(), after.counted()
    for place in sorted({*old, *new}):
        position = _at(task, place)
        one, other = old.get(place), new.get(place)
        if one is None or other is None or (one.effect, one.version) != (other.effect, other.version):
            asked = [None if step is None else f"{step.effect} version {step.version}" for step in (one, other)]
            yield Drift(task, position, (one or other or _NONE).effect, "request", asked[0], asked[1])
            continue
        for field, was, now in _of_step(one, other, codecs):
            yield Drift(task, position, one.effect, field, was, now)


_NONE: Final = Step("", 0, None, "")


def _of_step(one: Step, other: Step, codecs: tuple[Codec, Codec]) -> Iterator[tuple[str, str | None, str | None]]:
    if one.args_digest != other.args_digest:
        yield from _of_values("args", (one.args, one.args_digest), (other.args, other.args_digest), codecs)
    if one.status != other.status:
        yield "outcome", _ending(one), _ending(other)
    elif one.code != other.code:
        yield "code", one.code, other.code
    elif one.value_digest != other.value_digest:
        yield from _of_values("value", (one.value, one.value_digest), (other.value, other.value_digest), codecs)


def _ending(step: Step) -> str:
    return f"{step.status} ({step.code})" if step.code else step.status


def _of_values(
    name: str, one: tuple[Value, str], other: tuple[Value, str], codecs: tuple[Codec, Codec]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the fields in which two values differ; the whole, by its digest, where a side is redacted."""
    try:
        was, now = codecs[0].unseal(one[0]), codecs[1].unseal(other[0])
    except Redacted:
        yield name, f"sha256:{one[1]}", f"sha256:{other[1]}"
        return
    yield from _fields(name, was, now)


def _fields(name: str, was: Value, now: Value) -> Iterator[tuple[str, str | None, str | None]]:
    if isinstance(was, dict) and isinstance(now, dict) and not {"$blob", "$ref"} & {*was, *now}:
        for key in sorted({*was, *now}):
            if key not in was or key not in now:
                yield (
                    f"{name}.{key}",
                    _shown(was[key]) if key in was else None,
                    _shown(now[key]) if key in now else None,
                )
            elif was[key] != now[key]:
                yield from _fields(f"{name}.{key}", was[key], now[key])
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            if one != other:
                yield from _fields(f"{name}[{index}]", one, other)
    else:
        yield name, _shown(was), _shown(now)


def _shown(value: Value) -> str:
    if isinstance(value, dict) and isinstance(blob := value.get("$blob"), dict):
        return f"sha256:{blob.get('sha256')} ({blob.get('size')} bytes)"
    text = canonical(value).decode()
    return text if len(text) <= _SHORT else f"sha256:{digest(value)} ({len(text)} bytes of JSON)"


def _at(task: str, place: Place) -> Position:
    return Position(task, place[0], place[1:])
