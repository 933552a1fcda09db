"""A Hypothesis strategy for every type of tek_abi. Import them: ``from tests.strategies import permits, accesses``.

Names, paths, words and hosts come from small pools, so that patterns and resources meet often; texts without a
meaning of their own are arbitrary. ``ENCODABLE`` has a strategy for each type that the codec carries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import (
    TASK_STATUSES,
    Access,
    Allow,
    Assignment,
    Blob,
    Budget,
    BudgetExhausted,
    Cancelled,
    Caveat,
    Decision,
    Denial,
    Denied,
    Diagnostic,
    EffectEnvelope,
    EffectIntent,
    EffectOutcome,
    Entry,
    ExecutionPlan,
    Failed,
    Failure,
    Limit,
    Mismatch,
    Ok,
    Outcome,
    Permit,
    PlanEntry,
    Policy,
    Position,
    Queue,
    Recovered,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunSummary,
    Step,
    Subject,
    Task,
    TaskEnded,
    TaskReport,
    TaskResult,
    TaskStarted,
)
from tek_abi.pattern import UrlPattern, UrlResource
from tek_abi.policy import PRESETS
from tests.strategies_authority import (
    FAMILY_ACTIONS,
    VARIABLES,
    accesses,
    action_patterns,
    argvs,
    canonical_paths,
    caveats,
    mismatches,
    permits,
    permits_near,
    resource_patterns,
    subject_patterns,
    subjects,
    url_patterns,
    url_resources,
)
from tests.strategies_values import (
    MAX_INTEGER,
    Some,
    agents,
    blobs,
    bounds,
    budgets,
    digests,
    exhausted,
    instants,
    integers,
    json_values,
    keys,
    layers,
    limits,
    naturals,
    positions,
    queue_letters,
    task_ids,
    texts,
    tuples_of,
    values,
)
from tests.strategies_vocabulary import ANSWERS, REQUESTS, requests

__all__ = [
    "ANSWERS", "ENCODABLE", "ENTRIES", "FAMILY_ACTIONS", "MAX_INTEGER", "REQUESTS", "VARIABLES", "accesses",
    "action_patterns", "agents", "allows", "argvs", "assignments", "blobs", "bounds", "budgets", "cancelleds",
    "canonical_paths", "caveats", "decisions", "denials", "denieds", "diagnostics", "digests",
    "effect_outcomes", "entries", "envelopes", "exhausted", "faileds", "failures", "instants",
    "integers", "intents", "json_values", "keys", "layers", "limits", "mismatches", "naturals", "oks",
    "outcomes", "permits", "permits_near", "plan_entries", "plans", "policies", "positions", "queue_letters",
    "queues", "recovereds", "requests", "resource_patterns", "run_summaries", "runs_closed", "runs_opened",
    "runs_paused", "runs_resumed", "steps", "subject_patterns", "subjects", "task_ids", "task_reports",
    "task_results", "tasks", "tasks_ended", "tasks_started", "texts", "tuples_of", "url_patterns",
    "url_resources", "values",
]  # fmt: skip


def denials() -> SearchStrategy[Denial]:
    """Reasons of refusals."""
    codes = ["permit", "budget", "ceiling", "unknown-effect", "bad-request", "unenforceable", "closed"]
    refusal = st.none() | exhausted()
    return st.builds(Denial, st.sampled_from(codes), texts(), texts(), texts(), refusal)


def failures() -> SearchStrategy[Failure]:
    """Reasons of failures."""
    codes = st.sampled_from(["not-found", "timeout", "io"])
    return st.builds(Failure, codes, texts(), st.none() | exhausted(), st.booleans())


def oks() -> SearchStrategy[Ok]:
    """Answers."""
    return st.builds(Ok, values())


def denieds() -> SearchStrategy[Denied]:
    """Refusals."""
    return st.builds(Denied, denials())


def faileds() -> SearchStrategy[Failed]:
    """Failures of effects that were granted."""
    return st.builds(Failed, failures())


def cancelleds() -> SearchStrategy[Cancelled]:
    """Effects that were stopped."""
    return st.builds(Cancelled, st.sampled_from(["", "race", "timeout", "interrupt"]))


def outcomes() -> SearchStrategy[Outcome]:
    """How a request may end."""
    return st.one_of(oks(), denieds(), faileds(), cancelleds())


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


def steps() -> SearchStrategy[Step]:
    """Commands of tasks."""
    return st.builds(
        Step,
        tuples_of(texts(), 3, 1),
        st.sampled_from(["block", "hook"]),
        st.none() | texts(),
        st.none() | naturals(),
    )


def allows() -> SearchStrategy[Allow]:
    """``Allow`` fields."""
    return st.builds(Allow, tuples_of(permits(), 2), st.none() | naturals())


def tasks(ids: SearchStrategy[str] | None = None) -> SearchStrategy[Task]:
    """Tasks with any mixture of fields."""
    return st.builds(
        Task,
        id=ids or task_ids(),
        title=texts(),
        layer=layers(),
        needs=tuples_of(task_ids() | queue_letters(), 2),
        agent=st.none() | agents(),
        allow=tuples_of(allows(), 1),
        budget=limits(),
        timeout=st.none() | st.integers(1, MAX_INTEGER),
        retries=naturals(),
        env=tuples_of(st.tuples(st.sampled_from(VARIABLES), texts()), 2),
        cwd=st.none() | texts(),
        inputs=tuples_of(texts(), 2),
        outputs=tuples_of(texts(), 2),
        idempotent=st.booleans(),
        steps=tuples_of(steps(), 2),
        line=st.none() | naturals(),
    )


def queues() -> SearchStrategy[Queue]:
    """Queues of a few tasks."""
    return st.builds(
        Queue,
        name=st.builds(lambda letter, text: f"Queue {letter} — {text}", queue_letters(), texts()),
        tasks=tuples_of(tasks(), 2),
        needs=tuples_of(queue_letters(), 2),
        allow=tuples_of(allows(), 1),
        budget=limits(),
        line=st.none() | naturals(),
    )


def plans() -> SearchStrategy[ExecutionPlan]:
    """Plans of a few queues. Ids may repeat: such a plan is data, though no planner makes it."""
    return st.builds(ExecutionPlan, tuples_of(queues(), 2), tuples_of(allows(), 1), limits(), texts(), instants())


def policies() -> SearchStrategy[Policy]:
    """Policies of every preset, with its own permits or others."""
    preset = st.builds(Policy, preset=st.sampled_from(PRESETS))
    return preset | st.builds(
        Policy,
        preset=st.sampled_from(PRESETS),
        permits=tuples_of(permits(), 2),
        task=limits(),
        task_max=limits(),
        run=limits(),
        queues=tuples_of(st.tuples(queue_letters(), limits()), 2),
        agents=tuples_of(st.tuples(layers(), agents()), 2),
    )


def assignments() -> SearchStrategy[Assignment]:
    """What agents get."""
    return st.builds(Assignment, tasks(), st.integers(1, 9), naturals())


def diagnostics() -> SearchStrategy[Diagnostic]:
    """Problems in any line of any text."""
    place = st.integers(1, 400)
    return st.builds(Diagnostic, texts(), place, place, texts(), texts(), texts(300))


def task_reports() -> SearchStrategy[TaskReport]:
    """Agents' own words on their tasks."""
    statuses = ["ok", "noop", "failed"]
    return st.builds(TaskReport, st.sampled_from(statuses), texts(), naturals())


