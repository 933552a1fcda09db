"""Strategies for scalars, values, amounts and names: what the other strategies are built of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import DIMENSIONS, LAYERS, UNLIMITED, Blob, Budget, BudgetExhausted, Limit, Position, Value

MAX_INTEGER: Final = 2**53 - 1
_P = ParamSpec("_P")
_T = TypeVar("_T")
Some: TypeAlias = SearchStrategy[tuple[_T, ...]]


def once(make: Callable[_P, SearchStrategy[_T]]) -> Callable[_P, SearchStrategy[_T]]:
    """Keep each strategy that ``make`` returns: building one takes longer than drawing from it."""
    return cast("Callable[_P, SearchStrategy[_T]]", cache(make))


def tuples_of(items: SearchStrategy[_T], max_size: int = 3, min_size: int = 0) -> Some[_T]:
    """Tuples of ``min_size`` to ``max_size`` items."""
    return st.lists(items, min_size=min_size, max_size=max_size).map(tuple)


@once
def texts(max_size: int = 12) -> SearchStrategy[str]:
    """Any text that has a UTF-8 form."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


@once
def naturals(max_value: int = MAX_INTEGER) -> SearchStrategy[int]:
    """Whole numbers from 0, small ones and the bounds most often."""
    return st.one_of(st.integers(0, min(9, max_value)), st.integers(0, max_value))


@once
def integers() -> SearchStrategy[int]:
    """Integers that every JSON reader keeps exact."""
    return st.integers(-MAX_INTEGER, MAX_INTEGER)


@once
def keys() -> SearchStrategy[str]:
    """Keys of maps: any ASCII text."""
    return st.text(st.characters(max_codepoint=127), max_size=6)


@once
def values(max_leaves: int = 8) -> SearchStrategy[Value]:
    """Values of tek's model: JSON without floats, with ASCII keys."""
    scalars = st.none() | st.booleans() | integers() | texts()

    def nested(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return st.lists(inner, max_size=4) | st.dictionaries(keys(), inner, max_size=4)

    return st.recursive(scalars, nested, max_leaves=max_leaves)


@once
def json_values(max_leaves: int = 12) -> SearchStrategy[Any]:
    """Any JSON, floats and non-ASCII keys included: what a decoder may meet."""
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts()

    def nested(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
        return st.lists(inner, max_size=4) | st.dictionaries(texts(6), inner, max_size=4)

    return st.recursive(scalars, nested, max_leaves=max_leaves)


@once
def digests() -> SearchStrategy[str]:
    """SHA-256 in lowercase hex."""
    return st.text("0123456789abcdef", min_size=64, max_size=64)


@once
def instants() -> SearchStrategy[str]:
    """Moments in their fixed-width form, a few of them close together."""
    near = st.integers(0, 3).map(lambda n: f"2027-01-31T00:00:00.00000{n}Z")
    return near | st.datetimes().map(lambda at: f"{at.isoformat(timespec='microseconds')}Z")


@once
def blobs() -> SearchStrategy[Blob]:
    """References to bytes, with no store behind them."""
    return st.builds(Blob, digests(), naturals())


@once
def positions() -> SearchStrategy[Position]:
    """Positions of tasks, attempts and requests."""
    return st.builds(Position, task_ids(), naturals(), tuples_of(naturals(), max_size=5))


@once
def budgets(max_value: int = 2**50) -> SearchStrategy[Budget]:
    """Amounts, by default small enough to add a few."""
    return st.builds(Budget, naturals(max_value), naturals(max_value), naturals(max_value))


@once
def bounds() -> SearchStrategy[Any]:
    """One bound of a limit: a number, ``unlimited``, or nothing."""
    return st.none() | st.just(UNLIMITED) | naturals()


@once
def limits() -> SearchStrategy[Limit]:
    """Limits with any mixture of bounds."""
    return st.builds(Limit, bounds(), bounds(), bounds())


@once
def exhausted() -> SearchStrategy[BudgetExhausted]:
    """Typed refusals of an account."""
    accounts = st.sampled_from(["task", "queue", "run"])
    amount = naturals()
    return st.builds(BudgetExhausted, st.sampled_from(DIMENSIONS), amount, amount, amount, amount, accounts)


@once
def task_ids() -> SearchStrategy[str]:
    """Ids of a few tasks, further occurrences of one included."""
    return st.sampled_from(["TASK-001", "TASK-002", "TASK-010", "TASK-001#2"])


@once
def queue_letters() -> SearchStrategy[str]:
    """Letters that name queues."""
    return st.sampled_from(["A", "B", "AA"])


@once
def layers() -> SearchStrategy[str]:
    """The layers of tasks."""
    return st.sampled_from(LAYERS)


@once
def agents() -> SearchStrategy[str]:
    """Names of agents."""
    return st.sampled_from(["shell", "noop", "writer"])
