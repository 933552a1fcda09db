"""Invariant 5, turned round: whoever changes what was decided, and chains the ledger again, gets no replay of it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tek_abi import CODEC, UNLIMITED, Assignment, ExecutionPlan, Limit, Permit, Policy, TaskReport
from tek_agents import gather, race
from tek_executor import Options
from tek_kernel import LedgerInvalid, ReplayMismatch, policy_digest
from tests.executor.bench import FREE, RUN_CODEC, Act, Bench, Draw, Look, plan, task
from tests.executor.scripted_plans import Script, Shuffled, body, plans
from tests.kernel.test_verify_lies import Bodies, chained
from tests.size import examples

_GENERATED = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
_Made = tuple[ExecutionPlan, dict[str, Script]]


def _ran(made: _Made, policy: Policy = FREE) -> tuple[Bench, Bodies]:
    todo, scripts = made
    bench = Bench(todo, body(scripts), act=Shuffled(0), policy=policy)
    lines: Bodies = [json.loads(line) for line in bench.run().ledger.splitlines()]
    bench.redrive(chained(lines))
    return bench, lines


def _refusal(bench: Bench, lines: Bodies) -> LedgerInvalid:
    with pytest.raises(LedgerInvalid) as caught:
        bench.redrive(chained(lines))
    return caught.value


def _where(lines: Bodies, kind: str, **fields: Any) -> list[int]:
    return [i for i, line in enumerate(lines) if line["kind"] == kind and fields.items() <= line.items()]


def _with_policy(lines: Bodies, policy: Policy) -> Bodies:
    """Return the lines as if ``policy`` had been in force from the start."""
    opened = {**lines[0], "policy_digest": policy_digest(policy)}
    return [opened, {**lines[1], "policy": RUN_CODEC.seal(CODEC.encode(policy))[0]}, *lines[2:]]


@_GENERATED
@given(plans(), st.data())
def test_another_winner_of_a_race_is_refused_where_it_was_decided(made: _Made, data: st.DataObject) -> None:
    bench, lines = _ran(made)
    races = _where(lines, "decision", subject="race")
    assume(races)
    at = data.draw(st.sampled_from(races))
    winner = data.draw(st.integers(-1, 4).filter(lambda other: other != lines[at]["value"]))
    lines[at] = {**lines[at], "value": winner}
    error = _refusal(bench, lines)
    assert isinstance(error, ReplayMismatch)
    assert (error.line, error.problem) == (at + 1, "another branch wins the race")
    assert error.expected == str(winner)


@_GENERATED
@given(plans(), st.data())
def test_a_denial_that_a_wider_policy_would_not_give_is_refused_at_its_line(made: _Made, data: st.DataObject) -> None:
    bench, lines = _ran(made)
    wider = attrs.evolve(FREE, permits=(*FREE.permits, Permit(("test.*",), ("forbidden*",), rule="more")))
    denied = _where(lines, "effect.intent", allow=False)
    error = _refusal(bench, _with_policy(lines, wider))
    # Where nothing was denied, the policy still stands in the replay hash of the last line.
    assert error.line == (denied[0] + 1 if denied else len(lines))


@_GENERATED
@given(plans(), st.sampled_from(["a", "b", "fail", "instead"]))
def test_a_request_that_a_narrower_policy_would_not_allow_is_refused_at_its_line(made: _Made, name: str) -> None:
    # One permit a name, so that a request of another name is decided alike, but that a denial names what is granted.
    names = ("a", "b", "fail", "doubt", "hold", "instead")
    each = {name: Permit(("test.*",), (name,), rule=name) for name in names}
    policy = attrs.evolve(FREE, permits=tuple(each.values()))
    bench, lines = _ran(made, policy)
    narrower = attrs.evolve(policy, permits=tuple(permit for key, permit in each.items() if key != name))
    intents = _where(lines, "effect.intent")
    other = [i for i in intents if not lines[i]["allow"] or lines[i]["envelope"]["args"]["name"] == name]
    error = _refusal(bench, _with_policy(lines, narrower))
    assert error.line == (other[0] + 1 if other else len(lines))


async def _spends(assignment: Assignment) -> TaskReport:
    await gather(Draw("a", 5), Draw("b", 7), Act("c", 20, used=10))
    await race(Draw("d", 3), Draw("e", 3))
    await Draw("f", 1)
    await Look("free")
    return TaskReport()


_SPENDING = Bench(plan(task(1), task(2)), _spends, options=Options(workers=1))
_SPENDING.policy = attrs.evolve(FREE, task=Limit(UNLIMITED, UNLIMITED, 200), run=Limit(UNLIMITED, UNLIMITED, 300))
_SPENT: Bodies = [json.loads(line) for line in _SPENDING.run().ledger.splitlines()]
_RESERVED = [i for i in _where(_SPENT, "effect.intent") if _SPENT[i].get("reservation")]


@given(at=st.sampled_from(_RESERVED), dimension=st.sampled_from(["ms", "tokens", "io"]), by=st.integers(-20, 20))
def test_another_reservation_is_refused_at_its_line(at: int, dimension: str, by: int) -> None:
    lines = list(_SPENT)
    reservation = dict(lines[at]["reservation"])
    amount = reservation.get(dimension, 0) + by
    assume(by and amount >= 0)
    lines[at] = {**lines[at], "reservation": {**reservation, dimension: amount}}
    error = _refusal(_SPENDING, lines)
    assert error.line == at + 1
    if amount:  # an amount of nothing is not written
        assert error.problem == f"the request or its decision differs in reservation.{dimension}"


def _draws_after(at: int) -> list[int]:
    """Return the task's later requests that reserve all they may have, in which shows what was spent before."""
    task = _SPENT[at]["position"][0]
    return [i for i in _RESERVED if i > at and _SPENT[i]["position"][0] == task and "io" not in _args(_SPENT[i])]


def _args(intent: dict[str, Any]) -> dict[str, Any]:
    return dict(intent["envelope"]["args"])


_USED = [
    i for i in _where(_SPENT, "effect.outcome") if _SPENT[i].get("usage", {}).get("io", 0) >= 2 and _draws_after(i)
]


@given(st.sampled_from(_USED), st.data())
def test_another_usage_is_refused_where_it_first_decides_something(at: int, data: st.DataObject) -> None:
    lines = list(_SPENT)
    usage = dict(lines[at]["usage"])
    # Two draws of one moment halve what is left: a difference of one may be lost in the rounding.
    usage["io"] -= data.draw(st.integers(2, usage["io"]))
    lines[at] = {**lines[at], "usage": usage}
    assert _refusal(_SPENDING, lines).line == _draws_after(at)[0] + 1


@pytest.mark.parametrize("limit", ["task", "run"])
@given(io=st.integers(1, 1000))
def test_another_limit_is_refused_at_the_first_reservation_that_it_bounds(limit: str, io: int) -> None:
    policy = _SPENDING.policy
    bound = policy.task.io if limit == "task" else policy.run.io
    assume(io != bound)
    changed = Limit(UNLIMITED, UNLIMITED, io)
    other = attrs.evolve(policy, task=changed) if limit == "task" else attrs.evolve(policy, run=changed)
    error = _refusal(_SPENDING, _with_policy(_SPENT, other))
    assert error.line in {i + 1 for i in _RESERVED} | {len(_SPENT)}
    # Three requests of one moment ask first, and a third of 198 is one of 200.
    if limit == "task" and io // 3 < 200 // 3:
        assert error.line == _RESERVED[0] + 1
