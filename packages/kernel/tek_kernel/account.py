"""Accounts: limits that are reserved before an effect and settled after it (DESIGN section 3, invariant 3).

At every account and moment ``limit = available + reserved + spent`` in each bounded dimension, and nothing is
negative. A task's account draws on its queue's, that on the run's; a reservation holds at all of them or at none.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tek_abi import DIMENSIONS, Budget, BudgetExhausted, Dimension, Limit, TekError
from tek_kernel.effect import Cost

UNBOUNDED = 2**40
"""What is reserved where neither account nor request bounds a dimension: 34 years, or a tebibyte."""


@attrs.define(str=False)
class Exhausted(TekError):
    """A request needs more than is left, even if every open reservation were released unused."""

    detail: BudgetExhausted

    def __str__(self) -> str:
        return str(self.detail)


@attrs.define(str=False)
class Busy(TekError):
    """A request must wait: what it needs is held by open reservations, which will be settled."""

    account: str

    def __str__(self) -> str:
        return f"the budget of the {self.account} is reserved by others"


@attrs.frozen(eq=False)
class Reservation:
    """An amount held at an account and its parents. Settle it exactly once.

    ``tightest`` names, for each dimension, the account that bounded the amount, ``""`` where the request did.
    """

    account: Account
    amount: Budget
    tightest: dict[Dimension, str]


class Account:
    """One limit with what is reserved and spent of it. ``name`` is task, queue or run in refusals."""

    def __init__(self, name: str, limit: Limit, parent: Account | None = None) -> None:
        self.name = name
        self.limit = limit
        self.parent = parent
        self.spent = Budget()
        self.reserved = Budget()
        self._open: set[Reservation] = set()

    def chain(self) -> Iterator[Account]:
        """Yield this account and its parents, the innermost first."""
        account: Account | None = self
        while account is not None:
            yield account
            account = account.parent

    def bound(self, dimension: Dimension) -> int | None:
        """Return the limit of one dimension, or ``None`` where it is unlimited."""
        bound = self.limit[dimension]
        return bound if isinstance(bound, int) else None

    def available(self, dimension: Dimension) -> int | None:
        """Return what can still be reserved here, or ``None`` where this account bounds nothing."""
        bound = self.bound(dimension)
        return None if bound is None else bound - self.spent[dimension] - self.reserved[dimension]

    def reserve(self, cost: Cost, share: int = 1) -> Reservation:
        """Hold an amount between ``cost.least`` and ``cost.most``, in one step with the check.

        ``share`` is how many requests ask at the same moment, this one included: an open dimension gets that part
        of what is available. Raises ``Exhausted`` or ``Busy``; then nothing is held.
        """
        amounts: dict[Dimension, int] = {}
        tightest: dict[Dimension, str] = {}
        for dimension in DIMENSIONS:
            amounts[dimension], tightest[dimension] = self._amount(dimension, cost, share)
        reservation = Reservation(self, Budget(**amounts), tightest)
        for account in self.chain():
            account.reserved += reservation.amount
        self._open.add(reservation)
        return reservation

    def _amount(self, dimension: Dimension, cost: Cost, share: int) -> tuple[int, str]:
        least, most = cost.least[dimension], cost.most[dimension]
        wanted = max(least, most) if isinstance(most, int) else None
        amount, tightest = UNBOUNDED if wanted is None else wanted, ""
        for account in self.chain():
            available = account.available(dimension)
            if available is None:
                continue
            if available < least:
                self._refuse(account, dimension, least)
            part = max(least, available // share) if wanted is None and account is self else available
            if part < amount or (wanted is None and not tightest):
                amount, tightest = min(part, amount), account.name
        if amount == 0 and wanted is None and least == 0 and tightest:
            # An effect without a stated need still cannot start while others hold all that there is.
            self._wait_for_room(dimension)
        return amount, tightest

    def _wait_for_room(self, dimension: Dimension) -> None:
        for account in self.chain():
            if account.available(dimension) == 0 and account.reserved[dimension]:
                raise Busy(account.name)

    def _refuse(self, account: Account, dimension: Dimension, least: int) -> None:
        bound = account.bound(dimension) or 0
        spent, reserved = account.spent[dimension], account.reserved[dimension]
        if least <= bound - spent:
            raise Busy(account.name)
        raise Exhausted(BudgetExhausted(dimension, bound, spent, reserved, least, account.name))

    def settle(self, reservation: Reservation, usage: Budget) -> Budget:
        """Release a reservation and charge what was used of it. Returns what was charged.

        Usage past the reservation is not charged: the effect had it as a hard limit, and may pass it by one buffer
        at most. Raises ``ValueError`` if the reservation is not open here.
        """
        if reservation not in self._open:
            raise ValueError("a reservation is settled exactly once, at the account that made it")
        self._open.remove(reservation)
        charged = usage.meet(reservation.amount)
        for account in self.chain():
            account.reserved -= reservation.amount
            account.spent += charged
        return charged

    @property
    def open(self) -> int:
        """How many reservations of this account wait to be settled."""
        return len(self._open)
