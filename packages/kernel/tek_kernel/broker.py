"""The broker: the only way from a request to an effect (DESIGN sections 1 and 3).

``admit`` decides and records the intent, ``apply`` does it, ``settle`` charges the accounts and records the outcome.
``admit`` and ``settle`` belong to the scheduler's thread; ``apply`` may run on any.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import attrs

from tek_abi import (
    BlobStore,
    Bound,
    Budget,
    BudgetExhausted,
    Cancelled,
    Codec,
    Denial,
    Denied,
    EffectOutcome,
    Failed,
    Failure,
    Ok,
    Outcome,
    Position,
    TekError,
    Value,
    ValueNotAllowed,
)
from tek_abi.canonical import check_value
from tek_kernel.clock import Stopwatch
from tek_kernel.decide import Admitted, Decider, Refused, Scope, budget_grant
from tek_kernel.effect import Cancel, Context, EffectCancelled, EffectError, EffectRefused, SideEffect
from tek_kernel.invariants import holds
from tek_kernel.ledger import Ledger, StorageFailed
from tek_kernel.plain_text import plain, said, short


@attrs.frozen
class Result:
    """What came of applying an effect, before it is charged. ``answer`` is the typed value of an ok outcome."""

    outcome: Outcome
    usage: Budget
    answer: Any = None
    value_digest: str | None = None
    obs: Value = None


@attrs.frozen
class Settled:
    """A request's recorded end: the entry, its ``seq``, and the typed answer of an ok outcome."""

    seq: int
    entry: EffectOutcome
    answer: Any = None


