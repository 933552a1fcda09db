"""Strategies for plans and what they hold, policies, and what agents get."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import Allow, Assignment, ExecutionPlan, Policy, Queue, Step, Task
from tek_abi.policy import PRESETS
from tek_agents.testing.strategies.authority import VARIABLES, permits
from tek_agents.testing.strategies.values import (
    MAX_INTEGER,
    agents,
    instants,
    layers,
    limits,
    naturals,
    once,
    queue_letters,
    task_ids,
    texts,
    tuples_of,
)


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
