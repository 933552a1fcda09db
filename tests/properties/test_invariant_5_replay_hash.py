"""Invariant 5: the replay hash is the same for every number of workers, order of completion, and clock."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tek_abi import Assignment, ExecutionPlan, TaskReport
from tek_agents import gather
from tek_agents.errors import EffectDenied, EffectFailed
from tek_executor import Options
from tek_kernel import Context, utc_now
from tests.executor.bench import Act, Bench, Glance, Look, Ran, echo, plan, task, ticking

_Script: TypeAlias = tuple[Any, ...]
_KINDS = {"look": Look, "act": Act, "glance": Glance}

_asks = st.tuples(st.sampled_from(sorted(_KINDS)), st.sampled_from(["a", "b", "fail", "forbidden", "doubt"]))
_scripts = st.recursive(
    _asks,
    lambda inner: st.tuples(st.sampled_from(["seq", "gather"]), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=5,
)


class Shuffled:
    """An act whose effects end in an order drawn from a seed: each waits a little, or not at all."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # an order of events, no secret
        self._lock = threading.Lock()

    def __call__(self, name: str, context: Context) -> str:
        with self._lock:
            pause = self._random.choice((0.0, 0.0, 0.0005, 0.001))
        if pause:
            threading.Event().wait(pause)
        return echo(name, context)


async def _play(script: _Script) -> None:
    kind, what = script
    if kind == "gather":
        await gather(*(_play(inner) for inner in what))
    elif kind == "seq":
        for inner in what:
            await _play(inner)
    elif what == "forbidden":
        try:
            await _KINDS[kind](what)
        except EffectDenied:
            await Look("instead")
    else:
        await _KINDS[kind](what)


def _body(scripts: dict[str, _Script]) -> Callable[[Assignment], Any]:
    async def run(assignment: Assignment) -> TaskReport:
        try:
            await _play(scripts[assignment.id])
        except EffectFailed as failure:
            return TaskReport("failed", type(failure).__name__)
        return TaskReport()

    return run


@st.composite
def _plans(draw: st.DrawFn) -> tuple[ExecutionPlan, dict[str, _Script]]:
    size = draw(st.integers(1, 5))
    tasks = []
    for number in range(1, size + 1):
        needs = draw(st.sets(st.integers(1, number - 1), max_size=2)) if number > 1 else set()
        names = [task(need).id for need in sorted(needs)]
        tasks.append(task(number, *names, retries=draw(st.integers(0, 1)), idempotent=draw(st.booleans())))
    return plan(*tasks), {made.id: draw(_scripts) for made in tasks}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_plans(), st.integers(0, 2**32))
def test_workers_completion_order_and_clock_leave_no_trace(
    made: tuple[ExecutionPlan, dict[str, _Script]], seed: int
) -> None:
    todo, scripts = made
    hashes, ends = set(), []
    for workers, clock in ((1, utc_now), (2, ticking()), (8, utc_now)):
        options = Options(workers=workers, backoff=1)
        bench = Bench(todo, _body(scripts), act=Shuffled(seed + workers), options=options, clock=clock)
        ran = bench.run(f"run-{workers}")
        hashes.add(ran.replay_hash)
        ends.append(ran.end.statuses)
    assert ends[0] == ends[1] == ends[2]
    assert len(hashes) == 1


def test_a_thousand_schedules_of_one_plan_give_one_hash() -> None:
    several = ("gather", [("look", "a"), ("act", "b"), ("look", "forbidden"), ("glance", "a")])
    todo = plan(task(1), task(2), task(3, "TASK-001"))
    scripts: dict[str, _Script] = {
        "TASK-001": several,
        "TASK-002": ("seq", [several, ("act", "b")]),
        "TASK-003": several,
    }
    hashes, orders = set(), set()
    for seed in range(1000):
        options = Options(workers=1 + seed % 8)
        ran = Bench(todo, _body(scripts), act=Shuffled(seed), options=options, group=seed % 2 > 0).run()
        hashes.add(ran.replay_hash)
        orders.add(_order(ran))
    assert len(hashes) == 1
    assert len(orders) > 20, "hardly a schedule differed from another, so nothing was tested"


def _order(ran: Ran) -> tuple[str, ...]:
    """Return the positions of a run's outcomes in the order in which they came."""
    lines = map(orjson.loads, ran.ledger.splitlines())
    return tuple(str(line["position"]) for line in lines if line["kind"] == "effect.outcome")
