"""A small run without disk or process: effects on a dict, agents as functions, a ledger as bytes and blobs."""

from __future__ import annotations

import contextlib
import io
import itertools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar

import attrs

from tek_abi import (
    CODEC,
    Access,
    Assignment,
    Bound,
    Budget,
    Codec,
    Denied,
    Drive,
    ExecutionPlan,
    Gather,
    Limit,
    MemoryBlobs,
    Outcome,
    PlanEntry,
    Policy,
    Queue,
    Race,
    Request,
    RunClosed,
    RunOpened,
    RunSummary,
    Task,
    TaskReport,
    TaskStatus,
)
from tek_abi.permit import parse_rule
from tek_executor import Options, Scheduler, Watcher
from tek_kernel import (
    Applied,
    Approval,
    Authority,
    Broker,
    Checker,
    Context,
    Cost,
    Decider,
    DirectSink,
    Effect,
    EffectCancelled,
    EffectError,
    Ledger,
    Registry,
    ReplayHash,
    Scopes,
    SideEffect,
    plan_digest,
    policy_digest,
)

LARGE = "large " * 1000
"""A value of over 4 KiB, which stands in a blob."""


@attrs.frozen
class Put(Request[int]):
    effect: ClassVar[str] = "mem.put"
    output: ClassVar[Any] = int
    key: str
    text: str = ""


@attrs.frozen
class Get(Request[str]):
    effect: ClassVar[str] = "mem.get"
    output: ClassVar[Any] = str
    key: str


@attrs.frozen
class Wait(Request[None]):
    effect: ClassVar[str] = "mem.wait"
    output: ClassVar[Any] = type(None)


class _Memory(Effect[Any]):
    def __init__(self, memory: dict[str, str]) -> None:
        self.memory = memory

    def side_effect(self, request: Any) -> SideEffect:
        return SideEffect.READ

    def accesses(self, request: Any) -> tuple[Access, ...]:
        return (Access(request.effect, request.effect, getattr(request, "key", "any")),)


class PutEffect(_Memory):
    request: ClassVar[type[Any]] = Put

    def side_effect(self, request: Any) -> SideEffect:
        return SideEffect.IDEMPOTENT

    def cost(self, request: Put) -> Cost:
        size = Budget(io=len(request.text))
        return Cost(size, Limit(ms=1000, tokens=0, io=size.io))

    def apply(self, request: Put, context: Context) -> Applied:
        self.memory[request.key] = request.text
        return Applied(len(request.text), Budget(io=len(request.text)))


class GetEffect(_Memory):
    request: ClassVar[type[Any]] = Get

    def apply(self, request: Get, context: Context) -> Applied:
        if request.key not in self.memory:
            raise EffectError("not-found", f"no {request.key}")
        return Applied(self.memory[request.key])


class WaitEffect(_Memory):
    """Ends only by being cancelled: a race's certain loser."""

    request: ClassVar[type[Any]] = Wait

    def apply(self, request: Wait, context: Context) -> Applied:
        stopped = threading.Event()
        context.cancel.on_cancel(stopped.set)
        assert stopped.wait(20)
        raise EffectCancelled()