def task_results() -> SearchStrategy[TaskResult]:
    """How tasks may end."""
    statuses = st.sampled_from(TASK_STATUSES)
    return st.builds(TaskResult, task_ids(), queue_letters(), agents(), statuses, texts(), texts(), naturals())


def run_summaries() -> SearchStrategy[RunSummary]:
    """Counts of tasks by status."""
    return st.builds(RunSummary, *[naturals(99) for _ in TASK_STATUSES])


def _versions() -> Some[tuple[str, str]]:
    return tuples_of(st.tuples(texts(), texts()), 2)


def runs_opened() -> SearchStrategy[RunOpened]:
    """First lines of runs."""
    return st.builds(RunOpened, texts(), _versions(), digests(), digests(), digests(), texts(), values())


def plan_entries() -> SearchStrategy[PlanEntry]:
    """Plans as they stand in ledgers; plan and policy are any values here."""
    agents_ = tuples_of(st.tuples(agents(), texts(), texts()), 2)
    return st.builds(PlanEntry, values(), values(), agents_, tuples_of(texts()), tuples_of(task_ids()), st.booleans())


def tasks_started() -> SearchStrategy[TaskStarted]:
    """Attempts that begin."""
    return st.builds(TaskStarted, task_ids(), agents(), naturals(9), naturals())


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


def effect_outcomes() -> SearchStrategy[EffectOutcome]:
    """Requests' ends as they stand in ledgers."""
    return st.builds(EffectOutcome, positions(), outcomes(), budgets(), st.none() | digests(), obs=values())


def decisions() -> SearchStrategy[Decision]:
    """Recorded inputs that depend on timing or a person."""
    subjects_ = st.sampled_from(["race", "timeout", "cancel", "skip", "interrupt", "ceiling", "retry"])
    return st.builds(Decision, positions(), subjects_, values())


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


def recovereds() -> SearchStrategy[Recovered]:
    """Cuts of torn tails."""
    return st.builds(Recovered, naturals(), digests())


def runs_paused() -> SearchStrategy[RunPaused]:
    """Runs that can go on."""
    return st.builds(RunPaused, texts(), run_summaries())


def runs_resumed() -> SearchStrategy[RunResumed]:
    """Runs that go on."""
    return st.builds(RunResumed, _versions(), texts(), digests())


def runs_closed() -> SearchStrategy[RunClosed]:
    """Last lines of runs."""
    return st.builds(RunClosed, texts(), run_summaries(), digests())


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

ENCODABLE: Final[dict[type[Any], Callable[[], SearchStrategy[Any]]]] = {
    **ENTRIES,
    **REQUESTS,
    **ANSWERS,
    Access: accesses,
    Allow: allows,
    Assignment: assignments,
    Blob: blobs,
    Budget: budgets,
    BudgetExhausted: exhausted,
    Cancelled: cancelleds,
    Caveat: caveats,
    Denial: denials,
    Denied: denieds,
    Diagnostic: diagnostics,
    EffectEnvelope: envelopes,
    ExecutionPlan: plans,
    Failed: faileds,
    Failure: failures,
    Limit: limits,
    Mismatch: mismatches,
    Ok: oks,
    Permit: permits,
    Policy: policies,
    Position: positions,
    Queue: queues,
    RunSummary: run_summaries,
    Step: steps,
    Subject: subjects,
    Task: tasks,
    TaskReport: task_reports,
    TaskResult: task_results,
    UrlPattern: url_patterns,
    UrlResource: url_resources,
}
"""A strategy for each type that the codec carries."""
