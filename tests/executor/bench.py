"""A whole run in memory: scheduler, broker and ledger over scripted effects, re-driven after every run."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import attrs

from tek_abi import (
    CODEC,
    UNLIMITED,
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
    RunPaused,
    RunResumed,
    RunSummary,
    Task,
    TaskReport,
)
from tek_agents.registry import AgentRegistry, LoadedAgent
from tek_executor import Host, Options, RunEnd, Scheduler, Watcher
from tek_executor.resume import Answer, Resumption
from tek_kernel import (
    Applied,
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
    GroupCommit,
    Ledger,
    Redrive,
    Registry,
    ReplayHash,
    Scopes,
    SideEffect,
    Sink,
    Storage,
    Verification,
    plan_digest,
    policy_digest,
    read_lines,
    redrive,
    utc_now,
    verify,
)

AgentBody = Callable[[Assignment], Awaitable[Any]]
Deed = Callable[[str, Context], Any]
WAIT = 10.0
"""Seconds after which a wait for an event counts as a failure."""


@attrs.frozen
class Look(Request[str]):
    """A read that runs on a worker."""

    effect: ClassVar[str] = "test.look"
    output: ClassVar[Any] = str
    name: str


@attrs.frozen
class Act(Request[str]):
    """A side effect that must happen once. ``io`` is what it reserves at least and at most, and uses if not told."""

    effect: ClassVar[str] = "test.act"
    output: ClassVar[Any] = str
    name: str
    io: int = 0
    used: int | None = None


@attrs.frozen
class Draw(Request[str]):
    """A read that reserves as much as it may have, and uses ``used`` of it."""

    effect: ClassVar[str] = "test.draw"
    output: ClassVar[Any] = str
    name: str
    used: int = 0


@attrs.frozen
class Glance(Request[str]):
    """A read on the scheduler's own thread."""

    effect: ClassVar[str] = "test.glance"
    output: ClassVar[Any] = str
    name: str


def echo(name: str, context: Context) -> str:
    """Answer at once with the name; fail for names that start with ``fail`` or ``doubt``."""
    if name.startswith("fail"):
        raise EffectError("io", name)
    if name.startswith("doubt"):
        raise EffectError("connection", name, unknown=True)
    return name


class _Scripted(Effect[Any]):
    def __init__(self, act: Deed) -> None:
        self._act = act

    def side_effect(self, request: Any) -> SideEffect:
        return SideEffect.READ

    def accesses(self, request: Any) -> tuple[Access, ...]:
        return (Access(request.effect, request.effect, request.name),)

    def apply(self, request: Any, context: Context) -> Applied:
        return Applied(self._act(request.name, context), Budget(io=self.used(request)))

    def presumed(self, request: Any) -> str:
        return str(request.name)

    def used(self, request: Any) -> int:
        """Return the bytes that a request moves."""
        return 0


class LookEffect(_Scripted):
    """``test.look``."""

    request: ClassVar[type[Any]] = Look


class GlanceEffect(_Scripted):
    """``test.glance``."""

    request: ClassVar[type[Any]] = Glance
    inline: ClassVar[bool] = True


class ActEffect(_Scripted):
    """``test.act``."""

    request: ClassVar[type[Any]] = Act

    def side_effect(self, request: Any) -> SideEffect:
        return SideEffect.ONCE

    def cost(self, request: Any) -> Cost:
        return Cost(Budget(io=request.io), Limit(ms=0, tokens=0, io=request.io))

    def used(self, request: Any) -> int:
        return int(request.io if request.used is None else request.used)


class DrawEffect(_Scripted):
    """``test.draw``."""

    request: ClassVar[type[Any]] = Draw

    def cost(self, request: Any) -> Cost:
        return Cost(Budget(), Limit(ms=0, tokens=0))

    def used(self, request: Any) -> int:
        return int(request.used)


def effects(act: Deed = echo) -> Registry:
    """Return the scripted effects over one act."""
    return Registry((LookEffect(act), ActEffect(act), DrawEffect(act), GlanceEffect(act)))


