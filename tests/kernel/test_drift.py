"""Drift: two runs of one plan differ in something that is named, or have the same replay hash."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Assignment, Gather, Race, TaskReport
from tek_kernel import Checker, Drift, Trace, drifts, read_lines
from tests.kernel.ledger_world import LARGE, Agent, Ended, Get, Put, Wait, World, plan_of, run
from tests.size import examples

KEYS = st.sampled_from(["free/a", "free/b", "locked"])
ONE = st.builds(Get, KEYS) | st.builds(Put, KEYS, st.sampled_from(["", "one", "two", LARGE]))
STEP = (
    ONE
    | st.lists(ONE, min_size=1, max_size=2).map(lambda branches: Gather(tuple(branches)))
    | st.tuples(ONE, st.booleans()).map(lambda two: Race((two[0], Wait()) if two[1] else (Wait(), two[0])))
)
SCRIPT = st.lists(STEP, max_size=3)


def patient(*steps: Any) -> Agent:
    """Return an agent that asks for each step, whatever becomes of the others."""

    async def agent(assignment: Assignment) -> TaskReport:
        for step in steps:
            try:
                await step
            except Ended:
                continue
        return TaskReport()

    return agent


def trace(world: World) -> Trace:
    checker, found = Checker(world.codec), Trace()
    for line in read_lines(world.file(), world.codec):
        checker.take(line)
        found.take(line)
    return found


def between(one: World, other: World) -> list[Drift]:
    tasks = [f"TASK-{number:03}" for number in range(1, len(one.agents) + 1)]
    return list(drifts(tasks, trace(one), trace(other), one.codec, other.codec))


def ran(*steps: Any) -> World:
    agents = {"agent": patient(*steps)}
    return run(plan_of("agent"), agents, workers=4)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(SCRIPT, SCRIPT, st.booleans()), min_size=1, max_size=2))
def test_there_is_no_drift_exactly_if_the_replay_hash_is_the_same(scripts: list[tuple[Any, Any, bool]]) -> None:
    names = [f"agent-{number}" for number in range(len(scripts))]
    before = {name: patient(*script) for name, (script, _, _) in zip(names, scripts, strict=True)}
    after = {
        name: patient(*(script if is_same else other))
        for name, (script, other, is_same) in zip(names, scripts, strict=True)
    }
    one, other = (run(plan_of(*names), agents, workers=6) for agents in (before, after))

    assert (between(one, other) == []) == (one.replay_hash == other.replay_hash)


def fields(found: list[Drift]) -> list[tuple[str, str, str | None, str | None]]:
    return [(str(one.position or one.task), one.field, one.recorded, one.live) for one in found]


def test_each_field_that_differs_is_named_with_both_sides() -> None:
    found = between(ran(Put("free/a", "one"), Get("free/a")), ran(Put("free/a", "other"), Get("free/a")))

    assert fields(found) == [
        ("TASK-001[1].0", "args.text", '"one"', '"other"'),
        ("TASK-001[1].0", "value", "3", "5"),
        ("TASK-001[1].1", "value", '"one"', '"other"'),
    ]


def test_a_long_value_is_named_by_its_digest() -> None:
    [args, _] = between(ran(Put("free/a", "one")), ran(Put("free/a", LARGE)))

    assert (args.field, args.recorded) == ("args.text", '"one"')
    assert args.live is not None
    assert args.live.startswith("sha256:")
    assert args.live.endswith(f"({len(LARGE) + 2} bytes of JSON)")


def test_a_request_that_only_one_side_made_has_nothing_on_the_other() -> None:
    one, other = ran(Put("free/a"), Get("free/a")), ran(Put("free/a"))

    assert fields(between(one, other)) == [("TASK-001[1].1", "request", "mem.get version 1", None)]
    assert fields(between(other, one)) == [("TASK-001[1].1", "request", None, "mem.get version 1")]
    assert fields(between(ran(Put("free/a")), ran(Get("free/a")))) == [
        ("TASK-001[1].0", "request", "mem.put version 1", "mem.get version 1")
    ]


def test_a_denial_and_a_failure_are_told_with_their_codes() -> None:
    assert fields(between(ran(Get("free/x")), ran(Get("locked")))) == [
        ("TASK-001[1].0", "args.key", '"free/x"', '"locked"'),
        ("TASK-001[1].0", "outcome", "failed (not-found)", "denied (permit)"),
    ]


def test_a_race_that_another_branch_won_is_one_difference_in_its_winner() -> None:
    one, other = ran(Race((Put("free/a"), Wait()))), ran(Race((Wait(), Put("free/a"))))

    assert ("TASK-001[1].0", "winner", "0", "1") in fields(between(one, other))
