"""The invariants of tek (docs/design.md), checked on one simulated run. Each check raises ``Broken``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs

from tek_abi import Budget, EffectIntent, EffectOutcome, Instant, Limit, Ok, Position, Subject, TekError
from tek_executor.testing.ledger import MemoryLedger
from tek_executor.testing.run import Ran, agent_of
from tek_kernel import Authority, LedgerInvalid, ReplayMismatch, Scopes, SideEffect

_FLIPS = 2


@attrs.define(str=False)
class Broken(TekError, AssertionError):
    """A run, or an agent in it, broke a rule. ``rule`` names it, ``problem`` says how, and where."""

    rule: str
    problem: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.problem}"


def check(ran: Ran) -> None:
    """Check all invariants that one run can break. Raises ``Broken`` for the first."""
    for invariant in _INVARIANTS:
        invariant(ran)


def asks_before_acting(ran: Ran) -> None:
    """An agent reaches the world, time and chance by its requests alone."""
    for ambient in ran.ambient:
        raise Broken("an agent is a function of its answers", str(ambient))


def no_effect_without_authority(ran: Ran) -> None:
    """Invariant 1: each applied effect has an allowed intent on record, and a permit of the policy that covers it."""
    allowed = {intent.envelope.idempotence_key: (intent, at) for intent, at in _intents(ran.ledger) if intent.allow}
    tasks = {task.id: (queue, task) for queue, task in ran.setting.plan.tasks()}
    for deed in ran.weather.deeds:
        if deed.key not in allowed:
            raise Broken("1: no effect without authority", f"{deed.request} was applied, and no intent allows it")
        intent, at = allowed[deed.key]
        queue, task = tasks[intent.position.task]
        subject = Subject(task.id, agent_of(task), task.layer, queue.letter)
        for access in deed.accesses:
            if all(permit.mismatch(access, subject, at) is not None for permit in ran.policy.permits):
                raise Broken("1: no effect without authority", f"no permit covers {access} of {intent.position}")


def budgets_are_conserved(ran: Ran) -> None:
    """Invariant 3: every account adds up after every line, and no task spends past its limit."""
    for imbalance in ran.imbalances:
        raise Broken("3: budgets are conserved", imbalance)
    spent: dict[str, Budget] = {}
    for outcome in ran.ledger.of(EffectOutcome):
        id_ = outcome.position.task
        spent[id_] = spent.get(id_, Budget()) + outcome.usage
    scopes = Scopes(ran.setting.plan, ran.policy, Authority(ran.policy))
    for queue, task in ran.setting.plan.tasks():
        limit = scopes.task_limit(queue, task)
        if not _within(spent.get(task.id, Budget()), limit):
            raise Broken("3: budgets are conserved", f"{task.id} has spent {spent[task.id]} of {limit}")


def ledger_is_whole(ran: Ran) -> None:
    """Invariant 4: the ledger verifies, and a changed byte anywhere is found in its line."""
    ledger = ran.ledger
    try:
        verification = ledger.verify()
    except LedgerInvalid as error:
        raise Broken("4: the ledger is append-only", str(error)) from error
    if verification.replay_hash != ran.replay_hash:
        raise Broken("5: one replay hash", "the ledger verifies to another hash than the run had")
    drawn = random.Random(ran.weather.seed)  # noqa: S311  # where to look, no secret
    for _ in range(_FLIPS):
        at = drawn.randrange(len(ledger.data))
        line = ledger.data.count(b"\n", 0, at) + 1
        found = ledger.damage(at, drawn.randrange(1, 256))
        if found is None or found.line != line:
            raise Broken("4: the ledger is append-only", f"a change of byte {at} in line {line} gives {found}")


def replay_applies_nothing(ran: Ran) -> None:
    """Invariants 5 and 6: the agents ask again for the same, nothing is applied, and the replay hash is the same."""
    done = len(ran.weather.deeds)
    try:
        verification = ran.redrive()
    except ReplayMismatch as error:
        raise Broken("5: an agent asks for the same when it is driven again", str(error)) from error
    if len(ran.weather.deeds) != done:
        raise Broken("6: replay applies no effect", f"{ran.weather.deeds[done].request} was applied by a replay")
    if verification.replay_hash != ran.replay_hash:
        raise Broken("5: one replay hash", f"{ran.replay_hash} in the run, {verification.replay_hash} in its replay")


def nothing_is_done_twice(ran: Ran) -> None:
    """Invariant 7: what must happen once takes effect once.

    A retry keeps the keys of the attempt before: a step that succeeded is not to be repeated. After an answer that
    was lost nobody knows, so the same is not to be asked again either, at any position.
    """
    of_key = {intent.envelope.idempotence_key: intent for intent, _ in _intents(ran.ledger)}
    idempotent = {task.id for _, task in ran.setting.plan.tasks() if task.idempotent}
    times: Counter[str] = Counter()
    lost: dict[tuple[str, str, str], Position] = {}
    for deed in ran.weather.deeds:
        intent = of_key[deed.key]
        position, envelope = intent.position, intent.envelope
        if deed.side_effect is not SideEffect.ONCE or position.task in idempotent:
            continue
        times[deed.key] += 1
        same = position.task, envelope.effect, envelope.args_digest
        if times[deed.key] > 1:
            problem = f"{envelope.effect} at {position} was done by an attempt before"
            raise Broken("7: nothing is done twice", f"{problem}; report progress, so that a retry goes on after it")
        if same in lost:
            problem = f"{envelope.effect} at {position} may have been done at {lost[same]}, whose answer was lost"
            raise Broken("7: nothing is done twice", f"{problem}; a failure does not say that nothing happened")
        if deed.unknown:
            lost[same] = position


def prefix_holds(ran: Ran, ledger: MemoryLedger) -> None:
    """Check what a crash has left: the lines hold, the agents ask again for the same up to there, and nothing was done
    that no line announced, or is on record without having been done.
    """
    try:
        ran.redrive(ledger)
    except LedgerInvalid as error:
        if not error.unfinished:
            raise Broken("4: any prefix of a ledger verifies as one", str(error)) from error
    intents = [intent for intent, _ in _intents(ledger) if intent.allow]
    keys = {intent.position: intent.envelope.idempotence_key for intent in intents}
    for deed in ran.weather.deeds:
        if deed.key not in keys.values() and deed.side_effect is not SideEffect.READ:
            raise Broken("the intent is durable before the effect", f"{deed.request} was done, and no line says so")
    done = Counter(deed.key for deed in ran.weather.deeds)
    registry = ran.pure_effects()
    effects = {intent.position: (intent.envelope.effect, intent.envelope.v) for intent in intents}
    for outcome in ledger.of(EffectOutcome):
        position = outcome.position
        if isinstance(outcome.outcome, Ok) and not registry.get(*effects[position]).inline and not done[keys[position]]:
            raise Broken("7: each recorded outcome was applied", f"{effects[position][0]} at {position} never was")


_INVARIANTS: Final[tuple[Callable[[Ran], None], ...]] = (
    asks_before_acting,
    ledger_is_whole,
    no_effect_without_authority,
    budgets_are_conserved,
    replay_applies_nothing,
    nothing_is_done_twice,
)


def _intents(ledger: MemoryLedger) -> list[tuple[EffectIntent, Instant]]:
    return [(line.entry, line.at) for line in ledger.lines if isinstance(line.entry, EffectIntent)]


def _within(spent: Budget, limit: Limit) -> bool:
    return all(
        not isinstance(bound, int) or amount <= bound
        for amount, bound in zip(spent.amounts(), limit.bounds(), strict=True)
    )
