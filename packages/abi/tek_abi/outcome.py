"""Outcome: how a request ended, and the reasons why it may not have been granted."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tek_abi.budget import Dimension
from tek_abi.canonical import Value

DenialCode: TypeAlias = Literal[
    "permit", "budget", "ceiling", "unknown-effect", "bad-request", "unenforceable", "closed"
]


@attrs.frozen
class BudgetExhausted:
    """The typed refusal of an account (DESIGN section 3): what was asked, and what stood in the way.

    ``account`` is ``task``, ``queue`` or ``run``.
    """

    dimension: Dimension
    limit: int
    spent: int
    reserved: int
    requested: int
    account: str = "task"

    def __str__(self) -> str:
        return (
            f"BudgetExhausted: {self.dimension} of the {self.account}: limit {self.limit}, spent {self.spent}, "
            f"reserved {self.reserved}, requested {self.requested}"
        )


@attrs.frozen
class Denial:
    """Why a request was refused. ``rule`` is the rule that refused it, or says that none granted it; ``grant`` is the
    exact line or flag that would grant it.
    """

    code: DenialCode
    message: str
    rule: str = ""
    grant: str = ""
    exhausted: BudgetExhausted | None = None


@attrs.frozen
class Failure:
    """Why an effect that was granted did not succeed. ``code`` is stable (``not-found``, ``timeout``, ...).

    ``unknown`` is set where nobody can say whether it happened: a retry would be in doubt. ``grant`` is the line or
    flag that would have given what was ``exhausted``.
    """

    code: str
    message: str
    exhausted: BudgetExhausted | None = None
    unknown: bool = False
    grant: str = ""


@attrs.frozen
class Ok:
    """The effect did what was asked."""

    value: Value = None


@attrs.frozen
class Denied:
    """The broker refused; nothing was applied."""

    reason: Denial


@attrs.frozen
class Failed:
    """The effect was applied and did not succeed."""

    error: Failure


@attrs.frozen
class Cancelled:
    """The effect was stopped because nobody waits for it any more. ``by`` is race, timeout or interrupt;
    ``unknown`` is set where it may have happened all the same.
    """

    by: str = ""
    unknown: bool = False


Outcome: TypeAlias = Ok | Denied | Failed | Cancelled

STATUS: dict[type[object], str] = {Ok: "ok", Denied: "denied", Failed: "failed", Cancelled: "cancelled"}
"""The word for each kind of outcome, in ledgers and reports."""


def status_of(outcome: Outcome) -> str:
    """Return ``ok``, ``denied``, ``failed`` or ``cancelled``."""
    return STATUS[type(outcome)]
