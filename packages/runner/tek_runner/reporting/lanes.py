"""The timeline of a run as a picture: a bar for each attempt, a lane for each that ran at once. Lengths in pixels."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from tek_abi.quantity import show_duration
from tek_runner.history import RunHistory, TaskHistory, microseconds
from tek_runner.reporting.listing import GOOD, title_of
from tek_runner.reporting.wording import cut
from tek_runner.timeline import Span

MAX_BARS: Final = 5_000
MAX_LANES: Final = 256
LEFT: Final = 56
ROW: Final = 30
BAR: Final = 20
TOP: Final = 26
_NARROW, _WIDE, _A_BAR = 1_060, 4_800, 9
_A_TICK: Final = 90
_A_LABEL: Final = 44
_A_LETTER: Final = 7.4
_STEPS: Final = (1, 2, 5)


@attrs.frozen
class Bar:
    """One attempt. ``label`` is what fits into it, ``told`` all that it stands for."""

    x: float
    y: int
    width: float
    status: str
    on_path: bool
    label: str
    told: str


@attrs.frozen
class Tick:
    """A moment on an axis."""

    x: float
    label: str


@attrs.frozen
class Lanes:
    """The picture. ``left_out`` counts attempts that are not drawn: too short beside the others, or too many."""

    width: int
    height: int
    lanes: tuple[tuple[int, str], ...]
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    left_out: int
    statuses: tuple[str, ...]
    told: str


def lanes_of(history: RunHistory, spans: list[Span], path: list[TaskHistory]) -> Lanes:
    """Return the picture, wide enough to tell the bars apart as far as a page may be wide."""
    count = min(MAX_LANES, max((span.lane for span in spans), default=-1) + 1)
    fullest = max(Counter(span.lane for span in spans).values(), default=0)
    inner = min(_WIDE, max(_NARROW, fullest * _A_BAR))
    whole = max(1, microseconds(history.began, history.last))
    on_path = frozenset(task.task.id for task in path)
    bars = _bars(spans, inner / whole, on_path)
    height = TOP + count * ROW
    lanes = tuple((TOP + number * ROW, f"lane {number + 1}") for number in range(count))
    statuses = dict.fromkeys(span.task.status for span in spans)
    told = f"{len(spans):,} attempts in {count} lanes over {show_duration(whole // 1000)}"
    ticks = _ticks(whole, inner)
    return Lanes(LEFT + inner + 8, height, lanes, ticks, tuple(bars), len(spans) - len(bars), tuple(statuses), told)


def _bars(spans: list[Span], scale: float, on_path: frozenset[str]) -> list[Bar]:
    """Draw the attempts; where there are very many, of those that share a pixel one that ended well gives way."""
    crowded, drawn = len(spans) > MAX_BARS, dict[int, int]()
    bars: list[Bar] = []
    for span in spans:
        critical = span.task.task.id in on_path
        pixel = int(span.begun * scale / 2)
        if crowded and not critical and span.task.status in GOOD and drawn.get(span.lane) == pixel:
            continue
        if len(bars) >= 2 * MAX_BARS or span.lane >= MAX_LANES:
            continue
        drawn[span.lane] = pixel
        bars.append(_bar(span, scale, critical))
    return bars


def _bar(span: Span, scale: float, critical: bool) -> Bar:
    task = span.task
    width = round(max(1.0, (span.ended - span.begun) * scale - 1), 1)
    title, id_ = title_of(task), cut(task.task.id, 40)
    labels = (f"{id_} {title}", id_) if title else (id_,)
    label = next((text for text in labels if len(text) * _A_LETTER + 8 <= width), "")
    attempt = f", attempt {span.attempt}" if len(task.attempts) > 1 else ""
    told = f"{id_}{attempt}, {task.status.replace('_', ' ')}, {show_duration(span.end - span.start)}"
    x = round(LEFT + span.begun * scale, 1)
    return Bar(x, TOP + span.lane * ROW + 3, width, task.status, critical, label, told)


def _ticks(whole: int, inner: int) -> tuple[Tick, ...]:
    """Return round moments, at least ``_A_TICK`` pixels apart. ``whole`` is in microseconds."""
    step = next(
        base * 10**power
        for power in range(3, 20)
        for base in _STEPS
        if base * 10**power * inner >= _A_TICK * whole or base * 10**power >= whole
    )
    moments = (at for at in range(0, whole + 1, step) if at * inner / whole <= inner - _A_LABEL)
    return tuple(Tick(round(LEFT + at * inner / whole, 1), show_duration(at // 1000)) for at in moments)
