"""Deciding a request: permit check and reservation in one step, before anything happens.

The same function decides in a run and in its replay; it reads no clock, and changes nothing but the accounts and
the counts of uses. DESIGN invariant 1 rests on it: an effect is applied only with what ``decide`` returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import attrs

from tek_abi import (
    CODEC,
    Access,
    Bound,
    BudgetExhausted,
    Codec,
    Denial,
    Dimension,
    EffectEnvelope,
    EffectIntent,
    ExecutionPlan,
    Instant,
    Limit,
    Permit,
    Policy,
    Position,
    Queue,
    Request,
    Task,
    ValueNotAllowed,
    digest,
    idempotence_key,
)
from tek_kernel.account import Account, Exhausted, Reservation
from tek_kernel.authority import Authority, Grant, TaskAuthority
from tek_kernel.effect import Cost, Effect
from tek_kernel.invariants import is_invariant
from tek_kernel.plain_text import said, short
from tek_kernel.registry import Registry, UnknownEffect


@attrs.frozen
class Scope:
    """What one task draws on: its authority and its account."""

    authority: TaskAuthority
    account: Account
    raised_by: Callable[[str, Dimension], str] = lambda account, dimension: ""
    """What line or flag bounds an account in a dimension, as ``- Budget:`` under something, or a setting."""


@attrs.frozen
class Admitted:
    """A request that may be applied: the intent for the ledger, and all that its effect needs."""

    intent: EffectIntent
    request: Request[Any]
    effect: Effect[Any]
    grants: tuple[Grant, ...]
    reservation: Reservation
    scope: Scope
    at: Instant


@attrs.frozen
class Refused:
    """A request that is denied: the intent for the ledger, which says why."""

    intent: EffectIntent
    denial: Denial


MAX_INVARIANTS = 64
"""How many post-conditions one request may name."""


class Scopes:
    """Makes the scopes of a run's tasks over shared ceilings. A task's limit is a pure function of plan and policy."""

    def __init__(self, plan: ExecutionPlan, policy: Policy, authority: Authority) -> None:
        self._plan = plan
        self._policy = policy
        self._authority = authority
        self.run = Account("run", policy.run.narrow(plan.budget))
        self._queues: dict[str, Account] = {}
        self._limits: dict[tuple[Limit, Limit], Limit] = {}

    def queue(self, queue: Queue) -> Account:
        """Return the account that a queue's tasks share."""
        account = self._queues.get(queue.name)
        if account is None:
            limit = queue.budget.narrow(self._policy.queue_limit(queue.letter))
            account = self._queues[queue.name] = Account("queue", limit, self.run)
        return account

    def task_limit(self, queue: Queue, task: Task) -> Limit:
        """Return a task's own limit: what it, its queue or its document names, else the policy's default."""
        named = task.budget, queue.budget
        if named not in self._limits:
            asked = task.budget.inherit(queue.budget).inherit(self._plan.budget)
            self._limits[named] = asked.inherit(self._policy.task).narrow(self._policy.task_max)
        return self._limits[named]

    def task(self, queue: Queue, task: Task, agent: str) -> Scope:
        """Return the scope of one task, with its account still full."""
        account = Account("task", self.task_limit(queue, task), self.queue(queue))
        authority = self._authority.for_task(self._plan, queue, task, agent)
        return Scope(authority, account, lambda name, dimension: self._bound_by(queue, task, name, dimension))

    def _bound_by(self, queue: Queue, task: Task, account: str, dimension: Dimension) -> str:
        """Return where the bound of an account stands: the tightest of those that hold."""
        settings: dict[str, tuple[str, Limit]] = {
            "task": ("budgets.task of config/manifest.json", self._policy.task_max),
            "queue": (f"budgets.queues.{queue.letter} of config/manifest.json", self._policy.queue_limit(queue.letter)),
            "run": ("--budget", self._policy.run),
        }
        setting, operators = settings[account]
        levels = (
            (task.id, task.budget),
            (queue.name.partition(" —")[0], queue.budget),
            ("the document", self._plan.budget),
        )
        asked = levels[("task", "queue", "run").index(account) :]
        owner, bound = next(
            ((who, limit[dimension]) for who, limit in asked if limit[dimension] is not None), ("", None)
        )
        most = operators[dimension]
        if isinstance(most, int) and not (isinstance(bound, int) and bound < most):
            return setting
        return f"- Budget: under {owner or task.id}"


