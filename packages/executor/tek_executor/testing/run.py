"""One simulated run: the real broker, scheduler and ledger over effects in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import attrs

from tek_abi import (
    CODEC,
    DIMENSIONS,
    Budget,
    Decision,
    Drive,
    ExecutionPlan,
    PlanEntry,
    Policy,
    Queue,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunSummary,
    Task,
    TaskReport,
    TaskStatus,
    TekError,
)
from tek_agents import Agent
from tek_agents.registry import AgentRegistry, LoadedAgent
from tek_executor.host import Host
from tek_executor.resume import Answer, Resumption
from tek_executor.scheduler import Options, RunEnd, Scheduler, Watcher
from tek_executor.testing.ambient import Ambient, watched
from tek_executor.testing.faults import Weather, ticking
from tek_executor.testing.files import Files
from tek_executor.testing.ledger import Kept, MemoryLedger
from tek_kernel import (
    Account,
    Authority,
    Broker,
    Checker,
    Decider,
    DirectSink,
    Effect,
    GroupCommit,
    Ledger,
    Redrive,
    Registry,
    ReplayHash,
    Scope,
    Scopes,
    Sink,
    StorageFailed,
    Verification,
    core_effects,
    plan_digest,
    policy_digest,
    redrive,
)

RUN = "simulated"
NOBODY = "agent"
"""The agent of tasks that name none."""


@attrs.frozen
class Setting:
    """All that is the same in every run of one simulation. ``effects`` makes the effects over a fresh tree."""

    plan: ExecutionPlan
    agents: Mapping[str, Agent]
    policy: Policy
    files: Mapping[str, bytes | str]
    environ: Mapping[str, str]
    effects: Callable[[Files], tuple[Effect[Any], ...]]
    kept: Kept = attrs.field(factory=Kept)

    def host(self) -> Host:
        """Return the host of the setting's agents."""
        return Host(_Given(self.agents))

    def registry(self, files: Files, weather: Weather) -> Registry:
        """Return the effects over one tree, in their weather."""
        own = core_effects(weather.clock, weather.random, self.environ)
        return Registry([*own, *(weather.over(effect) for effect in self.effects(files))])


@attrs.define
class Ran:
    """What one run left behind. ``end`` is missing where it crashed; ``imbalances`` are accounts that do not add up."""

    setting: Setting
    policy: Policy
    weather: Weather
    tree: Files
    ledger: MemoryLedger
    end: RunEnd | None = None
    replay_hash: str = ""
    ambient: list[Ambient] = attrs.field(factory=list)
    imbalances: list[str] = attrs.field(factory=list)
    broke: list[str] = attrs.field(factory=list)
    """What agents raised that was no answer of an effect."""

    @property
    def statuses(self) -> dict[str, TaskStatus]:
        """How each task ended."""
        return {} if self.end is None else self.end.statuses

    @property
    def status(self) -> TaskStatus:
        """How the only task ended. Raises ``ValueError`` where there are several."""
        (status,) = self.statuses.values()
        return status

    @property
    def message(self) -> str:
        """What the only task reported."""
        (task,) = self.statuses
        report = self.ledger.ended(task).report
        return report.message if report else ""

    @property
    def files(self) -> dict[str, bytes]:
        """Every file at the end, by its path."""
        return self.tree.shown()

    def redrive(self, ledger: MemoryLedger | None = None) -> Verification:
        """Drive the agents again over this run's ledger, or a part of it. Raises as ``tek_kernel.redrive``."""
        data = io.BytesIO(bytes((ledger or self.ledger).data))
        return redrive(data, self.ledger.codec, self.setting.host(), self.pure_effects)

    def effects(self) -> Registry:
        """Return the effects over this run's files, in its weather."""
        return self.setting.registry(self.tree, self.weather)

    def pure_effects(self, checker: Checker | None = None) -> Registry:
        """Return the effects for a replay, over no files, in the same weather: it would note any deed."""
        return self.setting.registry(Files(), self.weather)


def carry_out(setting: Setting, weather: Weather, way: Way, lines: int | None = None) -> Ran:
    """Run the plan once. ``lines`` crash the run once so many stand in its ledger."""
    policy = weather.faults.policy(setting.policy)
    ran = Ran(setting, policy, weather, Files(setting.files), MemoryLedger(kept=setting.kept, lines_left=lines))
    codec, plan = ran.ledger.codec, setting.plan
    scopes = _Books(plan, policy, Authority(policy))
    ledger = Ledger(
        way.sink(ran.ledger), ticking(), codec, watch=lambda entry, at: ran.imbalances.extend(scopes.imbalances())
    )
    digests = plan_digest(plan), policy_digest(policy)
    try:
        ledger.append(RunOpened(RUN, (), *digests, "0" * 64, "none"))
        ledger.append(PlanEntry(codec.seal(CODEC.encode(plan))[0], codec.seal(CODEC.encode(policy))[0]))
        decider = Decider(ran.effects(), codec, RUN)
        replay_hash = ReplayHash(*digests, [task.id for _, task in plan.tasks()])
        way.schedule(ran, ledger, scopes, decider, replay_hash)
    except StorageFailed:
        if lines is None:
            raise
    return ran


