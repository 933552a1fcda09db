"""Invariant 3: budgets are conserved. At every account and moment limit = available + reserved + spent, nothing is
negative, and children never exceed parents.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tek_abi import DIMENSIONS, UNLIMITED, Budget, Limit
from tek_kernel import Account, Busy, Cost, Exhausted, Reservation
from tests.size import examples

AMOUNT = st.integers(0, 60)
BUDGET = st.builds(Budget, AMOUNT, AMOUNT, AMOUNT)
BOUND = st.just(UNLIMITED) | st.integers(0, 100)
LIMIT = st.builds(Limit, BOUND, BOUND, BOUND)
MOST = st.builds(Limit, st.none() | AMOUNT, st.none() | AMOUNT, st.none() | AMOUNT)


class Accounts(RuleBasedStateMachine):
    """A run with two queues of two tasks each, reserving and settling in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: list[Account] = []
        self.tasks: list[Account] = []
        self.open: list[Reservation] = []
        self.charged: dict[str, Budget] = {}

    @precondition(lambda self: not self.accounts)
    @rule(limits=st.lists(LIMIT, min_size=7, max_size=7))
    def begin(self, limits: list[Limit]) -> None:
        run = Account("run", limits[0])
        queues = [Account("queue", limit, run) for limit in limits[1:3]]
        self.tasks = [Account("task", limit, queues[index // 2]) for index, limit in enumerate(limits[3:])]
        self.accounts = [run, *queues, *self.tasks]

    @precondition(lambda self: self.tasks)
    @rule(task=st.integers(0, 3), least=BUDGET, most=MOST, share=st.integers(1, 4))
    def reserve(self, task: int, least: Budget, most: Limit, share: int) -> None:
        account = self.tasks[task]
        before = [(a.spent, a.reserved) for a in self.accounts]
        try:
            reservation = account.reserve(Cost(least, most), share)
        except Exhausted as refused:
            detail = refused.detail
            assert [(a.spent, a.reserved) for a in self.accounts] == before
            assert detail.requested > detail.limit - detail.spent, "not even with every reservation released"
        except Busy:
            assert [(a.spent, a.reserved) for a in self.accounts] == before
            assert self.open, "what is waited for is held by someone, and will be released"
        else:
            assert least <= reservation.amount
            for dimension, bound in most.items():
                if isinstance(bound, int):
                    assert reservation.amount[dimension] <= max(bound, least[dimension])
            self.open.append(reservation)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), usage=BUDGET)
    def settle(self, data: st.DataObject, usage: Budget) -> None:
        reservation = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        charged = reservation.account.settle(reservation, usage)
        assert charged == usage.meet(reservation.amount)
        with pytest.raises(ValueError, match="exactly once"):
            reservation.account.settle(reservation, usage)

    @invariant()
    def limit_is_available_and_reserved_and_spent(self) -> None:
        for account in self.accounts:
            for dimension in DIMENSIONS:
                bound, available = account.bound(dimension), account.available(dimension)
                assert account.spent[dimension] >= 0
                assert account.reserved[dimension] >= 0
                if bound is None:
                    assert available is None
                else:
                    assert available is not None
                    assert available >= 0
                    assert available + account.reserved[dimension] + account.spent[dimension] == bound

    @invariant()
    def children_never_exceed_parents(self) -> None:
        for parent in self.accounts:
            children = [child for child in self.accounts if child.parent is parent]
            if children:
                assert sum((child.spent for child in children), Budget()) == parent.spent
                assert sum((child.reserved for child in children), Budget()) == parent.reserved

    @invariant()
    def what_is_reserved_is_what_is_open(self) -> None:
        if self.accounts:
            assert sum((r.amount for r in self.open), Budget()) == self.accounts[0].reserved


Accounts.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
test_invariant_3_budgets_are_conserved = Accounts.TestCase
