"""Re-driving: the same agents pass; others are told where they differ; no effect is ever touched."""

from __future__ import annotations

import pytest

from tek_abi import Assignment, TaskReport
from tek_kernel import ReplayMismatch, redrive
from tests.kernel.ledger_world import AGENTS, Agent, Get, Host, Put, Untouchable, plan_of, pure_registry, run, small


async def two(assignment: Assignment) -> TaskReport:
    await Put("free/a", "a")
    await Get("free/a")
    return TaskReport()


async def other(assignment: Assignment) -> TaskReport:
    await Put("free/b", "a")
    await Get("free/a")
    return TaskReport()


async def swapped(assignment: Assignment) -> TaskReport:
    await Get("free/a")
    await Put("free/a", "a")
    return TaskReport()


async def less(assignment: Assignment) -> TaskReport:
    await Put("free/a", "a")
    return TaskReport()


async def more(assignment: Assignment) -> TaskReport:
    await two(assignment)
    await Get("free/a")
    return TaskReport()


async def says_other(assignment: Assignment) -> TaskReport:
    await two(assignment)
    return TaskReport("ok", "other")


def test_the_same_agents_pass_and_touch_nothing() -> None:
    world = small()
    verification = redrive(world.file(), world.codec, Host(AGENTS), pure_registry)
    assert verification.replay_hash == world.replay_hash
    assert Untouchable.touched == []


@pytest.mark.parametrize("agent", [other, swapped, less, more, says_other])
def test_an_agent_that_behaves_otherwise_is_a_mismatch(agent: Agent) -> None:
    world = run(plan_of("two"), {"two": two})
    with pytest.raises(ReplayMismatch) as caught:
        redrive(world.file(), world.codec, Host({"two": agent}), pure_registry)
    assert caught.value.task == "TASK-001"
    assert Untouchable.touched == []


def test_a_mismatch_names_position_field_expected_and_actual() -> None:
    world = run(plan_of("two"), {"two": two})
    with pytest.raises(ReplayMismatch) as caught:
        redrive(world.file(), world.codec, Host({"two": other}), pure_registry)
    assert "envelope.args.key" in caught.value.problem
    assert (caught.value.expected, caught.value.actual) == ("'free/a'", "'free/b'")
