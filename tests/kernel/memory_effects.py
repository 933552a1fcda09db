"""An effect that does what a test tells it, and the broker of one task over it: no disk, no process, no clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import attrs

from tek_abi import (
    Access,
    Bound,
    Budget,
    Codec,
    EffectIntent,
    EffectOutcome,
    Entry,
    ExecutionPlan,
    Limit,
    MemoryBlobs,
    Outcome,
    Permit,
    Policy,
    Position,
    Queue,
    Request,
    Task,
    parse_rule,
)
from tek_kernel import (
    Admitted,
    Applied,
    Authority,
    Broker,
    Cancel,
    Context,
    Cost,
    Decider,
    DirectSink,
    Effect,
    Ledger,
    Refused,
    Registry,
    Scopes,
    SideEffect,
)

ALL_OF_MEMORY = parse_rule("mem.do:*")
NO_COST = Cost(Budget(), Limit(ms=1000, tokens=0, io=0))


@attrs.frozen
class Do(Request[Any]):
    """Does something to memory."""

    effect: ClassVar[str] = "mem.do"
    output: ClassVar[Any] = object
    what: Any = "x"


@attrs.define(eq=False)
class DoEffect(Effect[Do]):
    """``mem.do``. Each part of the protocol is a function of the test's own; ``applied`` lists what was done."""

    request: ClassVar[type[Any]] = Do
    act: Callable[[Do, Context], Any] = lambda request, context: Applied(None)
    needs: Callable[[Do], Any] = lambda request: (Access("mem.do", "mem.do", "x"),)
    price: Callable[[Do], Cost] = lambda request: NO_COST
    look: Callable[[Do], Any] = lambda request: None
    kind: SideEffect = SideEffect.READ
    applied: list[Do] = attrs.field(factory=list)

    def side_effect(self, request: Do) -> SideEffect:
        return self.kind

    def accesses(self, request: Do) -> tuple[Access, ...]:
        needed: tuple[Access, ...] = self.needs(request)
        return needed

    def cost(self, request: Do) -> Cost:
        return self.price(request)

    def before(self, request: Do) -> Any:
        return self.look(request)

    def apply(self, request: Do, context: Context) -> Applied:
        self.applied.append(request)
        done: Applied = self.act(request, context)
        return done


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises ``error`` whatever it is called with."""

    def function(*_: Any) -> Any:
        raise error

    return function


class _Nowhere:
    def write(self, data: bytes) -> None:
        pass

    def sync(self) -> None:
        pass


class Desk:
    """One task's way through the broker. ``entries`` is what the ledger was given; every line was composed."""

    def __init__(
        self,
        effect: Effect[Any],
        permits: Sequence[Permit] = (ALL_OF_MEMORY,),
        limit: Limit | None = None,
        task: Task | None = None,
        policy: Policy | None = None,
        queue_limit: Limit | None = None,
    ) -> None:
        self.entries: list[Entry] = []
        ticks = itertools.count()
        self.blobs = MemoryBlobs()
        self.codec = Codec(self.blobs)
        self.ledger = Ledger(
            DirectSink(_Nowhere()),
            lambda: f"2026-01-01T00:00:00.{next(ticks):06}Z",
            self.codec,
            watch=lambda entry, at: self.entries.append(entry),
        )
        task = task or Task("TASK-001", "one", "foundation", budget=limit or Limit())
        queue = Queue("Queue A — One", (task,), budget=queue_limit or Limit())
        policy = policy or Policy(preset="none", permits=tuple(permits))
        plan = ExecutionPlan((queue,))
        self.broker = Broker(Decider(Registry([effect]), self.codec, "run"), self.ledger, self.codec, self.blobs)
        self.scope = Scopes(plan, policy, Authority(policy)).task(queue, task, "shell")
        self._asked = 0

    def admit(self, asked: Request[Any] | Bound[Any], share: int = 1) -> Admitted | Refused:
        """Decide the task's next request."""
        bound = asked if isinstance(asked, Bound) else Bound(asked)
        position = Position("TASK-001", 1, (self._asked,))
        _, decided = self.broker.admit(self.scope, position, bound, share)
        self._asked += 1
        return decided

    def settle(self, decided: Admitted | Refused) -> EffectOutcome:
        """Carry a decision out, or record its refusal."""
        if isinstance(decided, Refused):
            return self.broker.refuse(decided).entry
        return self.broker.settle(decided, self.broker.apply(decided, Cancel())).entry

    def ask(self, asked: Request[Any] | Bound[Any]) -> Outcome:
        """Take one request all the way."""
        return self.settle(self.admit(asked)).outcome

    @property
    def intents(self) -> list[EffectIntent]:
        """Every intent on record."""
        return [entry for entry in self.entries if isinstance(entry, EffectIntent)]
