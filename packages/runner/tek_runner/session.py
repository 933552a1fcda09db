"""One run from plan to closed ledger: the wiring of planner's plan, kernel, executor and this machine."""

from __future__ import annotations

import os
import platform
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import attrs

from tek_abi import (
    CODEC,
    Codec,
    Entry,
    ExecutionPlan,
    Instant,
    Limit,
    Permit,
    PlanEntry,
    Policy,
    Recovered,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunSummary,
    Task,
    TaskResult,
    TaskStatus,
    Value,
)
from tek_agents.registry import AgentRegistry
from tek_effects_proc import Sandbox
from tek_executor import Host, Options, Scheduler, Watcher
from tek_executor.resume import Doubtful
from tek_kernel import (
    Approval,
    Authority,
    Broker,
    Decider,
    DiskBlobs,
    GroupCommit,
    Ledger,
    LedgerFile,
    ReplayHash,
    Scopes,
    SigningKey,
    StorageFailed,
    Verifier,
    plan_digest,
    policy_digest,
    utc_now,
)
from tek_runner.config import Config
from tek_runner.effects import make_registry
from tek_runner.progress import OUTPUT_LINES, Progress
from tek_runner.projection import Projection
from tek_runner.proving import KEY_ON_RECORD, write_checkpoint
from tek_runner.recorded import BUDGET, DIRECTORY, NO_CONFIG
from tek_runner.resuming import Left
from tek_runner.run_directory import BLOBS, LEDGER, RUNS

OFF = "off"
"""The level on record where commands run with all rights of whoever started the run, because --sandbox=off was said."""

NO_COMMANDS = "none"
"""The level on record where no task is carried out by an agent that could start a command."""


@attrs.frozen
class Session:
    """What is to be run, and how. ``approvals`` are what a person said before it began."""

    plan: ExecutionPlan
    policy: Policy
    config: Config
    workspace: Path
    directory: Path
    options: Options = Options()
    dry_run: bool = False
    sandbox: Sandbox | None = None
    signer: SigningKey | None = None
    source: Path | None = None
    durable: bool = True
    approvals: tuple[Approval, ...] = ()
    budget: Limit = Limit()
    """The part of the policy's ceiling for the run that came from the command line."""
    host: Host = attrs.field(factory=lambda: Host(AgentRegistry()), eq=False, repr=False)

    @property
    def level(self) -> str:
        """The confinement on record: a level's name, or ``off``; ``none`` where no command can be started."""
        if self.sandbox is not None:
            return self.sandbox.level
        choose = agent_of(self.policy, self.dry_run)
        return OFF if needs_sandbox(self.plan, choose, self.options.selected) else NO_COMMANDS


@attrs.frozen
class Finished:
    """A run that has ended. Tasks without a status were never ended, because the run was interrupted."""

    statuses: dict[str, TaskStatus]
    summary: RunSummary
    interrupted: bool
    replay_hash: str
    ledger_head: str
    projection: Projection
    paused: str = ""
    """Why the run is paused and not closed: interrupted, or in doubt."""
    in_doubt: Mapping[str, tuple[Doubtful, ...]] = attrs.field(factory=dict)
    """By task, the requests because of which it is in doubt."""


def agent_of(policy: Policy, dry_run: bool = False) -> Callable[[Task], str]:
    """Return who carries out a task: the agent that it names, its layer's, else shell where it has commands."""
    by_layer = dict(policy.agents)

    def choose(task: Task) -> str:
        if dry_run:
            return "noop"
        return task.agent or by_layer.get(task.layer) or ("shell" if task.steps else "noop")

    return choose


def agents_of(plan: ExecutionPlan, choose: Callable[[Task], str], selected: frozenset[str]) -> dict[str, list[str]]:
    """Return the agents that are to run, each with the ids of its tasks."""
    found: dict[str, list[str]] = {}
    for _, task in plan.tasks():
        if not selected or task.id in selected:
            found.setdefault(choose(task), []).append(task.id)
    return found


def needs_sandbox(plan: ExecutionPlan, choose: Callable[[Task], str], selected: frozenset[str]) -> bool:
    """Whether some task that is to run is carried out by an agent that may start commands."""
    return any(agent != "noop" for agent in agents_of(plan, choose, selected))


