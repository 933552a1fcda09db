"""Approvals: what a person grants to one task before anything starts, on record, and decided again in a replay."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import (
    Allow,
    Decision,
    EffectIntent,
    ExecutionPlan,
    Permit,
    Policy,
    Position,
    Queue,
    Task,
    parse_rule,
)
from tek_abi.task import Step
from tek_kernel import Approval, Authority, LedgerInvalid, ReplayMismatch, beyond, read_lines, redrive, verify
from tek_kernel.approval import ANSWERS
from tests.kernel.ledger_world import AGENTS, Host, World, plan_of, pure_registry, run
from tests.kernel.test_verify_lies import Bodies, chained, first, parsed

NOW = "2026-01-01T00:00:00.000000Z"
YES = Approval("TASK-001", "once", ("mem.put:locked",))


def approved(answer: Any = "once") -> World:
    return run(plan_of("denied", "denied"), approvals=[attrs.evolve(YES, answer=answer)])


def allowed(world: World) -> dict[str, bool]:
    entries = (line.entry for line in read_lines(world.file(), world.codec))
    return {entry.position.task: entry.allow for entry in entries if isinstance(entry, EffectIntent)}


def test_what_was_approved_is_allowed_to_its_task_alone() -> None:
    assert allowed(approved()) == {"TASK-001": True, "TASK-002": False}
    assert allowed(approved("no")) == {"TASK-001": False, "TASK-002": False}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_replay_decides_by_the_same_answers(answer: str) -> None:
    world = approved(answer)
    assert verify(world.file(), world.codec).replay_hash == world.replay_hash
    assert redrive(world.file(), world.codec, Host(AGENTS), pure_registry).replay_hash == world.replay_hash


def changed(change: Callable[[Bodies, int], object]) -> bytes:
    lines = parsed(approved())
    change(lines, first(lines, "decision", "approval"))
    return chained(lines)


def test_an_answer_that_was_changed_decides_otherwise() -> None:
    data = changed(lambda lines, at: lines[at]["value"].update(answer="no"))
    world = approved()
    with pytest.raises(ReplayMismatch) as caught:
        redrive(io.BytesIO(data), world.codec, Host(AGENTS), pure_registry)
    assert caught.value.task == "TASK-001"


@pytest.mark.parametrize(
    "change",
    [
        lambda lines, at: lines.insert(at + 3, lines.pop(at)),
        lambda lines, at: lines.insert(at, lines[at]),
        lambda lines, at: lines[at].update(position=["TASK-009", 0]),
        lambda lines, at: lines[at].update(position=["TASK-001", 1]),
        lambda lines, at: lines[at].update(position=["TASK-001", 0, 0]),
        lambda lines, at: lines[at].update(value="once"),
        lambda lines, at: lines[at]["value"].update(answer="yes"),
        lambda lines, at: lines[at]["value"].update(more=1),
        lambda lines, at: lines[at]["value"].update(rules=[]),
        lambda lines, at: lines[at]["value"].update(rules="mem.put:locked"),
        lambda lines, at: lines[at]["value"].update(rules=[7]),
        lambda lines, at: lines[at]["value"].update(rules=["f*:**"]),
        lambda lines, at: lines[at]["value"].update(rules=["mem.put"]),
    ],
)
def test_an_approval_that_no_run_writes_is_invalid(change: Callable[[Bodies, int], object]) -> None:
    with pytest.raises(LedgerInvalid):
        verify(io.BytesIO(changed(change)), approved().codec)


RULES = [
    "fs.read:src/**", "fs.read:/srv/**", "fs.write:out/**", "fs.write:src/a", "proc.exec:git", "proc.exec:make all",
    "net.http:GET https://example.org/**", "env.get:TOKEN", "mem.put:*",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(RULES)),
    st.lists(st.sampled_from(RULES)),
    st.lists(st.sampled_from(RULES)),
    st.sampled_from(["none", "read-only", "workspace-write"]),
)
def test_approving_all_that_is_beyond_leaves_nothing_beyond(
    granted: list[str], asked: list[str], of_queue: list[str], preset: str
) -> None:
    permits = tuple(map(parse_rule, granted))
    policy = Policy(preset, permits) if preset == "none" else Policy(preset, (*Policy(preset).permits, *permits))
    task = Task(
        "TASK-001", "t", "foundation", allow=_allow(asked), env=(("A", "secret:TOKEN"),), steps=(Step(("sh",)),)
    )
    queue = Queue("Queue A — One", (task,), allow=_allow(of_queue))

    rules = beyond(Authority(policy), ExecutionPlan((queue,)), queue, task, "shell", NOW)
    answer = Approval("TASK-001", "once", tuple(rules) or ("note:x",))
    after = attrs.evolve(policy, permits=(*policy.permits, *answer.permits()))

    assert beyond(Authority(after), ExecutionPlan((queue,)), queue, task, "shell", NOW) == []
    assert not set(rules) & set(granted), "what the policy grants word by word is not asked for"


def _allow(rules: list[str]) -> tuple[Allow, ...]:
    return (Allow(tuple(map(parse_rule, rules))),) if rules else ()


def test_what_no_grant_includes_is_not_asked_for() -> None:
    task = Task("TASK-001", "t", "foundation", allow=_allow(["fs.write:.git/hooks/**", "fs.write:.git/config"]))
    queue = Queue("Queue A — One", (task,))
    assert beyond(Authority(Policy()), ExecutionPlan((queue,)), queue, task, "shell", NOW) == []


def test_a_permit_that_has_expired_or_is_anothers_grants_nothing() -> None:
    task = Task("TASK-001", "t", "foundation", allow=_allow(["fs.read:/srv/**"]))
    queue = Queue("Queue A — One", (task,))
    rule = parse_rule("fs.read:/srv/**")
    for permit in (attrs.evolve(rule, expires_at=NOW), attrs.evolve(rule, subject=("TASK-002",))):
        policy = Policy("none", (permit,))
        assert beyond(Authority(policy), ExecutionPlan((queue,)), queue, task, "shell", NOW) == ["fs.read:/srv/**"]


@given(st.sampled_from(ANSWERS), st.lists(st.sampled_from(RULES), min_size=1))
def test_an_approval_is_read_as_it_was_written(answer: Any, rules: list[str]) -> None:
    approval = Approval("TASK-001", answer, tuple(rules))
    assert Approval.of(approval.decision()) == approval


def test_a_decision_on_something_else_is_no_approval() -> None:
    with pytest.raises(ValueError, match="approval"):
        Approval.of(Decision(Position("TASK-001", 0, ()), "approval", None))


def test_a_grant_is_for_its_task() -> None:
    (permit,) = YES.permits()
    assert permit == Permit(("mem.put",), ("locked",), ("TASK-001",), rule="approved for TASK-001")
