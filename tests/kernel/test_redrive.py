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


def test_a_mismatch_tells_every_field_that_differs_what_explains_the_others_first() -> None:
    world = run(plan_of("two"), {"two": two})

    async def both_differ(assignment: Assignment) -> TaskReport:
        await Put("free/b", "b")
        return TaskReport()

    with pytest.raises(ReplayMismatch) as caught:
        redrive(world.file(), world.codec, Host({"two": both_differ}), pure_registry)
    fields = [one.field for one in caught.value.differences]
    assert fields[:2] == ["envelope.args.key", "envelope.args.text"]
    assert "envelope.args_digest" in fields
    for one in caught.value.differences:
        assert f"{one.expected}, actual {one.actual}" in str(caught.value)


def test_a_mismatch_at_a_tasks_end_tells_status_and_message_apart() -> None:
    world = run(plan_of("two"), {"two": two})
    with pytest.raises(ReplayMismatch) as caught:
        redrive(world.file(), world.codec, Host({"two": says_other}), pure_registry)
    assert [(one.field, one.actual) for one in caught.value.differences] == [("report.message", "'other'")]


async def far_longer(assignment: Assignment) -> TaskReport:
    await two(assignment)
    return TaskReport("ok", "o" * 4000)


def test_what_a_mismatch_shows_of_a_long_value_is_short() -> None:
    world = run(plan_of("two"), {"two": two})
    with pytest.raises(ReplayMismatch) as caught:
        redrive(world.file(), world.codec, Host({"two": far_longer}), pure_registry)
    assert len(str(caught.value)) < 1000
    assert "(4002 characters)" in str(caught.value)
