"""Accounts: limits that are reserved before an effect and settled after it (DESIGN section 3, invariant 3).

At every account and moment ``limit = available + reserved + spent`` in each bounded dimension, and nothing is
negative. A task's account draws on its queue's, that on the run's; a reservation holds at all of them or at none.
"""

from __future__ import annotations

from typing import Final

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
        self._chain: tuple[Account, ...] = (self,) if parent is None else (self, *parent._chain)
        # Amounts by the order of DIMENSIONS: every request adds to them twice.
        self._bounds = tuple(bound if isinstance(bound, int) else None for _, bound in limit.items())
        self._spent = [0, 0, 0]
        self._reserved = [0, 0, 0]
        self._open: set[Reservation] = set()

    @property
    def spent(self) -> Budget:
        """What settled requests were charged."""
        return Budget(*self._spent)

    @property
    def reserved(self) -> Budget:
        """What open reservations hold."""
        return Budget(*self._reserved)

    def chain(self) -> tuple[Account, ...]:
        """Return this account and its parents, the innermost first."""
        return self._chain

    def bound(self, dimension: Dimension) -> int | None:
        """Return the limit of one dimension, or ``None`` where it is unlimited."""
        return self._bounds[_INDEX[dimension]]

    def available(self, dimension: Dimension) -> int | None:
        """Return what can still be reserved here, or ``None`` where this account bounds nothing."""
        index = _INDEX[dimension]
        bound = self._bounds[index]
        return None if bound is None else bound - self._spent[index] - self._reserved[index]

    def reserve(self, cost: Cost, share: int = 1) -> Reservation:
        """Hold an amount between ``cost.least`` and ``cost.most``, in one step with the check.

        ``share`` is how many requests ask at the same moment, this one included: an open dimension gets that part
        of what is available. Raises ``Exhausted`` or ``Busy``; then nothing is held.
        """
        amounts: list[int] = []
        tightest: dict[Dimension, str] = {}
        for index, (dimension, least, most) in enumerate(
            zip(DIMENSIONS, cost.least.amounts(), cost.most.bounds(), strict=True)
        ):
            wanted = max(least, most) if isinstance(most, int) else None
            amount, tightest[dimension] = self._amount(index, least, wanted, share)
            amounts.append(amount)
        reservation = Reservation(self, Budget(*amounts), tightest)
        for account in self._chain:
            _add(account._reserved, reservation.amount)
        self._open.add(reservation)
        return reservation

    def _amount(self, index: int, least: int, wanted: int | None, share: int) -> tuple[int, str]:
        amount, tightest = UNBOUNDED if wanted is None else wanted, ""
        for account in self._chain:
            bound = account._bounds[index]
            if bound is None:
                continue
            available = bound - account._spent[index] - account._reserved[index]
            if available < least:
                self._refuse(account, DIMENSIONS[index], least)
            part = max(least, available // share) if wanted is None and account is self else available
            if part < amount or (wanted is None and not tightest):
                amount, tightest = min(part, amount), account.name
        if amount == 0 and wanted is None and least == 0 and tightest:
            # An effect without a stated need still cannot start while others hold all that there is.
            self._wait_for_room(DIMENSIONS[index])
        return amount, tightest

    def _wait_for_room(self, dimension: Dimension) -> None:
        for account in self._chain:
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
        for account in self._chain:
            _subtract(account._reserved, reservation.amount)
            _add(account._spent, charged)
        return charged

    @property
    def open(self) -> int:
        """How many reservations of this account wait to be settled."""
        return len(self._open)


_INDEX: Final[dict[Dimension, int]] = {dimension: index for index, dimension in enumerate(DIMENSIONS)}


def _add(amounts: list[int], budget: Budget) -> None:
    amounts[0] += budget.ms
    amounts[1] += budget.tokens
    amounts[2] += budget.io


def _subtract(amounts: list[int], budget: Budget) -> None:
    amounts[0] -= budget.ms
    amounts[1] -= budget.tokens
    amounts[2] -= budget.io
