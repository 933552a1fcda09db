"""Invariant 6: whatever agents ask, re-driving their run applies nothing and comes to the same replay hash."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Assignment, Gather, Race, TaskReport
from tek_kernel import redrive
from tests.kernel.ledger_world import Agent, Ended, Get, Host, Put, Untouchable, Wait, plan_of, pure_registry, run
from tests.size import examples

KEYS = st.sampled_from(["free/a", "free/b", "locked"])
ONE = st.builds(Get, KEYS) | st.builds(Put, KEYS, st.text(max_size=5))
STEP = (
    ONE
    | st.lists(ONE, max_size=3).map(lambda branches: Gather(tuple(branches)))
    | ONE.map(lambda certain: Race((certain, Wait())))
)
SCRIPT = st.lists(st.tuples(STEP, st.booleans()), max_size=5)


def scripted(steps: list[tuple[Any, bool]]) -> Agent:
    """Return an agent that asks for each step, and ends at the first failure that it does not tolerate."""

    async def agent(assignment: Assignment) -> TaskReport:
        for step, tolerant in steps:
            try:
                await step
            except Ended:
                if not tolerant:
                    raise
        return TaskReport()

    return agent


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(SCRIPT, min_size=1, max_size=3), st.integers(4, 6))
def test_a_redriven_run_applies_nothing(scripts: list[list[tuple[Any, bool]]], workers: int) -> None:
    # A race's waiting loser holds a worker until the race is won: there are more workers than tasks.
    agents = {f"agent-{number}": scripted(script) for number, script in enumerate(scripts)}
    world = run(plan_of(*agents), agents, workers=workers)

    verification = redrive(world.file(), world.codec, Host(agents), pure_registry)

    assert verification.replay_hash == world.replay_hash
    assert Untouchable.touched == []
