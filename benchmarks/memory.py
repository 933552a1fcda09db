"""A run whose effects stand in memory: the real scheduler, broker and ledger, and nothing of the world."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from tek_abi import (
    CODEC,
    Access,
    Assignment,
    Budget,
    Codec,
    ExecutionPlan,
    Limit,
    MemoryBlobs,
    Permit,
    PlanEntry,
    Policy,
    Queue,
    Request,
    RunClosed,
    RunOpened,
    RunSummary,
    Task,
    TaskReport,
)
from tek_agents.registry import AgentRegistry, LoadedAgent
from tek_executor import Host, Options, Scheduler, Watcher
from tek_kernel import (
    Applied,
    Authority,
    Broker,
    Context,
    Cost,
    Decider,
    DirectSink,
    Effect,
    Ledger,
    Registry,
    ReplayHash,
    Scopes,
    SideEffect,
    Storage,
    plan_digest,
    policy_digest,
    utc_now,
)

POLICY = attrs.evolve(Policy(), permits=(Permit(("memory.*",), ("*",), rule="bench"),))


@attrs.frozen
class Put(Request[int]):
    """A side effect in memory."""

    effect: ClassVar[str] = "memory.put"
    output: ClassVar[Any] = int
    key: str
    size: int


class PutEffect(Effect[Put]):
    """Writes a number under a key."""

    request: ClassVar[type[Any]] = Put

    def __init__(self) -> None:
        self.store: dict[str, int] = {}

    def side_effect(self, request: Put) -> SideEffect:
        return SideEffect.IDEMPOTENT

    def accesses(self, request: Put) -> tuple[Access, ...]:
        return (Access("memory.put", "memory.put", request.key),)

    def cost(self, request: Put) -> Cost:
        return Cost(Budget(io=request.size), Limit(1000, 0, request.size))

    def apply(self, request: Put, context: Context) -> Applied:
        self.store[request.key] = request.size
        return Applied(request.size, Budget(io=request.size))


class Memory:
    """A ledger's storage that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def sync(self) -> None:
        pass


class Putter:
    """An agent that puts so many numbers, one after the other."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def run(self, task: Assignment) -> TaskReport:
        """Put them."""
        for number in range(self._count):
            await Put(f"key-{number % 100}", 10)
        return TaskReport("ok")


class _Only(AgentRegistry):
    """Knows one agent, whatever its name."""

    def __init__(self, agent: Putter) -> None:
        super().__init__(())
        self._agent = agent

    def load(self, name: str) -> LoadedAgent:
        return LoadedAgent(name, self._agent, "bench", "0")


def carry_out(storage: Storage, tasks: int, effects: int, workers: int) -> None:
    """Run so many tasks, each with so many effects, into a ledger on that storage."""
    codec, blobs = Codec(MemoryBlobs()), MemoryBlobs()
    planned = tuple(Task(f"TASK-{number:03d}", f"TASK-{number:03d}", "execution") for number in range(1, tasks + 1))
    plan = ExecutionPlan((Queue("Queue A — Work", planned),))
    ledger = Ledger(DirectSink(storage), utc_now, codec)
    digests = plan_digest(plan), policy_digest(POLICY)
    ledger.append(RunOpened("run", (), *digests, "0" * 64, "none"))
    ledger.append(PlanEntry(codec.seal(CODEC.encode(plan))[0], codec.seal(CODEC.encode(POLICY))[0]))
    broker = Broker(Decider(Registry((PutEffect(),)), codec, "run"), ledger, codec, blobs)
    replay_hash = ReplayHash(*digests, [task.id for task in planned])
    scheduler = Scheduler(
        plan, Scopes(plan, POLICY, Authority(POLICY)), broker, ledger, Host(_Only(Putter(effects))), replay_hash,
        lambda task: "bench", Options(workers=workers), Watcher(),
    )  # fmt: skip
    summary = RunSummary.count(scheduler.run().statuses.values())
    ledger.append_last(RunClosed(summary.status, summary, replay_hash.hex()))
    ledger.close()