def execute(
    session: Session,
    progress: Progress,
    left: Left | None = None,
) -> Finished:
    """Run a plan to its end, or what is ``left`` of it, before ``progress``.

    Raises ``StorageFailed``, ``PlanCycle`` or an agent's error.
    """
    choose = agent_of(session.policy, session.dry_run)
    host = session.host
    names = sorted(agents_of(session.plan, choose, session.options.selected))
    agents = tuple((agent.name, agent.distribution, agent.version) for agent in map(host.load, names))
    scheduler: Scheduler | None = None

    def synced() -> None:
        if scheduler is not None:
            scheduler.synced()

    follow = progress.entry if progress.follows else None
    run = _begin(session, agents, synced, follow) if left is None else _resume(session, left, synced, follow)
    ledger = run.ledger
    try:
        broker = Broker(run.decider, ledger, run.codec, run.blobs, os.environ.get)

        def ended(result: TaskResult, _at: Instant) -> None:
            progress.ended(result, lambda: run.projection.output(result.task, OUTPUT_LINES))

        watcher = Watcher(progress.started, ended)
        scheduler = Scheduler(
            session.plan, run.scopes, broker, ledger, host, run.replay_hash, choose, session.options, watcher
        )
        with _interruptible(scheduler.interrupt):
            if left is not None:
                scheduler.adopt(left.resumption)
            end = scheduler.run()
        statuses = {**end.statuses, **dict.fromkeys(end.in_doubt, _IN_DOUBT)}
        summary = _summary(session, statuses)
        counted = RunSummary.count(end.statuses.values())
        reason = "interrupted" if end.interrupted else "in doubt" if end.in_doubt else ""
        closing: Entry = (
            RunPaused(reason, counted) if reason else RunClosed(counted.status, counted, run.replay_hash.hex())
        )
        ledger.append_last(closing)
    finally:
        ledger.close()
        run.file.close()
    closed_at: Instant = ledger.now()
    try:
        run.projection.finish(not reason and counted.status == "ok", run.opened_at, closed_at)
    except OSError as error:
        raise StorageFailed(error) from None
    if session.signer is not None and not reason:
        write_checkpoint(session.directory, run.id, ledger.head, session.signer)
    replay_hash = run.replay_hash.hex()
    return Finished(statuses, summary, end.interrupted, replay_hash, ledger.head, run.projection, reason, end.in_doubt)


_IN_DOUBT: TaskStatus = "in_doubt"


@attrs.frozen
class _Run:
    """What a run needs beside its session, whether it begins or goes on."""

    id: str
    file: LedgerFile
    ledger: Ledger
    blobs: DiskBlobs
    codec: Codec
    scopes: Scopes
    decider: Decider
    replay_hash: ReplayHash
    projection: Projection
    opened_at: Instant


_Follow = Callable[[Entry, Instant], None]


def _watching(projection: Projection, follow: _Follow | None) -> _Follow:
    """Return what each entry of the ledger goes to."""
    if follow is None:
        return projection.take

    def take(entry: Entry, at: Instant) -> None:
        projection.take(entry, at)
        follow(entry, at)

    return take


def _begin(
    session: Session,
    agents: tuple[tuple[str, str, str], ...],
    synced: Callable[[], None],
    follow: _Follow | None,
) -> _Run:
    blobs = DiskBlobs(session.directory / BLOBS, session.durable)
    codec = Codec(blobs)
    try:
        file = LedgerFile(session.directory / LEDGER, durable=session.durable)
    except OSError as error:
        raise StorageFailed(error) from None
    projection = Projection(session.plan, session.directory, codec, blobs)
    ledger = Ledger(GroupCommit(file, synced), utc_now, codec, watch=_watching(projection, follow))
    run_id = str(uuid.uuid4())
    digests = plan_digest(session.plan), policy_digest(session.policy)
    opened_at = ledger.now()
    for entry in _opening(session, run_id, digests, codec, agents):
        ledger.append(entry)
    approved: list[Permit] = []
    for approval in session.approvals:
        ledger.append(approval.decision())
        approved += approval.permits()
    granted = attrs.evolve(session.policy, permits=(*session.policy.permits, *approved))
    authority = Authority(granted, protected_paths(session), Verifier(session.config.trusted_keys))
    registry = make_registry(session.workspace, dict(os.environ), session.sandbox, session.config.trust)
    return _Run(
        run_id,
        file,
        ledger,
        blobs,
        codec,
        Scopes(session.plan, session.policy, authority),
        Decider(registry, codec, run_id),
        ReplayHash(*digests, [task.id for _, task in session.plan.tasks()]),
        projection,
        opened_at,
    )