def go_on(crashed: Ran, answers: Mapping[str, Answer]) -> Ran:
    """Resume a run where it was cut off, in the world as it was left. ``answers`` say by position what became of
    what is in doubt.

    Raises ``ReplayMismatch`` where its agents do not come to where they stood.
    """
    setting, codec = crashed.setting, crashed.ledger.codec
    ran = Ran(setting, crashed.policy, crashed.weather, crashed.tree, crashed.ledger.cut(len(crashed.ledger.lines)))
    checker, way = Checker(codec), Way()
    driven = Redrive(checker, codec, setting.host(), lambda checker: ran.effects())
    for line in ran.ledger.lines:
        checker.take(line)
        driven.take(line)
    last = ran.ledger.lines[-1]
    ledger = Ledger(way.sink(ran.ledger), ticking(), codec, last.number, last.hash, last.at)
    ledger.append(RunResumed((), "none", last.hash))
    driven.resume()
    halts = (str(decision.value) for decision in ran.ledger.of(Decision) if decision.subject == "ceiling")
    left = Resumption(driven, checker, codec, answers, next(halts, ""))
    way.schedule(ran, ledger, *driven.prepared(), checker.replay_hash, left)
    return ran


@attrs.define
class Way:
    """How a run is scheduled and written. ``grouped`` commits on a thread of its own; ``watching`` looks for what
    agents do without asking, which takes longer than the run itself.
    """

    workers: int = 1
    grouped: bool = False
    watching: bool = False
    _scheduler: Scheduler | None = attrs.field(default=None, init=False)

    def sink(self, ledger: MemoryLedger) -> Sink:
        """Return what brings lines to the ledger: at once, or by a thread."""
        return GroupCommit(ledger, self._synced) if self.grouped else DirectSink(ledger)

    def _synced(self) -> None:
        if self._scheduler is not None:
            self._scheduler.synced()

    def schedule(
        self,
        ran: Ran,
        ledger: Ledger,
        scopes: Scopes,
        decider: Decider,
        replay_hash: ReplayHash,
        left: Resumption | None = None,
    ) -> None:
        """Run the plan to its end, or from where it was ``left``, and record how it ended."""
        setting = ran.setting
        broker = Broker(decider, ledger, ran.ledger.codec, setting.kept.blobs, setting.environ.get)
        options = Options(workers=self.workers, backoff=1)
        self._scheduler = scheduler = Scheduler(
            setting.plan, scopes, broker, ledger, _Noting(setting.agents, ran.broke), replay_hash, agent_of, options,
            Watcher(),
        )  # fmt: skip
        with watched() if self.watching else nullcontext(ran.ambient) as ran.ambient:
            if left is not None:
                scheduler.adopt(left)
            end = scheduler.run()
        summary = RunSummary.count(end.statuses.values())
        ran.replay_hash = replay_hash.hex()
        ledger.append_last(
            RunPaused("in doubt", summary) if end.in_doubt else RunClosed(summary.status, summary, ran.replay_hash)
        )
        ledger.close()
        ran.end = end


def agent_of(task: Task) -> str:
    """Return who carries out a task."""
    return task.agent or NOBODY


class _Given(AgentRegistry):
    def __init__(self, agents: Mapping[str, Agent]) -> None:
        super().__init__(())
        self._agents = agents

    def load(self, name: str) -> LoadedAgent:
        if name not in self._agents:
            return super().load(name)
        return LoadedAgent(name, self._agents[name], "simulated", "0")


class _Noting(Host):
    """A host that notes what agents raise of their own."""

    def __init__(self, agents: Mapping[str, Agent], broke: list[str]) -> None:
        super().__init__(_Given(agents))
        self._broke = broke

    def conclude(self, drive: Drive) -> tuple[TaskStatus, TaskReport]:
        """Judge an attempt that has ended."""
        status, report = super().conclude(drive)
        if drive.error is not None and not isinstance(drive.error, TekError):
            self._broke.append(report.message)
        return status, report


class _Books(Scopes):
    """Scopes that keep every account they open, to see whether it adds up."""

    def __init__(self, plan: ExecutionPlan, policy: Policy, authority: Authority) -> None:
        super().__init__(plan, policy, authority)
        self._accounts: dict[Account, None] = {self.run: None}

    def task(self, queue: Queue, task: Task, agent: str) -> Scope:
        """Return a task's scope."""
        scope = super().task(queue, task, agent)
        self._accounts.update(dict.fromkeys(scope.account.chain()))
        return scope

    def imbalances(self) -> list[str]:
        """Return what does not add up at this moment (invariant 3)."""
        wrong = []
        for account in self._accounts:
            children = [child for child in self._accounts if child.parent is account]
            for dimension in DIMENSIONS:
                bound, available = account.bound(dimension), account.available(dimension)
                spent, reserved = account.spent[dimension], account.reserved[dimension]
                if min(spent, reserved, available or 0) < 0:
                    wrong.append(f"{dimension} of the {account.name} is negative")
                if bound is not None and bound != (available or 0) + reserved + spent:
                    wrong.append(f"{dimension} of the {account.name}: {bound} is not {available}+{reserved}+{spent}")
            for amount in ("spent", "reserved"):
                total = sum((getattr(child, amount) for child in children), Budget())
                if children and total != getattr(account, amount):
                    wrong.append(f"what the parts of the {account.name} have {amount} is not what it has")
        return wrong