class Decider:
    """Decides requests of one run, named ``run``."""

    def __init__(self, registry: Registry, codec: Codec, run: str) -> None:
        self._registry = registry
        self._codec = codec
        self._run = run

    def effect_of(self, request: Request[Any]) -> Effect[Any]:
        """Return the effect that a request asks for. Raises ``UnknownEffect``."""
        return self._registry.get(request.effect, request.version)

    def decide(
        self, scope: Scope, position: Position, bound: Bound[Any], share: int, at: Instant
    ) -> Admitted | Refused:
        """Decide one request at ``at``. ``share`` is how many ask at the same moment.

        Raises ``Busy`` where it must wait for open reservations; then nothing has changed.
        """
        request = bound.request
        try:
            args, args_digest = self._codec.sealed(request)
        except (ValueNotAllowed, LookupError) as error:
            envelope = EffectEnvelope(request.effect, request.version, None, digest(None), "", (), bound.budget)
            return _refused(position, envelope, Denial("bad-request", f"{request.effect}: {error}"))
        key = idempotence_key(self._run, position, request.effect, request.version, args_digest)
        envelope = EffectEnvelope(
            request.effect, request.version, args, args_digest, key, _readable(bound.invariants), bound.budget
        )
        try:
            effect = self._registry.get(request.effect, request.version)
        except UnknownEffect as error:
            return _refused(position, envelope, Denial("unknown-effect", str(error)))
        try:
            request = self._typed(request, effect)
            cost = _cost(effect, request, bound)
            accesses = _sized(effect.accesses(request), cost)
        except Exception as error:
            # Whatever a third party's code raises: what cannot be judged is not applied.
            return _refused(position, envelope, Denial("bad-request", f"{envelope.effect}: {said(error)}"))
        unknown = [text for text in bound.invariants if text not in envelope.invariants]
        if unknown:
            problem = f"{short(repr(unknown[0]))} is not an invariant, or one of more than {MAX_INVARIANTS}"
            return _refused(position, envelope, Denial("bad-request", problem))
        grants = scope.authority.decide(accesses, at)
        if isinstance(grants, Denial):
            return _refused(position, envelope, grants)
        try:
            reservation = scope.account.reserve(_within_caveats(cost, grants), share)
        except Exhausted as error:
            code = "budget" if error.detail.account == "task" else "ceiling"
            grant = budget_grant(error.detail, scope)
            return _refused(position, envelope, Denial(code, str(error), "budget", grant, error.detail))  # type: ignore[arg-type]  # both words are codes
        scope.authority.use(grants)
        permit = _digest_of(tuple(grant.permit for grant in grants))
        rule = "; ".join(dict.fromkeys(grant.rule for grant in grants))
        envelope = EffectEnvelope(
            request.effect, request.version, args, args_digest, key, envelope.invariants, bound.budget, permit
        )
        intent = EffectIntent(position, envelope, True, rule, reservation.amount)
        return Admitted(intent, request, effect, grants, reservation, scope, at)

    def _typed(self, request: Request[Any], effect: Effect[Any]) -> Request[Any]:
        """Return the request as the effect's own type; another class of that name is read strictly."""
        if type(request) is effect.request:
            return request
        typed: Request[Any] = self._codec.decode(self._codec.encode(request), effect.request, request.effect)
        return typed


@lru_cache(maxsize=4096)
def _digest_of(permits: tuple[Permit, ...]) -> str:
    """Return the digest of the conjunctions that cover a request, which many requests share."""
    return digest([CODEC.encode(permit) for permit in permits])


def _refused(position: Position, envelope: EffectEnvelope, denial: Denial) -> Refused:
    denial = attrs.evolve(denial, message=short(denial.message), rule=short(denial.rule), grant=short(denial.grant))
    return Refused(EffectIntent(position, envelope, False, denial.rule, denial=denial), denial)


def _cost(effect: Effect[Any], request: Request[Any], bound: Bound[Any]) -> Cost:
    cost = effect.cost(request)
    if bound.budget is None:
        return cost
    if not cost.least <= bound.budget:
        raise ValueError(f"the request needs at least {cost.least}, but reserves {bound.budget}")
    return Cost(bound.budget, Limit(bound.budget.ms, bound.budget.tokens, bound.budget.io))


def _sized(accesses: tuple[Access, ...], cost: Cost) -> tuple[Access, ...]:
    """Return accesses whose size only the effect will know with what it reserves at least, for ``max_bytes``.

    Raises ``ValueError`` where there is no access at all: no permit could cover it.
    """
    if not accesses:
        raise ValueError("names no use of authority, so nothing can permit it")
    if not cost.least.io:
        return accesses
    return tuple(
        Access(a.action, a.family, a.resource, a.argv, cost.least.io, a.method) if a.bytes is None else a
        for a in accesses
    )


def _readable(invariants: tuple[str, ...]) -> tuple[str, ...]:
    readable = (text for text in invariants if isinstance(text, str) and is_invariant(text))
    return tuple(itertools.islice(readable, MAX_INVARIANTS))


def _within_caveats(cost: Cost, grants: tuple[Grant, ...]) -> Cost:
    """Return the cost with ``io`` capped by the permits' ``max_bytes``, for effects that learn their size late."""
    caps = [cap for grant in grants if (cap := grant.permit.max_bytes()) is not None]
    if not caps:
        return cost
    cap = max(min(caps), cost.least.io)
    return attrs.evolve(cost, most=cost.most.narrow(Limit(io=cap)))


def budget_grant(detail: BudgetExhausted, scope: Scope) -> str:
    """Return the line or flag that would grant what was refused."""
    amount = detail.spent + detail.requested
    if amount == detail.limit + 1:
        amount = 2 * detail.limit  # it met its limit, and nobody knows how much more it would have taken
    needed = f"{detail.dimension}={amount}"
    if detail.account not in ("task", "queue", "run"):
        return f"a request that reserves {needed}"
    where = scope.raised_by(detail.account, detail.dimension)
    if where.startswith("--"):
        return f"{where} {needed}"
    line, _, owner = where.partition(" under ")
    return f"{line} `{needed}` under {owner}" if owner else f"{needed} in {where}"