def _resume(session: Session, left: Left, synced: Callable[[], None], follow: _Follow | None) -> _Run:
    """Cut what is torn, and go on from the last line that holds."""
    cut = left.cut()
    codec = left.resumption.codec
    projection = Projection(session.plan, session.directory, codec, left.blobs)
    for entry, at in left.entries:
        projection.take(entry, at)
    sink = GroupCommit(left.file, synced, len(left.entries) - 1)
    watch = _watching(projection, follow)
    ledger = Ledger(sink, utc_now, codec, len(left.entries), left.head, left.at, watch)
    if cut is not None:
        ledger.append(Recovered(*cut))
    ledger.append(RunResumed(_versions(), session.level, ledger.head))
    left.resumption.redrive.resume()
    scopes, decider = left.resumption.redrive.prepared()
    opened = left.checker.opened
    return _Run(
        opened.run if opened is not None else "",
        left.file,
        ledger,
        left.blobs,
        codec,
        scopes,
        decider,
        left.checker.replay_hash,
        projection,
        left.entries[0][1],
    )


def _versions() -> tuple[tuple[str, str], ...]:
    return (("tek", version("tek")), ("python", platform.python_version()))


def _opening(
    session: Session, run_id: str, digests: tuple[str, str], codec: Codec, agents: tuple[tuple[str, str, str], ...]
) -> Iterator[Entry]:
    obs: dict[str, Value] = {"workspace": str(session.workspace), "workers": session.options.workers}
    obs[DIRECTORY] = str(session.directory)
    if not session.durable:
        obs["durability"] = "process"
    found = session.config.directory is not None
    for name, path in (("source", session.source), ("config" if found else NO_CONFIG, session.config.place)):
        if path is not None:
            obs[name] = str(path.resolve())
    ceiling: dict[str, Value] = {name: bound for name, bound in session.budget.items() if bound is not None}
    if ceiling:
        obs[BUDGET] = ceiling
    if session.signer is not None:
        obs[KEY_ON_RECORD] = str(session.signer.verifier)
    yield RunOpened(run_id, _versions(), *digests, session.config.digest, session.level, obs)
    plan = attrs.evolve(session.plan, source="", generated_at="")
    yield PlanEntry(
        codec.seal(CODEC.encode(plan))[0],
        codec.seal(CODEC.encode(session.policy))[0],
        agents,
        protected_paths(session),
        tuple(sorted(session.options.selected)),
        session.dry_run,
        tuple(key.hex() for key in session.config.trusted_keys),
    )


def protected_paths(session: Session) -> tuple[str, ...]:
    """Return the write exclusions of this run alone: its run directory and its configuration, where they stand in
    the workspace, and every run that ``last`` could mean.
    """
    inside = []
    for path in (session.directory, session.config.directory):
        if path is not None and (real := path.resolve()).is_relative_to(session.workspace):
            inside.append("/".join(("$WORKSPACE", *real.relative_to(session.workspace).parts, "**")))
    return (*inside, f"$WORKSPACE/{RUNS}/**")


def _summary(session: Session, statuses: dict[str, TaskStatus]) -> RunSummary:
    """Count every selected task; one that never ended was cancelled."""
    selected = session.options.selected
    return RunSummary.count(
        statuses.get(task.id, "cancelled") for _, task in session.plan.tasks() if not selected or task.id in selected
    )


@contextmanager
def _interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into an orderly end, and the second into an immediate one."""
    seen = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(130)
        interrupt()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
