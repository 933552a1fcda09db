"""A Hypothesis strategy for every type of tek: tasks, plans, permits, budgets, requests, outcomes, ledger entries.

Names, paths, words and hosts come from small pools, so that patterns and resources meet often; texts without a
meaning of their own are arbitrary. ``answers_to`` and ``outcomes_to`` draw what one request may be answered with, as
``tek_agents.testing.script`` takes it. ``ENCODABLE`` has a strategy for each type that the codec carries.
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
from tek_agents.testing.strategies.answers import answers_to, contents, outcomes_to
from tek_agents.testing.strategies.authority import (
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
from tek_agents.testing.strategies.ledger import (
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
from tek_agents.testing.strategies.plans import allows, assignments, plans, policies, queues, steps, tasks
from tek_agents.testing.strategies.values import (
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
from tek_agents.testing.strategies.vocabulary import ANSWERS, REQUESTS, requests

__all__ = [
    "ANSWERS", "ENCODABLE", "ENTRIES", "FAMILY_ACTIONS", "MAX_INTEGER", "REQUESTS", "VARIABLES", "accesses",
    "action_patterns", "agents", "allows", "answers_to", "argvs", "assignments", "blobs", "bounds", "budgets",
    "cancelleds", "canonical_paths", "caveats", "contents", "decisions", "denials", "denieds", "diagnostics",
    "digests", "effect_outcomes", "entries", "envelopes", "exhausted", "faileds", "failures", "instants",
    "integers", "intents", "json_values", "keys", "layers", "limits", "mismatches", "naturals", "oks",
    "outcomes", "outcomes_to", "permits", "permits_near", "plan_entries", "plans", "policies", "positions",
    "queue_letters", "queues", "recovereds", "requests", "resource_patterns", "run_summaries", "runs_closed",
    "runs_opened", "runs_paused", "runs_resumed", "steps", "subject_patterns", "subjects", "task_ids",
    "task_reports", "task_results", "tasks", "tasks_ended", "tasks_started", "texts", "tuples_of",
    "url_patterns", "url_resources", "values",
]  # fmt: skip


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
