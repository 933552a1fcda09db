"""What a run spent over time against its ceilings, and how near its tasks came to their limits."""

from __future__ import annotations

from typing import Final

import attrs

from tek_abi import DIMENSIONS, Budget, Dimension, Limit
from tek_kernel import Authority, Scopes
from tek_runner.history import RunHistory, TaskHistory, microseconds
from tek_runner.reporting.listing import Listing, TaskLink
from tek_runner.reporting.wording import amount, bound

WIDTH: Final = 360
HEIGHT: Final = 120
MAX_ROWS: Final = 100
_NAMES: Final[dict[Dimension, str]] = {"ms": "Effect time", "tokens": "Tokens", "io": "Bytes moved"}
_GRAIN: Final = 1.5
_NEAR: Final = 5
"""A ceiling of more than so many times what was spent is told, not drawn."""


@attrs.frozen
class Spending:
    """One dimension. ``path`` is the line as SVG draws it; ``ceiling_y`` is where the ceiling is, if it is drawn."""

    dimension: Dimension
    name: str
    spent: str
    ceiling: str
    path: str
    ceiling_y: float | None
    top: str


@attrs.frozen
class TaskSpending:
    """One task's account: what it spent of what, in the order of ``DIMENSIONS``, and the fullest of them in percent."""

    link: TaskLink
    amounts: tuple[tuple[str, str], ...]
    fullest: int


@attrs.frozen
class Spendings:
    """The run's lines, and the tasks that came nearest to their limits. ``more`` of them are not told."""

    run: tuple[Spending, ...]
    tasks: tuple[TaskSpending, ...]
    more: int


def spendings_of(history: RunHistory, listing: Listing) -> Spendings:
    """Return what was spent by the run and its tasks."""
    protected = history.entry.protected if history.entry is not None else ()
    scopes = Scopes(history.plan, history.policy, Authority(history.policy, protected))
    ceiling = scopes.run.limit
    steps = _steps(history)
    run = tuple(
        _spending(dimension, index, steps, ceiling)
        for index, dimension in enumerate(DIMENSIONS)
        if steps[-1][1][index] or isinstance(ceiling[dimension], int)
    )
    accounts = [
        _account(listing, told, scopes.task_limit(told.queue, told.task))
        for told in history.selected
        if told.usage != Budget()
    ]
    accounts.sort(key=lambda one: -one.fullest)
    return Spendings(run, tuple(accounts[:MAX_ROWS]), max(0, len(accounts) - MAX_ROWS))


def _steps(history: RunHistory) -> list[tuple[float, tuple[int, ...]]]:
    """Return what was spent in all at each moment that something was, as shares of the run's time."""
    whole = max(1, microseconds(history.began, history.last))
    ended = sorted((effect.ended, effect.usage.amounts()) for effect in history.effects() if effect.usage != Budget())
    total, steps = (0, 0, 0), [(0.0, (0, 0, 0))]
    for at, used in ended:
        total = (total[0] + used[0], total[1] + used[1], total[2] + used[2])
        steps.append((microseconds(history.began, at) / whole, total))
    return [*steps, (1.0, total)]


def _spending(dimension: Dimension, index: int, steps: list[tuple[float, tuple[int, ...]]], ceiling: Limit) -> Spending:
    spent, limit = steps[-1][1][index], ceiling[dimension]
    drawn = isinstance(limit, int) and limit <= _NEAR * max(spent, 1)
    top = max(spent, limit if drawn and isinstance(limit, int) else 0, 1)
    path, last = [f"M0 {HEIGHT}"], -_GRAIN
    for share, totals in steps:
        x = share * WIDTH
        if x - last >= _GRAIN or share == 1.0:
            path.append(f"H{x:.1f}V{HEIGHT - totals[index] / top * HEIGHT:.1f}")
            last = x
    ceiling_y = round(HEIGHT - limit / top * HEIGHT, 1) if drawn and isinstance(limit, int) else None
    return Spending(
        dimension,
        _NAMES[dimension],
        amount(dimension, spent),
        bound(dimension, limit) if isinstance(limit, int) else "none",
        "".join(path),
        ceiling_y,
        amount(dimension, top),
    )


def _account(listing: Listing, told: TaskHistory, limit: Limit) -> TaskSpending:
    used = told.usage
    amounts = tuple((amount(d, used[d]), bound(d, limit[d])) for d in DIMENSIONS)
    shares = (used[d] * 100 // most for d in DIMENSIONS if isinstance(most := limit[d], int) and most > 0)
    return TaskSpending(listing.link(told.task.id), amounts, min(100, max(shares, default=0)))
