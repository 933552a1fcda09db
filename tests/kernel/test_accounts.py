"""Accounts one case at a time; invariant 3 holds them in any order."""

from __future__ import annotations

import pytest

from tek_abi import UNLIMITED, Budget, BudgetExhausted, Limit
from tek_kernel import Account, Busy, Cost, Exhausted
from tek_kernel.account import UNBOUNDED

OPEN = Cost(most=Limit(ms=0, tokens=0, io=None))


def io(amount: int) -> Cost:
    return Cost(Budget(io=amount), Limit(ms=0, tokens=0, io=amount))


def chain(run: int, queue: int, task: int) -> tuple[Account, Account, Account]:
    whole = Account("run", Limit(io=run))
    shared = Account("queue", Limit(io=queue), whole)
    return whole, shared, Account("task", Limit(io=task), shared)


@pytest.mark.parametrize(("limits", "refusing"), [((9, 20, 20), "run"), ((20, 9, 20), "queue"), ((20, 20, 9), "task")])
def test_each_account_of_the_chain_refuses_alone_and_leaves_no_trace(
    limits: tuple[int, int, int], refusing: str
) -> None:
    accounts = chain(*limits)

    with pytest.raises(Exhausted) as refused:
        accounts[-1].reserve(io(10))

    assert refused.value.detail == BudgetExhausted("io", 9, 0, 0, 10, refusing)
    assert [account.reserved for account in accounts] == [Budget()] * 3
    assert accounts[-1].reserve(io(9)).amount == Budget(io=9)


@pytest.mark.parametrize("dimension", ["ms", "tokens", "io"])
def test_each_dimension_refuses_alone(dimension: str) -> None:
    account = Account("task", Limit(**{dimension: 9}))

    with pytest.raises(Exhausted, match=f"{dimension} of the task: limit 9, spent 0, reserved 0, requested 10"):
        account.reserve(Cost(Budget(**{dimension: 10}), Limit(0, 0, 0)))

    assert account.reserve(Cost(Budget(**{dimension: 9}), Limit(0, 0, 0))).amount == Budget(**{dimension: 9})


def test_what_open_reservations_hold_is_waited_for_and_what_is_spent_is_not() -> None:
    account = Account("task", Limit(io=10))
    held = account.reserve(io(6))

    with pytest.raises(Busy):
        account.reserve(io(10))
    account.settle(held, Budget(io=1))

    assert account.available("io") == 9
    with pytest.raises(Exhausted):
        account.reserve(io(10))
    assert account.reserve(io(9)).amount == Budget(io=9)


def test_a_sibling_s_reservation_is_waited_for_at_the_account_that_both_draw_on() -> None:
    _, queue, first = chain(100, 10, 100)
    second = Account("task", Limit(io=100), queue)
    first.reserve(io(10))

    with pytest.raises(Busy, match="queue"):
        second.reserve(io(1))


def test_an_open_need_waits_where_others_hold_all_and_starts_with_nothing_where_all_is_spent() -> None:
    account = Account("task", Limit(io=10))
    held = account.reserve(OPEN)
    assert held.amount == Budget(io=10)

    with pytest.raises(Busy):
        account.reserve(OPEN)
    account.settle(held, Budget(io=10))

    assert account.reserve(OPEN).amount == Budget()


def test_requests_that_ask_at_one_moment_share_what_an_open_need_may_have() -> None:
    account = Account("task", Limit(io=10))

    assert [account.reserve(OPEN, share).amount.io for share in (3, 2, 1)] == [3, 3, 4]


def test_a_share_is_never_less_than_the_least_that_is_needed() -> None:
    account = Account("task", Limit(io=10))

    assert account.reserve(Cost(Budget(io=7), Limit(ms=0, tokens=0, io=None)), share=5).amount.io == 7


def test_without_any_bound_a_need_is_still_bounded() -> None:
    account = Account("task", Limit(UNLIMITED, UNLIMITED, UNLIMITED))

    reservation = account.reserve(OPEN)

    assert reservation.amount.io == UNBOUNDED
    assert account.available("io") is None


def test_a_reservation_names_the_account_that_bounded_it() -> None:
    _, _, task = chain(30, 20, 40)

    assert task.reserve(OPEN).tightest["io"] == "queue"
    assert chain(30, 20, 10)[2].reserve(io(5)).tightest["io"] == "", "the request itself asked for no more"


def test_usage_past_the_reservation_is_not_charged_and_the_rest_is_released_at_every_account() -> None:
    accounts = chain(30, 30, 30)
    over, under = accounts[-1].reserve(io(10)), accounts[-1].reserve(io(10))

    assert accounts[-1].settle(over, Budget(ms=5, io=99)) == Budget(io=10)
    assert accounts[-1].settle(under, Budget(io=3)) == Budget(io=3)

    assert [account.spent for account in accounts] == [Budget(io=13)] * 3
    assert [account.reserved for account in accounts] == [Budget()] * 3
    assert accounts[-1].open == 0


def test_a_reservation_is_settled_once_and_where_it_was_made() -> None:
    _, queue, task = chain(30, 30, 30)
    reservation = task.reserve(io(10))

    with pytest.raises(ValueError, match="exactly once"):
        queue.settle(reservation, Budget())
    task.settle(reservation, Budget(io=4))
    with pytest.raises(ValueError, match="exactly once"):
        task.settle(reservation, Budget(io=4))

    assert queue.spent == Budget(io=4)