class Broker:
    """Carries requests of one run through decision, effect and record.

    ``secret`` reads the operator's variable of that name at the moment of use.
    """

    def __init__(
        self,
        decider: Decider,
        ledger: Ledger,
        codec: Codec,
        blobs: BlobStore,
        secret: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self._decider = decider
        self._ledger = ledger
        self._codec = codec
        self._blobs = blobs
        self._secret = secret

    def admit(
        self, scope: Scope, position: Position, bound: Bound[Any], share: int = 1
    ) -> tuple[int, Admitted | Refused]:
        """Decide a request and record its intent; return the intent's ``seq`` with the decision.

        Raises ``Busy`` where it must wait; then nothing is recorded.
        """
        at = self._ledger.now()
        decided = self._decider.decide(scope, position, bound, share, at)
        if isinstance(decided, Admitted) and decided.effect.side_effect(decided.request) is SideEffect.PROBE:
            intent = attrs.evolve(decided.intent, baseline=_baseline(decided))
            decided = attrs.evolve(decided, intent=intent)
        return self._ledger.append(decided.intent, at), decided

    def refuse(self, refused: Refused) -> Settled:
        """Record the outcome of a request that was denied."""
        entry = EffectOutcome(refused.intent.position, Denied(refused.denial))
        return Settled(self._ledger.append(entry), entry)

    def apply(self, admitted: Admitted, cancel: Cancel) -> Result:
        """Apply an effect within its reservation. Whatever happens is an outcome.

        Raises ``StorageFailed`` alone, when its value cannot be kept.
        """
        watch = Stopwatch()
        try:
            return _recordable(self._apply(admitted, cancel, watch))
        except StorageFailed:
            raise
        except Exception as error:
            name = admitted.intent.envelope.effect
            failure = Failure("internal", f"{name} broke: {type(error).__name__}: {said(error)}")
            return Result(
                Failed(failure), Budget(ms=watch.ms()), obs={"traceback": plain(traceback.format_exc()[-2000:])}
            )

    def _apply(self, admitted: Admitted, cancel: Cancel, watch: Stopwatch) -> Result:
        authority = admitted.scope.authority
        context = Context(
            limits=admitted.reservation.amount,
            permits=tuple(grant.permit for grant in admitted.grants),
            cancel=cancel,
            blobs=self._blobs,
            key=admitted.intent.envelope.idempotence_key,
            covers=lambda access: authority.covers(access, admitted.at),
            covering=lambda access: authority.covering(access, admitted.at, admitted.grants),
            secret=self._secret,
            held=lambda: authority.held(admitted.at),
        )
        try:
            applied = admitted.effect.apply(admitted.request, context)
            value, value_digest = self._codec.sealed(applied.value)
            usage = _timed(applied.usage, watch)
            broken = [
                text for text in admitted.intent.envelope.invariants if not holds(text, self._codec.unseal(value))
            ]
            if broken:
                failure = Failure("invariant", f"{admitted.intent.envelope.effect}: {broken[0]} does not hold")
                return Result(Failed(failure), usage, obs=applied.obs)
            return Result(Ok(value), usage, applied.value, value_digest, applied.obs)
        except EffectRefused as refusal:
            denial = Denial("permit", refusal.message, "permit of the resolved resource", refusal.grant)
            return Result(Denied(denial), Budget(ms=watch.ms()))
        except EffectCancelled as stopped:
            outcome = Cancelled(cancel.by, stopped.unknown)
            return Result(outcome, _timed(stopped.usage, watch), obs=stopped.obs)
        except EffectError as error:
            failure = Failure(error.code, error.message, error.exhausted, error.unknown)
            return Result(Failed(failure), _timed(error.usage, watch), obs=error.obs)
        except StorageFailed:
            raise
        except TekError as error:
            return Result(Failed(Failure("bad-value", said(error))), Budget(ms=watch.ms()))

    def settle(self, admitted: Admitted, result: Result) -> Settled:
        """Charge what an effect used, release the rest of its reservation, record its outcome."""
        charged = admitted.scope.account.settle(admitted.reservation, result.usage)
        outcome = result.outcome
        if isinstance(outcome, Failed) and outcome.error.exhausted is not None:
            exhausted = _explained(outcome.error.exhausted, admitted)
            message = outcome.error.message
            grant = budget_grant(exhausted, admitted.scope)
            outcome = Failed(
                attrs.evolve(outcome.error, message=f"{message} ({exhausted})", exhausted=exhausted, grant=grant)
            )
        entry = EffectOutcome(admitted.intent.position, outcome, charged, result.value_digest, result.obs)
        return Settled(self._ledger.append(entry), entry, result.answer)


def _timed(usage: Budget, watch: Stopwatch) -> Budget:
    return Budget(watch.ms(), usage.tokens, usage.io)


def _baseline(admitted: Admitted) -> Value:
    try:
        baseline = admitted.effect.before(admitted.request)
        check_value(baseline)
        return baseline
    except Exception:
        # A baseline only helps a later resume; the effect itself will meet and report what is wrong.
        return None


def _recordable(result: Result) -> Result:
    """Return a result whose words and observations a ledger can hold; an effect that acted must have its outcome."""
    outcome, obs = result.outcome, result.obs
    if obs is None and isinstance(outcome, Ok):
        return result
    match outcome:
        case Failed(error):
            outcome = Failed(attrs.evolve(error, code=short(error.code), message=short(error.message)))
        case Denied(reason):
            outcome = Denied(attrs.evolve(reason, message=short(reason.message)))
        case _:
            pass
    try:
        check_value(obs)
    except ValueNotAllowed as error:
        obs = {"lost": said(error)}
    return attrs.evolve(result, outcome=outcome, obs=obs)


def _explained(exhausted: BudgetExhausted, admitted: Admitted) -> BudgetExhausted:
    """Return the refusal with the account that had bounded the reservation, which the effect cannot know."""
    dimension = exhausted.dimension
    name = admitted.reservation.tightest[dimension]
    for account in admitted.scope.account.chain():
        bound = account.bound(dimension)
        if account.name == name and bound is not None:
            spent, reserved = account.spent[dimension], account.reserved[dimension]
            return BudgetExhausted(dimension, bound, spent, reserved, exhausted.requested, name)
    return attrs.evolve(exhausted, limit=admitted.reservation.amount[dimension], account="request")