@attrs.define
class Gates:
    """An act in which each effect waits until the test releases it, or until it is cancelled."""

    started: dict[str, threading.Event] = attrs.field(factory=dict)
    released: dict[str, threading.Event] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def _event(self, events: dict[str, threading.Event], name: str) -> threading.Event:
        with self._lock:
            return events.setdefault(name, threading.Event())

    def __call__(self, name: str, context: Context) -> str:
        gate = self._event(self.released, name)
        context.cancel.on_cancel(gate.set)
        self._event(self.started, name).set()
        assert gate.wait(WAIT), f"{name} was never released"
        if context.cancel.cancelled:
            raise EffectCancelled()
        return echo(name, context)

    def wait(self, name: str) -> None:
        """Return once the effect has started."""
        assert self._event(self.started, name).wait(WAIT), f"{name} never started"

    def release(self, *names: str) -> None:
        """Let effects end."""
        for name in names:
            self._event(self.released, name).set()


@attrs.frozen
class _Body:
    body: AgentBody

    async def run(self, task: Assignment) -> TaskReport:
        report: TaskReport = await self.body(task)
        return report


class _Agents(AgentRegistry):
    def __init__(self, bodies: Mapping[str, AgentBody]) -> None:
        super().__init__(())
        self._bodies = bodies

    def load(self, name: str) -> LoadedAgent:
        return LoadedAgent(name, _Body(self._bodies[name]), "tests", "1")


class MemoryFile:
    """A ledger's file in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        """Append."""
        self.data += data

    def sync(self) -> None:
        """Nothing is ever lost here."""


class TellingFile(MemoryFile):
    """A ledger's file that tells what stands in it; with ``group=False`` a line is there as soon as it is made."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = threading.Condition()

    def write(self, data: bytes) -> None:
        """Append, and tell."""
        with self._grown:
            super().write(data)
            self._grown.notify_all()

    def wait(self, *words: str) -> None:
        """Return once a line holds all the words."""
        parts = [word.encode() for word in words]

        def there() -> bool:
            return any(all(part in line for part in parts) for line in bytes(self.data).splitlines())

        with self._grown:
            assert self._grown.wait_for(there, WAIT), f"no line holds {words}"


@attrs.frozen
class Ran:
    """What a run left behind. ``replay_hash`` is what run, verification and replay agree on."""

    end: RunEnd
    ledger: bytes
    replay_hash: str
    started: list[str]

    @property
    def text(self) -> str:
        """The ledger as text."""
        return self.ledger.decode()


BLOBS = MemoryBlobs()
RUN_CODEC = Codec(BLOBS)
# One for all runs: what a codec learns about a type takes longer than a run.

ALLOWED = (Permit(("test.*",), ("*",), exclude=("forbidden*",), rule="tests"),)
FREE = Policy(permits=ALLOWED, task=Limit(UNLIMITED, UNLIMITED, UNLIMITED))


def task(number: int, *needs: str, **fields: Any) -> Task:
    """Return a task named by its number."""
    id_ = f"TASK-{number:03}"
    return Task(id_, id_, "foundation", needs=needs, **fields)


def plan(*tasks: Task, **fields: Any) -> ExecutionPlan:
    """Return a plan of one queue."""
    return ExecutionPlan((Queue("Queue A — Tests", tasks),), **fields)


