"""Judging a run by another policy: it says of each request what a run under that policy decides of the same request."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Assignment, Bound, Budget, Gather, Limit, Policy, TaskReport, parse_rule
from tek_kernel import Judgement, Registry, Rules, judge
from tests.kernel.ledger_world import (
    POLICY,
    Agent,
    Ended,
    Get,
    Put,
    Untouchable,
    World,
    plan_of,
    pure_registry,
    run,
)
from tests.size import examples

KEYS = st.sampled_from(["free/a", "free/b", "free/a/b", "locked"])
PUT = st.builds(Put, KEYS, st.text("x", max_size=20))
ONE = st.builds(Get, KEYS) | PUT | st.builds(Bound, PUT, st.builds(Budget, ms=st.just(1000), io=st.integers(20, 30)))
STEP = ONE | st.lists(ONE, min_size=1, max_size=3).map(lambda branches: Gather(tuple(branches)))
RULES = st.lists(
    st.sampled_from(["mem.put:free/*", "mem.put:free/a", "mem.get:free/**", "mem.*:locked", "mem.put:**"]), unique=True
)
LIMITS = st.builds(Limit, io=st.none() | st.integers(0, 80)).map(lambda limit: limit.inherit(Limit.unlimited()))
POLICIES = st.builds(
    lambda rules, task, ceiling: Policy(permits=tuple(map(parse_rule, rules)), task=task, run=ceiling),
    RULES,
    LIMITS,
    LIMITS,
)


def patient(steps: list[Any]) -> Agent:
    """Return an agent that asks for each step, whatever becomes of the others."""

    async def agent(assignment: Assignment) -> TaskReport:
        for step in steps:
            try:
                await step
            except Ended:
                continue
        return TaskReport()

    return agent


def judged(world: World, policy: Policy) -> Judgement:
    return judge(world.file(), world.codec, pure_registry, Rules(policy, lambda task: task.agent or ""))


def denied_on_record(world: World) -> list[str]:
    found = []
    for entry in map(json.loads, world.lines):
        if entry["kind"] == "effect.intent" and not entry["allow"]:
            task, attempt, *path = entry["position"]
            found.append(f"{task}[{attempt}].{'.'.join(map(str, path))}")
    return found


def positions(judgement: Judgement) -> list[str]:
    return [str(verdict.position) for verdict in judgement.denied]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.lists(STEP, max_size=5), min_size=1, max_size=3), POLICIES, st.integers(1, 3))
def test_by_its_own_policy_a_run_is_denied_what_it_was_denied(
    scripts: list[list[Any]], policy: Policy, workers: int
) -> None:
    agents = {f"agent-{number}": patient(script) for number, script in enumerate(scripts)}
    world = run(plan_of(*agents), agents, policy, workers)

    judgement = judged(world, policy)

    assert positions(judgement) == denied_on_record(world)
    assert all(verdict.certain and verdict.denied_before for verdict in judgement.denied)
    assert all("not started on record" in doubt.why for doubt in judgement.doubts)
    assert judgement.verification.replay_hash == world.replay_hash
    assert Untouchable.touched == []


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(ONE, max_size=8), POLICIES)
def test_by_another_policy_it_is_denied_what_a_run_under_that_policy_is_denied(
    steps: list[Any], policy: Policy
) -> None:
    agents = {"agent": patient(steps)}
    generous = attrs.evolve(POLICY, permits=(parse_rule("mem.put:**"), parse_rule("mem.get:**")))

    judgement = judged(run(plan_of("agent"), agents, generous), policy)

    assert positions(judgement) == denied_on_record(run(plan_of("agent"), agents, policy))


def test_an_effect_that_is_not_installed_is_not_judged_and_what_it_used_is_charged() -> None:
    agents = {"agent": patient([Put("free/a", "x" * 30), Get("free/a"), Put("free/b", "x" * 30)])}
    world = run(plan_of("agent"), agents)
    policy = attrs.evolve(POLICY, task=Limit(io=50).inherit(Limit.unlimited()))
    without = Registry((pure_registry(None).get("mem.put", 1),))  # type: ignore[arg-type]  # it needs none

    judgement = judge(world.file(), world.codec, lambda checker: without, Rules(policy, lambda task: "agent"))

    assert [str(one.position) for one in judgement.verdicts if one.unjudged] == ["TASK-001[1].1"]
    assert positions(judgement) == ["TASK-001[1].2"]
    assert [str(doubt.since) for doubt in judgement.doubts] == ["TASK-001[1].1"]


def test_after_a_ceiling_refuses_nobody_knows_what_later_tasks_would_ask() -> None:
    agents = {"agent": patient([Put("free/a", "x" * 30)])}
    world = run(plan_of("agent", "agent", "agent"), agents, workers=1)
    policy = attrs.evolve(POLICY, run=Limit(io=50).inherit(Limit.unlimited()))

    judgement = judged(world, policy)

    assert [(str(one.position), one.certain) for one in judgement.denied] == [
        ("TASK-002[1].0", True),
        ("TASK-003[1].0", False),
    ]
    assert [doubt.task for doubt in judgement.doubts] == ["TASK-002", "TASK-003"]
    assert "a shared budget refuses TASK-002[1].0" in judgement.doubts[1].why
