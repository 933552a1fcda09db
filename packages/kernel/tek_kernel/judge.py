"""Judging a recorded run by another policy: ``replay --policy`` (DESIGN section 5, *Replay levels*).

Each request on record is decided once more by the ``Decider`` that runs decide with, under another policy. No agent
is driven and no effect is applied. Budgets are charged with what the record says was used, one request after the
other in the order of their lines, so that no request waits: whatever a run under the policy that it had was given,
is given here too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

import attrs

from tek_abi import (
    Bound,
    Budget,
    BudgetExhausted,
    Codec,
    DecodeError,
    Denial,
    Denied,
    Dimension,
    EffectIntent,
    EffectOutcome,
    Failed,
    Instant,
    Limit,
    Outcome,
    Policy,
    Position,
    Task,
    TaskStarted,
    TekError,
    ValueNotAllowed,
)
from tek_abi.budget import DIMENSIONS
from tek_kernel.account import Account, Exhausted
from tek_kernel.authority import Authority, TaskAuthority
from tek_kernel.certainty import Certainty, Doubt
from tek_kernel.decide import Admitted, Decider, Scope, Scopes, budget_grant
from tek_kernel.effect import Cost
from tek_kernel.lines import LedgerInvalid, Line, read_lines
from tek_kernel.redaction import Redacted
from tek_kernel.registry import Registry, UnknownEffect
from tek_kernel.signature import NO_KEYS, Verifier
from tek_kernel.verify import Checker, Verification

_NO_POLICY = ("bad-request", "unknown-effect")
"""The denials that no policy has a part in."""


@attrs.frozen
class Rules:
    """What a run is judged by: a policy, the keys that it trusts, and who carries out a task under it.

    ``refuses`` says why an effect that is permitted would refuse to start all the same, if the task's authority alone
    tells; ``differs`` why one that is started would have other means, ``""`` for the same.
    """

    policy: Policy
    agent: Callable[[Task], str]
    verifier: Verifier = NO_KEYS
    refuses: Callable[[Admitted], Denial | None] = lambda admitted: None
    differs: Callable[[Verdict], str] = lambda verdict: ""


@attrs.frozen
class Verdict:
    """One request under another policy. ``denial`` is why it would be refused, or would run out of what it needs.

    ``denied_before`` says that it was denied on record, or ran out; ``certain`` that nothing before it could have made
    its agent ask for something else; ``unjudged`` why nobody can say. ``before`` and ``after`` are what its task may do
    on record and would be able to do, at ``at``.
    """

    line: int
    at: Instant
    position: Position
    effect: str
    denied_before: bool
    before: TaskAuthority
    after: TaskAuthority
    certain: bool = True
    denial: Denial | None = None
    unjudged: str = ""


@attrs.frozen
class Judgement:
    """A run judged by other rules. ``doubts`` name from where on it may have gone differently, and why."""

    verification: Verification
    checker: Checker
    verdicts: tuple[Verdict, ...]
    doubts: tuple[Doubt, ...]

    @property
    def denied(self) -> tuple[Verdict, ...]:
        """The requests that would be denied."""
        return tuple(verdict for verdict in self.verdicts if verdict.denial is not None)


@attrs.define(str=False)
class _NotOnRecord(TekError):
    """A request was refused while it was applied, for what it met there, which is not on record."""

    reason: str

    def __str__(self) -> str:
        return f"it was refused while it was applied, for what it met there: {self.reason}"


@attrs.define
class _Asked:
    """A request on record, with its outcome once that has been read."""

    line: Line
    intent: EffectIntent
    outcome: Outcome | None = None
    usage: Budget = Budget()
    is_known: bool = False


class Judge:
    """Judges the lines of one ledger, each after its ``Checker`` has taken it."""

    def __init__(self, checker: Checker, codec: Codec, registry: Registry, rules: Rules, recorded: Verifier) -> None:
        self._checker = checker
        self._codec = codec
        self._registry = registry
        self._rules = rules
        protected = checker.plan_entry.protected
        self._before = Authority(checker.granted, protected, recorded)
        self._scopes = Scopes(checker.plan, rules.policy, Authority(rules.policy, protected, rules.verifier))
        self._decider = Decider(registry, codec, checker.opened.run if checker.opened is not None else "")
        self._tasks: dict[str, tuple[TaskAuthority, Scope]] = {}
        self._waiting: deque[_Asked | TaskStarted] = deque()
        self._open: dict[Position, _Asked] = {}
        self.certainty = Certainty(checker.tasks)

    def take(self, line: Line) -> Iterator[Verdict]:
        """Take one line and yield what can be said now: requests are judged in the order of their lines, each once
        it is known what it used.
        """
        match line.entry:
            case TaskStarted():
                self._waiting.append(line.entry)
            case EffectIntent() as intent:
                asked = self._open[intent.position] = _Asked(line, intent)
                self._waiting.append(asked)
            case EffectOutcome(position, outcome, usage):
                asked = self._open.pop(position)
                asked.outcome, asked.usage, asked.is_known = outcome, usage, True
            case _:
                return
        yield from self._judge_known()

    def finish(self) -> Iterator[Verdict]:
        """Yield the verdicts on requests whose outcome is not on record, and on those behind them."""
        for asked in self._open.values():
            asked.is_known = True
        self._open.clear()
        yield from self._judge_known()

    def _judge_known(self) -> Iterator[Verdict]:
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, _Asked) and not first.is_known:
                return
            self._waiting.popleft()
            if isinstance(first, TaskStarted):
                self._start(first)
            else:
                yield self._judge(first)

    def _start(self, entry: TaskStarted) -> None:
        if entry.task in self._tasks:
            return
        queue, task = self._checker.tasks[entry.task]
        before = self._before.for_task(self._checker.plan, queue, task, entry.agent)
        self._tasks[entry.task] = before, self._scopes.task(queue, task, entry.agent)
        self.certainty.started(entry.task)
        other = self._rules.agent(task)
        if other != entry.agent and not self._checker.plan_entry.dry_run:
            self.certainty.lose(entry.task, None, f"the agent {other} would carry it out, not {entry.agent}")

    def _judge(self, asked: _Asked) -> Verdict:
        position = asked.intent.position
        before, scope = self._tasks[position.task]
        denied_before = isinstance(asked.outcome, Denied) or not asked.intent.allow or _ran_out(asked) is not None
        certain = self.certainty.holds(position.task)
        effect = asked.intent.envelope.effect
        verdict = Verdict(
            asked.line.number, asked.line.at, position, effect, denied_before, before, scope.authority, certain
        )
        try:
            denial = self._decide(asked, scope)
        except (Redacted, UnknownEffect, _NotOnRecord) as error:
            if not isinstance(error, _NotOnRecord):
                _charge(scope.account, asked.usage)
            self.certainty.lose(position.task, position, f"that request is not judged: {error}")
            return attrs.evolve(verdict, unjudged=str(error))
        except (LookupError, DecodeError, ValueNotAllowed) as error:
            raise LedgerInvalid(asked.line.number, f"holds what no run could have written: {error}") from None
        if denial is not None and denial.code == "ceiling":
            self.certainty.halt(position)
        if (denial is not None) != denied_before:
            change = "would be denied" if denial is not None else "would no longer be denied"
            self.certainty.lose(position.task, position, f"that request {change}")
        verdict = attrs.evolve(verdict, denial=denial)
        if why := self._rules.differs(verdict):
            self.certainty.lose(position.task, position, why)
        return verdict

    def _decide(self, asked: _Asked, scope: Scope) -> Denial | None:
        """Decide a request as a run does. Raises ``Redacted``, ``UnknownEffect`` or ``_NotOnRecord``."""
        intent, envelope = asked.intent, asked.intent.envelope
        if intent.denial is not None and intent.denial.code in _NO_POLICY:
            return intent.denial
        effect = self._registry.get(envelope.effect, envelope.v)
        request = self._codec.decode(self._codec.unseal(envelope.args), effect.request, envelope.effect)
        bound = Bound(request, envelope.budget, envelope.invariants)
        decided = self._decider.decide(scope, intent.position, bound, 1, asked.line.at)
        if not isinstance(decided, Admitted):
            return decided.denial
        denial = self._rules.refuses(decided) or _runs_out(decided, asked)
        scope.account.settle(decided.reservation, asked.usage)
        if denial is None and isinstance(asked.outcome, Denied) and intent.allow:
            raise _NotOnRecord(asked.outcome.reason.message)
        return denial


def _ran_out(asked: _Asked) -> BudgetExhausted | None:
    """Return what a request ran out of on record."""
    return asked.outcome.error.exhausted if isinstance(asked.outcome, Failed) else None


def _runs_out(admitted: Admitted, asked: _Asked) -> Denial | None:
    """Return why a request would be cut short that used more on record than it would be given."""
    amount, ended = admitted.reservation.amount, _ran_out(asked)
    for dimension in DIMENSIONS:
        used = asked.usage[dimension]
        needed = used + (ended is not None and ended.dimension == dimension)
        if needed > amount[dimension] and used >= amount[dimension]:
            detail = _exhausted(admitted, dimension, needed)
            code = "budget" if detail.account in ("task", "request") else "ceiling"
            message = f"it used {used} {dimension} on record, and would be cut short: {detail}"
            return Denial(code, message, "budget", budget_grant(detail, admitted.scope), detail)  # type: ignore[arg-type]  # both words are codes
    return None


def _exhausted(admitted: Admitted, dimension: Dimension, needed: int) -> BudgetExhausted:
    name = admitted.reservation.tightest[dimension]
    for account in admitted.scope.account.chain():
        bound = account.bound(dimension)
        if account.name == name and bound is not None:
            return BudgetExhausted(dimension, bound, account.spent[dimension], 0, needed, name)
    return BudgetExhausted(dimension, admitted.reservation.amount[dimension], 0, 0, needed, "request")


def _charge(account: Account, usage: Budget) -> None:
    """Charge what a request that is not judged used, as far as it is there."""
    try:
        account.settle(account.reserve(Cost(usage, Limit(usage.ms, usage.tokens, usage.io))), usage)
    except Exhausted:
        return


def judge(
    file: BinaryIO,
    codec: Codec,
    registry: Callable[[Checker], Registry],
    rules: Rules,
    recorded: Callable[[Checker], Verifier] = lambda checker: NO_KEYS,
) -> Judgement:
    """Verify a ledger and judge its requests by other ``rules``. Raises ``LedgerInvalid`` as ``verify`` does.

    ``registry`` makes the effects' pure parts for the recorded run, ``recorded`` knows the keys that it trusted.
    """
    checker = Checker(codec)
    judging: Judge | None = None
    verdicts: list[Verdict] = []
    for line in read_lines(file, codec):
        checker.take(line)
        if judging is None and isinstance(line.entry, TaskStarted):
            judging = Judge(checker, codec, registry(checker), rules, recorded(checker))
        if judging is not None:
            verdicts += judging.take(line)
    verified = checker.finish()
    judging = judging or Judge(checker, codec, registry(checker), rules, recorded(checker))
    verdicts += judging.finish()
    return Judgement(verified, checker, tuple(verdicts), judging.certainty.doubts(checker.plan_entry.selected))
