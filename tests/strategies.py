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
    Access,
    Allow,
    Assignment,
    Blob,
    Budget,
    BudgetExhausted,
    Cancelled,
    Caveat,
    Denial,
    Denied,
    Diagnostic,
    EffectEnvelope,
    ExecutionPlan,
    Failed,
    Failure,
    Limit,
    Mismatch,
    Ok,
    Permit,
    Policy,
    Position,
    Queue,
    RunSummary,
    Step,
    Subject,
    Task,
    TaskReport,
    TaskResult,
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
from tests.strategies_ledger import (
    ENTRIES,
    cancelleds,
    decisions,
    denials,
    denieds,
    effect_outcomes,
    entries,
    envelopes,
    faileds,
    failures,
    intents,
    oks,
    outcomes,
    plan_entries,
    recovereds,
    run_summaries,
    runs_closed,
    runs_opened,
    runs_paused,
    runs_resumed,
    task_reports,
    task_results,
    tasks_ended,
    tasks_started,
)
from tests.strategies_values import (
    MAX_INTEGER,
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
    once,
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


@once
def steps() -> SearchStrategy[Step]:
    """Commands of tasks."""
    return st.builds(
        Step,
        tuples_of(texts(), 3, 1),
        st.sampled_from(["block", "hook"]),
        st.none() | texts(),
        st.none() | naturals(),
    )


@once
def allows() -> SearchStrategy[Allow]:
    """``Allow`` fields."""
    return st.builds(Allow, tuples_of(permits(), 2), st.none() | naturals())


@once
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


@once
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


@once
def plans() -> SearchStrategy[ExecutionPlan]:
    """Plans of a few queues. Ids may repeat: such a plan is data, though no planner makes it."""
    return st.builds(ExecutionPlan, tuples_of(queues(), 2), tuples_of(allows(), 1), limits(), texts(), instants())


@once
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


@once
def assignments() -> SearchStrategy[Assignment]:
    """What agents get."""
    return st.builds(Assignment, tasks(), st.integers(1, 9), naturals())


@once
def diagnostics() -> SearchStrategy[Diagnostic]:
    """Problems in any line of any text."""
    place = st.integers(1, 400)
    return st.builds(Diagnostic, texts(), place, place, texts(), texts(), texts(300))


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
