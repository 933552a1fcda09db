"""Faults: what goes wrong in a simulated run, and the one place where it strikes."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import attrs

from tek_abi import Access, BudgetExhausted, Instant, Limit, Policy, Request, Value
from tek_abi.permit import match_action, parse_rule, show_rule
from tek_kernel import Applied, Context, Cost, Effect, EffectCancelled, EffectError, EffectRefused, SideEffect

_PAUSES = (0.0, 0.0, 0.0005, 0.001)
_SLOW = 0.003


class Fault(StrEnum):
    """What may happen to one request once it is granted."""

    FAILED = "failed"
    """It does not succeed; nothing is done."""
    LOST = "lost"
    """It is done, but the answer is lost: nobody knows."""
    SLOW = "slow"
    """Others overtake it."""
    EXHAUSTED = "exhausted"
    """Its budget runs out while it is at work; nothing is done."""
    REFUSED = "refused"
    """It comes upon something that its permits do not cover; nothing is done."""


@attrs.frozen
class Faults:
    """What goes wrong in one run. ``strikes`` are faults by idempotence key, each at the first application of its key.

    ``chance`` is how likely any other request is struck, ``denied`` what no permit covers, ``limit`` each task's
    budget, ``jitter`` whether requests take a little time, all drawn from the seed of the run.
    """

    strikes: Mapping[str, Fault] = attrs.field(factory=dict)
    chance: float = 0.0
    denied: tuple[Access, ...] = ()
    limit: Limit | None = None
    jitter: bool = False

    def policy(self, policy: Policy) -> Policy:
        """Return the policy under which the denied accesses are denied and the limit holds."""
        for access in self.denied:
            policy = attrs.evolve(policy, permits=tuple(_without(permit, access) for permit in policy.permits))
        return policy if self.limit is None else attrs.evolve(policy, task_max=self.limit)


def _without(permit: Any, access: Access) -> Any:
    if not all(match_action(action, access) for action in permit.action):
        return permit
    return attrs.evolve(permit, exclude=(*permit.exclude, *parse_rule(show_rule(access)).resource))


CALM = Faults()
"""Nothing goes wrong."""


@attrs.frozen
class Deed:
    """One application that took effect. ``unknown``: its answer was lost."""

    key: str
    request: Request[Any]
    accesses: tuple[Access, ...]
    side_effect: SideEffect
    unknown: bool = False


class Weather:
    """Applies effects and strikes some of them, by seed and idempotence key: never by order of arrival.

    ``deeds`` is all that was ever done, ``struck`` which fault struck which key. Clock and dice are the world's own: a
    run that goes on after a crash has them still. Thread-safe.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.seed, self.faults = seed, faults
        self.deeds: list[Deed] = []
        self.struck: dict[str, Fault] = {}
        self.clock = ticking()
        self.random = random.Random(seed).randbytes  # noqa: S311  # simulated
        self._lock = threading.Lock()
        self._applied: Counter[str] = Counter()

    def over(self, effect: Effect[Any]) -> Effect[Any]:
        """Return the effect as it is in this weather. Effects on the scheduler's own thread are spared."""
        return effect if effect.inline else _Exposed(effect, self)

    def apply(self, effect: Effect[Any], request: Any, context: Context) -> Applied:
        """Apply an effect, or what comes in its place."""
        key, side_effect = context.key, effect.side_effect(request)
        with self._lock:
            self._applied[key] += 1
            drawn = random.Random(f"{self.seed}/{key}/{self._applied[key]}")  # noqa: S311  # a schedule, no secret
            fault = self._fault(key, drawn)
            if fault is not None:
                self.struck[key] = fault
        _wait(context, _SLOW if fault is Fault.SLOW else drawn.choice(_PAUSES) if self.faults.jitter else 0.0)
        unknown = fault is Fault.LOST and side_effect is SideEffect.ONCE
        if fault not in (None, Fault.SLOW) and not unknown:
            _strike(fault, request, effect.accesses(request), context)
        applied = effect.apply(request, context)
        with self._lock:
            self.deeds.append(Deed(key, request, effect.accesses(request), side_effect, unknown))
        if unknown:
            message = f"{request.effect}: simulated: it was done, and its answer was lost"
            raise EffectError("connection", message, applied.usage, unknown=True)
        return applied

    def _fault(self, key: str, drawn: random.Random) -> Fault | None:
        if self._applied[key] == 1 and key in self.faults.strikes:
            return self.faults.strikes[key]
        return drawn.choice(list(Fault)) if drawn.random() < self.faults.chance else None


def pause(context: Context, drawn: random.Random) -> None:
    """Let a moment pass, or none. Raises ``EffectCancelled`` where nobody waits any more."""
    _wait(context, drawn.choice(_PAUSES))


def _wait(context: Context, seconds: float) -> None:
    stopped = threading.Event()
    context.cancel.on_cancel(stopped.set)
    if stopped.wait(seconds) if seconds else context.cancel.cancelled:
        raise EffectCancelled()


def _strike(fault: Fault | None, request: Request[Any], accesses: tuple[Access, ...], context: Context) -> None:
    what = f"{request.effect}: simulated"
    if fault is Fault.REFUSED:
        raise EffectRefused(accesses[0], f"{what}: leads to what no permit covers")
    if fault is Fault.EXHAUSTED:
        used_up = BudgetExhausted("ms", context.limits.ms, context.limits.ms, 0, 1)
        raise EffectError("budget-exhausted", f"{what}: took all the time that its budget left", exhausted=used_up)
    raise EffectError("io", f"{what}: a device reports an error")


def ticking() -> Callable[[], Instant]:
    """Return a clock that moves by a second at each look, so that nothing depends on the real one."""
    ticks = itertools.count()

    def now() -> Instant:
        minutes, second = divmod(next(ticks), 60)
        days, minutes = divmod(minutes, 1440)
        return f"2030-01-{1 + days % 28:02}T{minutes // 60:02}:{minutes % 60:02}:{second:02}.000000Z"

    return now


class _Exposed(Effect[Any]):
    """An effect in the weather. All that is pure is the effect's own."""

    def __init__(self, effect: Effect[Any], weather: Weather) -> None:
        self._effect, self._weather = effect, weather
        # The registry files an effect under its request's type, which is a class's in a real one.
        self.request = effect.request  # type: ignore[misc]

    def side_effect(self, request: Any) -> SideEffect:
        return self._effect.side_effect(request)

    def accesses(self, request: Any) -> tuple[Access, ...]:
        return self._effect.accesses(request)

    def cost(self, request: Any) -> Cost:
        return self._effect.cost(request)

    def before(self, request: Any) -> Value:
        return self._effect.before(request)

    def happened(self, request: Any, baseline: Value) -> bool | None:
        return self._effect.happened(request, baseline)

    def presumed(self, request: Any) -> Any:
        return self._effect.presumed(request)

    def apply(self, request: Any, context: Context) -> Applied:
        return self._weather.apply(self._effect, request, context)
