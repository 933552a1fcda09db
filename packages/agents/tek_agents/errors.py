"""How denied, failed and cancelled requests reach an agent: as exceptions that it may handle."""

from __future__ import annotations

from typing import Final

import attrs

from tek_abi import BudgetExhausted, Cancelled, Denial, Denied, Failed, Failure, TekError
from tek_abi.outcome import DenialCode
from tek_abi.vocabulary.net import Response
from tek_abi.vocabulary.proc import Exit


@attrs.define(str=False)
class EffectDenied(TekError, PermissionError):
    """The broker refused a request; nothing was done. ``reason`` says which rule refused it and what would grant it."""

    reason: Denial

    def __str__(self) -> str:
        grant = f"\n  to grant it: {self.reason.grant}" if self.reason.grant else ""
        return self.reason.message + grant


@attrs.define(str=False)
class BudgetDenied(EffectDenied):
    """A budget does not cover a request, or ran out while the effect was at work. ``exhausted`` holds the numbers."""

    exhausted: BudgetExhausted


@attrs.define(str=False)
class EffectFailed(TekError, OSError):
    """A request was granted and did not succeed. ``error`` says why."""

    error: Failure

    @property
    def code(self) -> str:
        """The stable word for what went wrong: ``not-found``, ``timeout``, ``connection``, ..."""
        return self.error.code

    def __str__(self) -> str:
        return f"{self.error.code}: {self.error.message}"


class NotFound(EffectFailed, FileNotFoundError):
    """There is no such file, directory or program (``not-found``)."""


class AlreadyExists(EffectFailed, FileExistsError):
    """Something is there already (``exists``)."""


class TimedOut(EffectFailed, TimeoutError):
    """The request's own ``timeout`` passed (``timeout``)."""


@attrs.define(str=False)
class CommandFailed(EffectFailed):
    """A checked command ended with a code other than 0, or was killed (``exit``). ``exit`` has its output."""

    argv: tuple[str, ...]
    exit: Exit


@attrs.define(str=False)
class UnexpectedStatus(EffectFailed):
    """A response was not what the agent needs to go on (``http-status``)."""

    response: Response


@attrs.define(str=False)
class TaskCancelled(TekError):
    """Nobody waits for the request any more. ``by`` is race, timeout or interrupt."""

    by: str

    def __str__(self) -> str:
        return f"cancelled by {self.by}" if self.by else "cancelled"


_BY_CODE: Final[dict[str, type[EffectFailed]]] = {
    "not-found": NotFound,
    "exists": AlreadyExists,
    "timeout": TimedOut,
}


def exception_for(outcome: Denied | Failed | Cancelled) -> Exception:
    """Return what an agent meets in place of an answer. Executor, replay and tests all turn outcomes by this alone.

    A failure for want of budget is a ``BudgetDenied`` too: to an agent it is one thing whether the budget was
    exhausted before the effect began or while it was at work.
    """
    match outcome:
        case Denied(reason):
            return EffectDenied(reason) if reason.exhausted is None else BudgetDenied(reason, reason.exhausted)
        case Failed(Failure(_, message, BudgetExhausted() as exhausted) as error):
            code: DenialCode = "budget" if exhausted.account == "task" else "ceiling"
            denial = Denial(code, message, "budget", error.grant, exhausted)
            return BudgetDenied(denial, exhausted)
        case Failed(error):
            return _BY_CODE.get(error.code, EffectFailed)(error)
        case Cancelled(by):
            return TaskCancelled(by)
