"""Each attempt is judged again: how it ended, by itself or by its timeout, and where the next one goes on.

The ledgers here are changed and chained again, so that only driving the agents again can tell.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from tek_abi import Assignment, ExecutionPlan, Queue, Task, TaskReport
from tek_kernel import LedgerInvalid, ReplayMismatch, redrive, verify
from tests.kernel.ledger_world import Agent, Get, Host, Put, Wait, World, pure_registry, run
from tests.kernel.test_verify_lies import Bodies, chained, first, parsed

_TASK = "TASK-001"


async def third_time(assignment: Assignment) -> TaskReport:
    """Fail twice, a step further each time."""
    await Put(f"free/{assignment.progress}", "x")
    if assignment.attempt < 3:
        return TaskReport("failed", f"attempt {assignment.attempt}", progress=assignment.progress + 1)
    return TaskReport("ok", "at last")


async def hangs(assignment: Assignment) -> TaskReport:
    """Wait for what never comes."""
    await Put("free/a", "x")
    await Wait()
    return TaskReport()


async def hangs_once(assignment: Assignment) -> TaskReport:
    """Wait for what never comes, but in the first attempt only."""
    await Put("free/a", "x")
    if assignment.attempt == 1:
        await Wait()
    return TaskReport()


def world_of(agent: Agent, **fields: Any) -> World:
    task = Task(_TASK, "agent", "foundation", agent="agent", **fields)
    return run(ExecutionPlan((Queue("Queue A — Small", (task,)),)), {"agent": agent})


RETRIED = world_of(third_time, retries=2)
TIMED_OUT = world_of(hangs, retries=1, timeout=30)
TIMED_OUT_ONCE = world_of(hangs_once, retries=1, timeout=30)


def redriven(world: World, data: bytes | None = None, agent: Agent | None = None) -> str:
    file = io.BytesIO(world.data if data is None else data)
    agents = world.agents if agent is None else {"agent": agent}
    return redrive(file, world.codec, Host(agents), pure_registry).replay_hash


@pytest.mark.parametrize("world", [RETRIED, TIMED_OUT, TIMED_OUT_ONCE])
def test_what_was_not_changed_replays(world: World) -> None:
    assert redriven(world, chained(parsed(world))) == world.replay_hash


Lie = Callable[[Bodies], int]


def other_reason(lines: Bodies) -> int:
    at = first(lines, "decision", '"retry"')
    lines[at]["value"]["because"] = "something else"
    return at


def no_reason(lines: Bodies) -> int:
    at = first(lines, "decision", '"retry"')
    lines[at]["value"] = None
    return at


def other_progress(lines: Bodies) -> int:
    at = first(lines, "task.started", '"progress"')
    lines[at]["progress"] += 5
    return at


def no_progress(lines: Bodies) -> int:
    at = first(lines, "task.started", '"progress"')
    del lines[at]["progress"]
    return at


def other_end(lines: Bodies) -> int:
    at = first(lines, "task.ended")
    lines[at]["report"] = {"status": lines[at]["report"].get("status", "ok"), "message": "all is well"}
    return at


def a_timeout_of_another_attempt(lines: Bodies) -> int:
    at = first(lines, "decision", '"timeout"')
    lines[at]["position"][1] += 1
    return at


def a_timeout_that_was_an_interrupt(lines: Bodies) -> int:
    at = first(lines, "decision", '"timeout"')
    lines[at]["subject"] = "interrupt"
    outcome = first(lines, "effect.outcome", '"timeout"')
    lines[outcome]["outcome"]["by"] = "interrupt"
    return first(lines, "decision", '"retry"')


@pytest.mark.parametrize(
    ("world", "lie"),
    [
        (RETRIED, other_reason),
        (RETRIED, no_reason),
        (RETRIED, other_progress),
        (RETRIED, no_progress),
        (RETRIED, other_end),
        (TIMED_OUT, other_reason),
        (TIMED_OUT, no_reason),
        (TIMED_OUT, other_end),
        (TIMED_OUT, a_timeout_of_another_attempt),
        (TIMED_OUT, a_timeout_that_was_an_interrupt),
        (TIMED_OUT_ONCE, other_reason),
        (TIMED_OUT_ONCE, other_end),
    ],
)
def test_an_attempt_that_ended_otherwise_than_is_said_is_found_at_its_line(world: World, lie: Lie) -> None:
    lines = parsed(world)
    number = lie(lines) + 1
    with pytest.raises(LedgerInvalid) as caught:
        redriven(world, chained(lines))
    assert caught.value.line == number


async def _ends_at_once(assignment: Assignment) -> TaskReport:
    return TaskReport()


async def _ends_after_the_put(assignment: Assignment) -> TaskReport:
    await Put("free/a", "x")
    return TaskReport()


async def _asks_before_it_waits(assignment: Assignment) -> TaskReport:
    await Get("free/a")
    await Wait()
    return TaskReport()


async def _ends_otherwise_after_its_timeout(assignment: Assignment) -> TaskReport:
    report = await hangs_once(assignment)
    return TaskReport("ok", "otherwise") if assignment.attempt == 2 else report


@pytest.mark.parametrize(
    ("world", "agent"),
    [
        (TIMED_OUT, _ends_at_once),
        (TIMED_OUT, _asks_before_it_waits),
        (TIMED_OUT, _ends_after_the_put),
        (TIMED_OUT_ONCE, _ends_otherwise_after_its_timeout),
    ],
)
def test_another_agent_does_not_pass_for_one_that_timed_out(world: World, agent: Agent) -> None:
    with pytest.raises(ReplayMismatch) as caught:
        redriven(world, agent=agent)
    assert caught.value.task == _TASK
    assert caught.value.position.startswith(_TASK)
    assert caught.value.expected != caught.value.actual


async def _ended_before_its_timeout(assignment: Assignment) -> TaskReport:
    return TaskReport("ok", "done in time")


def test_an_agent_that_had_ended_cannot_have_timed_out() -> None:
    async def waits(assignment: Assignment) -> TaskReport:
        await Wait()
        return TaskReport()

    world = world_of(waits, timeout=30)
    lines = parsed(world)
    # Nothing but the timeout is left: no request contradicts an agent that asks for nothing.
    kept = [line for line in lines if line["kind"] not in ("effect.intent", "effect.outcome")]
    at = first(kept, "decision", '"timeout"')
    with pytest.raises(ReplayMismatch) as caught:
        redrive(io.BytesIO(chained(kept)), world.codec, Host({"agent": _ended_before_its_timeout}), pure_registry)
    assert caught.value.line == at + 1
    assert "ended" in caught.value.problem


def test_verification_alone_cannot_tell_why_an_attempt_ended() -> None:
    lines = parsed(RETRIED)
    other_reason(lines)
    assert verify(io.BytesIO(chained(lines)), RETRIED.codec).replay_hash == RETRIED.replay_hash