@attrs.define
class Bench:
    """One run to be. ``bodies`` are agents by task id, ``body`` everyone else's; ``run`` runs, checks and replays."""

    plan: ExecutionPlan
    body: AgentBody
    bodies: Mapping[str, AgentBody] = attrs.field(factory=dict)
    act: Deed = echo
    policy: Policy = FREE
    options: Options = Options(workers=4, backoff=1)
    group: bool = True
    check: bool = True
    clock: Callable[[], str] = utc_now
    storage: Any = attrs.field(factory=MemoryFile)
    protected: tuple[str, ...] = ()
    scheduler: Scheduler | None = None

    def _host(self) -> Host:
        return Host(_Agents({"all": self.body, **self.bodies}))

    def _agent_of(self, task: Task) -> str:
        return task.id if task.id in self.bodies else "all"

    def _sink(self) -> Sink:
        storage: Storage = self.storage
        return GroupCommit(storage, self._synced) if self.group else DirectSink(storage)

    def _synced(self) -> None:
        if self.scheduler is not None:
            self.scheduler.synced()

    def run(self, run: str = "run") -> Ran:
        """Run the plan; fail unless its ledger verifies and replays to the same hash and no thread is left."""
        before = set(threading.enumerate())
        blobs, codec = BLOBS, RUN_CODEC
        ledger = Ledger(self._sink(), self.clock, codec)
        digests = plan_digest(self.plan), policy_digest(self.policy)
        replay_hash = ReplayHash(*digests, [task.id for _, task in self.plan.tasks()])
        started: list[str] = []
        try:
            self._open(ledger, codec, run, digests)
            scopes = Scopes(self.plan, self.policy, Authority(self.policy, self.protected))
            broker = Broker(Decider(effects(self.act), codec, run), ledger, codec, blobs)
            watcher = Watcher(lambda task, agent: started.append(task.id))
            self.scheduler = Scheduler(
                self.plan, scopes, broker, ledger, self._host(), replay_hash, self._agent_of, self.options, watcher
            )
            end = self.scheduler.run()
            summary = RunSummary.count(end.statuses.values())
            ledger.append_last(
                RunPaused("interrupted", summary)
                if end.interrupted
                else RunClosed(summary.status, summary, replay_hash.hex())
            )
        finally:
            try:
                ledger.close()
            finally:
                left = set(threading.enumerate()) - before
                assert not [t for t in left if t.name.startswith("tek-")], left
        data = bytes(self.storage.data)
        if self.check:
            self._replay(data, codec, replay_hash.hex(), end)
        return Ran(end, data, replay_hash.hex(), started)

    def resume(
        self, data: bytes, answer: Answer = "", by_task: Mapping[str, Answer] | None = None, keep: bool = False
    ) -> Ran:
        """Go on with what is left of a run; check the whole ledger as ``run`` does. ``keep``: write to ``storage``."""
        codec, storage = RUN_CODEC, self.storage
        if not keep:
            storage.data += data
        checker = Checker(codec)
        driver = Redrive(checker, codec, self._host(), lambda _: effects(self.act))
        lines = list(read_lines(io.BytesIO(data), codec))
        for line in lines:
            checker.take(line)
            driver.take(line)
        sink = DirectSink(storage)
        sink.synced = len(lines) - 1
        ledger = Ledger(sink, self.clock, codec, len(lines), lines[-1].hash, lines[-1].at)
        ledger.append(RunResumed((), "none", ledger.head))
        driver.resume()
        scopes, decider = driver.prepared()
        started: list[str] = []
        watcher = Watcher(lambda task, agent: started.append(task.id))
        replay_hash = checker.replay_hash
        broker = Broker(decider, ledger, codec, BLOBS)
        self.scheduler = Scheduler(
            self.plan, scopes, broker, ledger, self._host(), replay_hash, self._agent_of, self.options, watcher
        )
        left = Resumption(driver, checker, codec, {**({"": answer} if answer else {}), **(by_task or {})})
        left.check_answers()
        self.scheduler.adopt(left)
        end = self.scheduler.run()
        counts = RunSummary.count(end.statuses.values())
        reason = "interrupted" if end.interrupted else "in doubt" if end.in_doubt else ""
        ledger.append(RunPaused(reason, counts) if reason else RunClosed(counts.status, counts, replay_hash.hex()))
        ledger.close()
        whole = bytes(storage.data)
        redriven = self.redrive(whole)
        assert redriven == verify(io.BytesIO(whole), codec)
        assert redriven.state == ("paused" if reason else "closed")
        return Ran(end, whole, replay_hash.hex(), started)

    def redrive(self, ledger: bytes, codec: Codec = RUN_CODEC) -> Verification:
        """Drive this bench's agents again over any ledger. Raises ``LedgerInvalid`` or ``ReplayMismatch``."""
        return redrive(io.BytesIO(ledger), codec, self._host(), lambda checker: effects())

    def _open(self, ledger: Ledger, codec: Codec, run: str, digests: tuple[str, str]) -> None:
        ledger.append(RunOpened(run, (), *digests, "0" * 64, "none"))
        sealed = [codec.seal(CODEC.encode(value))[0] for value in (self.plan, self.policy)]
        selected = tuple(sorted(self.options.selected))
        ledger.append(PlanEntry(sealed[0], sealed[1], protected=self.protected, selected=selected))

    def _replay(self, data: bytes, codec: Codec, replay_hash: str, end: RunEnd) -> None:
        verified = verify(io.BytesIO(data), codec)
        redriven = self.redrive(data)
        assert verified == redriven
        assert redriven.state == ("paused" if end.interrupted else "closed")
        assert end.interrupted or redriven.replay_hash == replay_hash


def ticking() -> Callable[[], str]:
    """Return a clock that starts long ago and moves by a second at each look."""
    ticks = itertools.count()
    return lambda: "2001-01-01T{:02}:{:02}:{:02}.000000Z".format(*_hms(next(ticks)))


def _hms(seconds: int) -> tuple[int, int, int]:
    return seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
