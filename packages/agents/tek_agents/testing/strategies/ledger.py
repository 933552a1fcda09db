"""Strategies for outcomes, envelopes, reports and every kind of ledger entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import (
    TASK_STATUSES,
    Cancelled,
    Decision,
    Denial,
    Denied,
    EffectEnvelope,
    EffectIntent,
    EffectOutcome,
    Entry,
    Failed,
    Failure,
    Ok,
    Outcome,
    PlanEntry,
    Recovered,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunSummary,
    TaskEnded,
    TaskReport,
    TaskResult,
    TaskStarted,
)
from tek_agents.testing.strategies.values import (
    Some,
    agents,
    budgets,
    digests,
    exhausted,
    naturals,
    once,
    positions,
    queue_letters,
    task_ids,
    texts,
    tuples_of,
    values,
)


@once
def denials() -> SearchStrategy[Denial]:
    """Reasons of refusals."""
    codes = ["permit", "budget", "ceiling", "unknown-effect", "bad-request", "unenforceable", "closed"]
    refusal = st.none() | exhausted()
    return st.builds(Denial, st.sampled_from(codes), texts(), texts(), texts(), refusal)


@once
def failures() -> SearchStrategy[Failure]:
    """Reasons of failures."""
    codes = st.sampled_from(["not-found", "timeout", "io"])
    return st.builds(Failure, codes, texts(), st.none() | exhausted(), st.booleans())


@once
def oks() -> SearchStrategy[Ok]:
    """Answers."""
    return st.builds(Ok, values())


@once
def denieds() -> SearchStrategy[Denied]:
    """Refusals."""
    return st.builds(Denied, denials())


@once
def faileds() -> SearchStrategy[Failed]:
    """Failures of effects that were granted."""
    return st.builds(Failed, failures())


@once
def cancelleds() -> SearchStrategy[Cancelled]:
    """Effects that were stopped."""
    return st.builds(Cancelled, st.sampled_from(["", "race", "timeout", "interrupt"]))


@once
def outcomes() -> SearchStrategy[Outcome]:
    """How a request may end."""
    return st.one_of(oks(), denieds(), faileds(), cancelleds())


@once
def envelopes() -> SearchStrategy[EffectEnvelope]:
    """Requests as the kernel sees them."""
    return st.builds(
        EffectEnvelope,
        effect=st.sampled_from(["fs.read", "proc.exec"]),
        v=st.integers(1, 3),
        args=values(),
        args_digest=digests(),
        idempotence_key=digests(),
        invariants=tuples_of(st.sampled_from(["exit_code==0", "size<=10"]), 2),
        budget=st.none() | budgets(),
        permit=st.none() | digests(),
    )


@once
def task_reports() -> SearchStrategy[TaskReport]:
    """Agents' own words on their tasks."""
    statuses = ["ok", "noop", "failed"]
    return st.builds(TaskReport, st.sampled_from(statuses), texts(), naturals())


@once
def task_results() -> SearchStrategy[TaskResult]:
    """How tasks may end."""
    statuses = st.sampled_from(TASK_STATUSES)
    return st.builds(TaskResult, task_ids(), queue_letters(), agents(), statuses, texts(), texts(), naturals())


@once
def run_summaries() -> SearchStrategy[RunSummary]:
    """Counts of tasks by status."""
    return st.builds(RunSummary, *[naturals(99) for _ in TASK_STATUSES])


@once
def _versions() -> Some[tuple[str, str]]:
    return tuples_of(st.tuples(texts(), texts()), 2)


@once
def runs_opened() -> SearchStrategy[RunOpened]:
    """First lines of runs."""
    return st.builds(RunOpened, texts(), _versions(), digests(), digests(), digests(), texts(), values())


@once
def plan_entries() -> SearchStrategy[PlanEntry]:
    """Plans as they stand in ledgers; plan and policy are any values here."""
    agents_ = tuples_of(st.tuples(agents(), texts(), texts()), 2)
    return st.builds(PlanEntry, values(), values(), agents_, tuples_of(texts()), tuples_of(task_ids()), st.booleans())


@once
def tasks_started() -> SearchStrategy[TaskStarted]:
    """Attempts that begin."""
    return st.builds(TaskStarted, task_ids(), agents(), naturals(9), naturals())


@once
def intents() -> SearchStrategy[EffectIntent]:
    """Requests with their decisions."""
    return st.builds(
        EffectIntent,
        positions(),
        envelopes(),
        st.booleans(),
        texts(),
        budgets(),
        st.none() | denials(),
        baseline=values(),
    )


@once
def effect_outcomes() -> SearchStrategy[EffectOutcome]:
    """Requests' ends as they stand in ledgers."""
    return st.builds(EffectOutcome, positions(), outcomes(), budgets(), st.none() | digests(), obs=values())


@once
def decisions() -> SearchStrategy[Decision]:
    """Recorded inputs that depend on timing or a person."""
    subjects_ = st.sampled_from(["race", "timeout", "cancel", "skip", "interrupt", "ceiling", "retry"])
    return st.builds(Decision, positions(), subjects_, values())


@once
def tasks_ended() -> SearchStrategy[TaskEnded]:
    """Tasks' last words."""
    return st.builds(
        TaskEnded,
        task_ids(),
        st.sampled_from(TASK_STATUSES),
        naturals(),
        st.none() | task_reports(),
        texts(),
        obs=values(),
    )


@once
def recovereds() -> SearchStrategy[Recovered]:
    """Cuts of torn tails."""
    return st.builds(Recovered, naturals(), digests())


@once
def runs_paused() -> SearchStrategy[RunPaused]:
    """Runs that can go on."""
    return st.builds(RunPaused, texts(), run_summaries())


@once
def runs_resumed() -> SearchStrategy[RunResumed]:
    """Runs that go on."""
    return st.builds(RunResumed, _versions(), texts(), digests())


@once
def runs_closed() -> SearchStrategy[RunClosed]:
    """Last lines of runs."""
    return st.builds(RunClosed, texts(), run_summaries(), digests())


@once
def entries() -> SearchStrategy[Entry]:
    """Ledger entries of every kind."""
    return st.one_of([make() for make in ENTRIES.values()])


ENTRIES: Final[dict[type[Any], Callable[[], SearchStrategy[Any]]]] = {
    RunOpened: runs_opened,
    PlanEntry: plan_entries,
    TaskStarted: tasks_started,
    EffectIntent: intents,
    EffectOutcome: effect_outcomes,
    Decision: decisions,
    TaskEnded: tasks_ended,
    Recovered: recovereds,
    RunPaused: runs_paused,
    RunResumed: runs_resumed,
    RunClosed: runs_closed,
}
"""A strategy for each kind of ledger entry."""
