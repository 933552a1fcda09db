"""Plans whose agents follow generated scripts: sequences, gathers, races with a forced winner, retries, denials."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st

from tek_abi import Assignment, ExecutionPlan, TaskReport
from tek_agents import gather, race
from tek_agents.errors import EffectDenied, EffectFailed
from tek_kernel import Context, EffectCancelled
from tests.executor.bench import WAIT, Act, Glance, Look, echo, plan, task

Script: TypeAlias = Any
"""``[kind, name]`` asks, ``["seq" | "gather", scripts]`` nests, ``["race", winner, scripts]`` races; plain JSON."""

_KINDS = {"look": Look, "act": Act, "glance": Glance}


class Shuffled:
    """An act whose effects end in an order drawn from a seed: each waits a little, or not at all.

    Those named ``hold`` end by being cancelled alone, so a branch that comes to one loses its race.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # an order of events, no secret
        self._lock = threading.Lock()

    def __call__(self, name: str, context: Context) -> str:
        if name == "hold":
            stopped = threading.Event()
            context.cancel.on_cancel(stopped.set)
            assert stopped.wait(WAIT), "a loser was never cancelled"
            raise EffectCancelled()
        with self._lock:
            pause = self._random.choice((0.0, 0.0, 0.0005, 0.001))
        if pause:
            threading.Event().wait(pause)
        return echo(name, context)


async def _play(script: Script) -> None:
    kind, what = script[0], script[1]
    if kind == "gather":
        await gather(*(_play(inner) for inner in what))
    elif kind == "race":
        await race(*(_play(inner) for inner in script[2]))
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


def body(scripts: dict[str, Script]) -> Callable[[Assignment], Any]:
    """Return the agent that plays each task's script."""

    async def run(assignment: Assignment) -> TaskReport:
        try:
            await _play(scripts[assignment.id])
        except EffectFailed as failure:
            return TaskReport("failed", type(failure).__name__)
        return TaskReport()

    return run


def _asks(*names: str) -> st.SearchStrategy[Script]:
    return st.tuples(st.sampled_from(sorted(_KINDS)), st.sampled_from(names)).map(list)


@st.composite
def _races(draw: st.DrawFn, inner: st.SearchStrategy[Script]) -> Script:
    """Draw a race: its losers take some steps that succeed, and then hold."""
    holds = st.sampled_from([["look", "hold"], ["act", "hold"]])
    losers = st.builds(lambda steps, hold: ["seq", [*steps, hold]], st.lists(_asks("a", "b"), max_size=2), holds)
    branches = draw(st.lists(losers, min_size=1, max_size=2))
    winner = draw(st.integers(0, len(branches)))
    branches.insert(winner, draw(inner))
    return ["race", winner, branches]


def _nested(inner: st.SearchStrategy[Script]) -> st.SearchStrategy[Script]:
    several = st.tuples(st.sampled_from(["seq", "gather"]), st.lists(inner, min_size=1, max_size=3)).map(list)
    return several | _races(inner)


scripts = st.recursive(_asks("a", "b", "fail", "forbidden", "doubt"), _nested, max_leaves=5)


@st.composite
def plans(draw: st.DrawFn) -> tuple[ExecutionPlan, dict[str, Script]]:
    """Draw a plan with needs and retries, and a script for each of its tasks."""
    size = draw(st.integers(1, 5))
    tasks = []
    for number in range(1, size + 1):
        needs = draw(st.sets(st.integers(1, number - 1), max_size=2)) if number > 1 else set()
        names = [task(need).id for need in sorted(needs)]
        tasks.append(task(number, *names, retries=draw(st.integers(0, 1)), idempotent=draw(st.booleans())))
    return plan(*tasks), {made.id: draw(scripts) for made in tasks}
