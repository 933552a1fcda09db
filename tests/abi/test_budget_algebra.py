"""Budgets are a commutative ordered monoid; limits only ever narrow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tek_abi import DIMENSIONS, UNLIMITED, Budget, Limit
from tek_agents.testing.strategies import MAX_INTEGER, budgets, limits

ZERO = Budget()


@given(budgets(), budgets(), budgets())
def test_adding_is_commutative_and_associative_and_nothing_is_its_unit(a: Budget, b: Budget, c: Budget) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + ZERO == a


@given(budgets(), budgets(), budgets())
def test_the_order_is_partial_and_adding_keeps_it(a: Budget, b: Budget, c: Budget) -> None:
    assert a <= a
    assert ZERO <= a <= a + b
    assert (a <= b and b <= a) == (a == b)
    assert not (a <= b <= c) or a <= c
    assert (a <= b) == (a + c <= b + c)


def test_some_amounts_do_not_compare() -> None:
    a, b = Budget(ms=1), Budget(io=1)
    assert not a <= b
    assert not b <= a


@given(budgets(), budgets(), budgets())
def test_meet_and_join_are_the_greatest_below_and_the_least_above_both(a: Budget, b: Budget, c: Budget) -> None:
    assert (c <= a and c <= b) == (c <= a.meet(b))
    assert (a <= c and b <= c) == (a.join(b) <= c)
    assert a.meet(a.join(b)) == a.join(a.meet(b)) == a


@given(budgets(), budgets())
def test_subtracting_undoes_adding_and_never_goes_below_zero(a: Budget, b: Budget) -> None:
    assert (a + b) - b == a
    if b <= a:
        assert (a - b) + b == a
    else:
        with pytest.raises(ValueError, match="from 0"):
            a - b


@pytest.mark.parametrize("amount", [-1, MAX_INTEGER + 1, True, 1.0, "1", None])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_an_amount_is_a_natural_number_that_json_keeps_exact(dimension: str, amount: Any) -> None:
    with pytest.raises(ValueError, match=dimension):
        Budget(**{dimension: amount})
    if amount is not None:
        with pytest.raises(ValueError, match=dimension):
            Limit(**{dimension: amount})


def test_a_sum_past_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="2\\^53"):
        Budget(ms=MAX_INTEGER) + Budget(ms=1)


def holds(limit: Limit, amount: Budget) -> bool:
    return all(bound in (None, UNLIMITED) or amount[d] <= bound for d, bound in limit.items())  # type: ignore[operator]  # a number


@given(limits(), limits(), budgets())
def test_narrowing_is_conjunction(a: Limit, b: Limit, amount: Budget) -> None:
    assert holds(a.narrow(b), amount) == (holds(a, amount) and holds(b, amount))


@given(limits(), limits(), limits())
def test_narrowing_is_a_semilattice_whose_unit_is_the_open_limit(a: Limit, b: Limit, c: Limit) -> None:
    assert a.narrow(b) == b.narrow(a)
    assert a.narrow(b).narrow(c) == a.narrow(b.narrow(c))
    assert a.narrow(a) == a.narrow(Limit()) == a


@given(limits(), limits(), limits())
def test_inheriting_fills_what_is_open_and_changes_nothing_else(a: Limit, b: Limit, c: Limit) -> None:
    for dimension, bound in a.inherit(b).items():
        assert bound == (b[dimension] if a[dimension] is None else a[dimension])
    assert a.inherit(b).inherit(c) == a.inherit(b.inherit(c))
    assert a.inherit(Limit()) == Limit().inherit(a) == a


@given(limits(), limits())
def test_a_limit_is_wider_where_it_promises_what_its_parent_does_not_grant(child: Limit, parent: Limit) -> None:
    narrowed = child.narrow(parent)
    wider = [d for d, bound in child.items() if bound is not None and narrowed[d] != bound]
    assert child.wider_than(parent) == next(iter(wider), None)
    assert child.inherit(parent).narrow(parent).wider_than(parent) is None
    assert Limit().wider_than(parent) is None


@pytest.mark.parametrize(
    ("child", "parent", "dimension"),
    [
        (Limit(ms=2), Limit(ms=1), "ms"),
        (Limit(ms=1), Limit(ms=1), None),
        (Limit(io=UNLIMITED), Limit(io=5), "io"),
        (Limit(io=5), Limit(io=UNLIMITED), None),
        (Limit(tokens=1), Limit(), None),
        (Limit(ms=1, tokens=2, io=3), Limit(ms=1, tokens=1, io=1), "tokens"),
    ],
)
def test_the_first_wider_dimension_is_named(child: Limit, parent: Limit, dimension: str | None) -> None:
    assert child.wider_than(parent) == dimension