class Ended(Exception):
    """What an outcome other than ok raises in these agents."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


Agent = Callable[[Assignment], Awaitable[TaskReport]]


class Host:
    """Agents by name, from a dict."""

    def __init__(self, agents: dict[str, Agent]) -> None:
        self.agents = agents

    def start(self, agent: str, assignment: Assignment) -> Coroutine[Any, Any, Any]:
        return _run(self.agents[agent], assignment)

    def exception(self, outcome: Outcome) -> Exception:
        return Ended(outcome)

    def conclude(self, drive: Drive) -> tuple[TaskStatus, TaskReport]:
        error = drive.error
        if error is None:
            return drive.result.status, drive.result
        denied = isinstance(error, Ended) and isinstance(error.outcome, Denied)
        return "denied" if denied else "failed", TaskReport("failed", str(error))


async def _run(agent: Agent, assignment: Assignment) -> Any:
    return await agent(assignment)


async def busy(assignment: Assignment) -> TaskReport:
    """Meets every kind of outcome: ok, failed, denied, gathered, raced, cancelled."""
    await Bound(Put("free/one", "1"), Budget(ms=1000, io=10))
    await Gather((Put("free/two", "2"), Put("free/three", "3")))
    with contextlib.suppress(Ended):
        await Get("free/missing")
    with contextlib.suppress(Ended):
        await Put("locked", "no")
    await Race((Get("free/one"), Wait()))
    await Put("free/large", LARGE)
    assert await Get("free/large") == LARGE
    return TaskReport("ok", "all met")


async def denied(assignment: Assignment) -> TaskReport:
    await Put("locked", "no")
    return TaskReport()


async def failed(assignment: Assignment) -> TaskReport:
    await Get("free/missing")
    return TaskReport()


AGENTS: dict[str, Agent] = {"busy": busy, "denied": denied, "failed": failed}
POLICY = Policy(permits=tuple(map(parse_rule, ("mem.put:free/*", "mem.get:free/*", "mem.wait:*"))))


def plan_of(*agents: str) -> ExecutionPlan:
    names = enumerate(agents, 1)
    tasks = tuple(Task(f"TASK-{n:03}", name, "foundation", agent=name) for n, name in names)
    return ExecutionPlan((Queue("Queue A — Small", tasks),))


@attrs.define
class Memory:
    """Storage that remembers what was written."""

    data: bytearray = attrs.field(factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data

    def sync(self) -> None:
        pass


@attrs.frozen
class World:
    """One finished run."""

    data: bytes
    blobs: MemoryBlobs
    agents: dict[str, Agent]
    replay_hash: str
    head: str
    codec: Codec

    @property
    def lines(self) -> list[bytes]:
        return self.data.splitlines(keepends=True)

    def file(self) -> io.BytesIO:
        return io.BytesIO(self.data)


def effects(memory: dict[str, str] | None = None) -> Registry:
    memory = {} if memory is None else memory
    return Registry((PutEffect(memory), GetEffect(memory), WaitEffect(memory)))


def pure_registry(checker: Checker) -> Registry:
    """Effects whose ``before`` and ``apply`` count as a broken promise."""
    return Registry((Untouchable(PutEffect({})), Untouchable(GetEffect({})), Untouchable(WaitEffect({}))))


class Untouchable(Effect[Any]):
    """An effect's pure parts; its others must never be called. ``touched`` outlives whoever swallows the error."""

    touched: ClassVar[list[str]] = []

    def __init__(self, inner: Effect[Any]) -> None:
        self.request = inner.request  # type: ignore[misc]  # one class stands for each effect in turn
        self.side_effect = inner.side_effect  # type: ignore[method-assign]  # the pure parts are the effect's own
        self.accesses = inner.accesses  # type: ignore[method-assign]  # as above
        self.cost = inner.cost  # type: ignore[method-assign]  # as above

    def side_effect(self, request: Any) -> SideEffect:
        raise NotImplementedError

    def accesses(self, request: Any) -> tuple[Access, ...]:
        raise NotImplementedError

    def before(self, request: Any) -> None:
        self.touched.append("before")
        raise AssertionError("before")

    def apply(self, request: Any, context: Context) -> Applied:
        self.touched.append("apply")
        raise AssertionError("apply")


def ticking() -> Callable[[], str]:
    ticks = itertools.count()
    return lambda: f"2026-01-01T00:00:00.{next(ticks):06}Z"


def run(
    plan: ExecutionPlan,
    agents: dict[str, Agent] = AGENTS,
    policy: Policy = POLICY,
    workers: int = 2,
    approvals: Sequence[Approval] = (),
) -> World:
    """Run a plan in memory to its closed ledger."""
    storage, blobs = Memory(), MemoryBlobs()
    codec, host = Codec(blobs), Host(agents)
    ledger = Ledger(DirectSink(storage), ticking(), codec)
    digests = plan_digest(plan), policy_digest(policy)
    ledger.append(RunOpened("run-1", (("tek", "0"),), *digests, "0" * 64, "none"))
    named = tuple((name, "tests", "0") for name in sorted(agents))
    sealed = codec.seal(CODEC.encode(plan))[0], codec.seal(CODEC.encode(policy))[0]
    ledger.append(PlanEntry(*sealed, agents=named))
    for approval in approvals:
        ledger.append(approval.decision())
    approved = tuple(permit for approval in approvals for permit in approval.permits())
    granted = attrs.evolve(policy, permits=(*policy.permits, *approved))
    scopes = Scopes(plan, policy, Authority(granted, ()))
    broker = Broker(Decider(effects(), codec, "run-1"), ledger, codec, blobs)
    replay_hash = ReplayHash(*digests, [task.id for _, task in plan.tasks()])
    options = Options(workers=workers, backoff=1)
    scheduler = Scheduler(
        plan, scopes, broker, ledger, host, replay_hash, lambda task: task.agent or "", options, Watcher()
    )
    end = scheduler.run()
    counts = RunSummary.count(end.statuses.values())
    ledger.append(RunClosed(counts.status, counts, replay_hash.hex()))
    ledger.close()
    return World(bytes(storage.data), blobs, agents, replay_hash.hex(), ledger.head, codec)


def small() -> World:
    return run(plan_of("busy", "denied", "failed"))
