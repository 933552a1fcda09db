"""The scheduler over scripted effects. Every run here is verified and replayed by the bench."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tek_abi import Assignment, Limit, TaskReport
from tek_agents import gather, race
from tek_agents.errors import EffectDenied
from tek_executor import Options
from tek_kernel import Context, StorageFailed
from tests.executor.bench import WAIT, Act, Bench, Gates, Glance, Look, MemoryFile, Ran, echo, plan, task

_T1, _T2 = "TASK-001", "TASK-002"


async def acts(assignment: Assignment) -> TaskReport:
    await Act(assignment.id)
    return TaskReport()


async def fails(assignment: Assignment) -> TaskReport:
    await Act(f"fail {assignment.id}")
    return TaskReport()


async def doubts(assignment: Assignment) -> TaskReport:
    await Act("doubt")
    return TaskReport()


def beside(bench: Bench, script: Callable[[], None]) -> Ran:
    """Run while a script releases and interrupts from another thread."""
    problems: list[BaseException] = []

    def play() -> None:
        try:
            script()
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        return bench.run()
    finally:
        thread.join(WAIT)
        assert not problems, problems


def test_never_more_effects_at_once_than_workers() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def counted(name: str, context: Context) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1
        return name

    async def many(assignment: Assignment) -> TaskReport:
        await gather(*(Look(f"{assignment.id} {n}") for n in range(5)))
        return TaskReport()

    Bench(plan(*map(task, range(1, 9))), many, act=counted, options=Options(workers=3)).run()
    assert 1 < most <= 3


@pytest.mark.parametrize(("fail_fast", "last"), [(False, "ok"), (True, "skipped")])
def test_others_go_on_after_a_failure_unless_told_to_fail_fast(fail_fast: bool, last: str) -> None:
    options = Options(workers=1, fail_fast=fail_fast)
    ran = Bench(plan(task(1), task(2, _T1), task(3)), acts, {_T1: fails}, options=options).run()
    assert ran.end.statuses == {_T1: "failed", _T2: "skipped", "TASK-003": last}


def test_a_retry_goes_on_after_the_progress_of_the_attempt_before() -> None:
    async def stepping(assignment: Assignment) -> TaskReport:
        for step in range(assignment.progress, 3):
            await Act(f"step {step}")
            if assignment.attempt <= step:
                return TaskReport("failed", progress=step)
        return TaskReport()

    ran = Bench(plan(task(1, retries=3)), stepping).run()
    assert ran.end.statuses == {_T1: "ok"}
    assert ran.text.count('"subject":"retry"') == 2


@pytest.mark.parametrize(("idempotent", "status", "attempts"), [(False, "in_doubt", 1), (True, "failed", 3)])
def test_what_may_have_happened_is_tried_again_only_if_idempotent(idempotent: bool, status: str, attempts: int) -> None:
    ran = Bench(plan(task(1, retries=2, idempotent=idempotent)), doubts).run()
    assert ran.end.statuses == {_T1: status}
    assert ran.text.count('"kind":"task.started"') == attempts


def test_a_denial_ends_a_task_unless_its_agent_handles_it() -> None:
    async def asks(assignment: Assignment) -> TaskReport:
        await Look("forbidden")
        return TaskReport()

    async def handles(assignment: Assignment) -> TaskReport:
        with pytest.raises(EffectDenied):
            await Look("forbidden")
        return await acts(assignment)

    ran = Bench(plan(task(1, retries=3), task(2)), asks, {_T2: handles}).run()
    assert ran.end.statuses == {_T1: "denied", _T2: "ok"}


async def _raises(assignment: Assignment) -> TaskReport:
    raise RuntimeError("broken")


async def _garbage(assignment: Assignment) -> Any:
    return 7


async def _sleeps(assignment: Assignment) -> TaskReport:
    await asyncio.sleep(0)
    return TaskReport()


def _plain(assignment: Assignment) -> Any:
    return TaskReport()


@pytest.mark.parametrize("body", [_raises, _garbage, _sleeps, _plain])
def test_an_agent_that_breaks_the_rules_fails(body: Any) -> None:
    assert Bench(plan(task(1)), body).run().end.statuses == {_T1: "failed"}


def test_a_race_cancels_and_records_its_losers() -> None:
    gates = Gates()

    async def racing(assignment: Assignment) -> TaskReport:
        return TaskReport("ok", str(await race(Act("slow"), Act("quick"))))

    def script() -> None:
        gates.wait("slow")
        gates.release("quick")

    ran = beside(Bench(plan(task(1)), racing, act=gates), script)
    assert ran.end.statuses == {_T1: "ok"}
    assert '"by":"race"' in ran.text


async def _race_of_denials(assignment: Assignment) -> TaskReport:
    with pytest.raises(EffectDenied):
        await race(Look("forbidden 1"), Look("forbidden 2"))
    return TaskReport()


async def _race_of_inline(assignment: Assignment) -> TaskReport:
    assert (await race(Glance("won"), Act("lost")))[0] == 0
    return TaskReport()


async def _race_of_chains(assignment: Assignment) -> TaskReport:
    async def two() -> str:
        await Act("one")
        return await Act("two")

    await race(two(), Act("other"))
    return await acts(assignment)


@pytest.mark.parametrize("body", [_race_of_denials, _race_of_inline, _race_of_chains])
def test_races_replay_however_outcomes_and_intents_interleave(body: Any) -> None:
    for _ in range(15):
        assert Bench(plan(task(1)), body).run().end.statuses == {_T1: "ok"}


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2)])
def test_a_timeout_cancels_what_runs_and_counts_as_a_failed_attempt(retries: int, attempts: int) -> None:
    async def hangs(assignment: Assignment) -> TaskReport:
        await Act(f"hang {assignment.attempt}")
        return TaskReport()

    ran = Bench(plan(task(1, timeout=20, retries=retries)), hangs, act=Gates()).run()
    assert ran.end.statuses == {_T1: "failed"}
    assert ran.text.count('"subject":"timeout"') == attempts
    assert ran.text.count('"by":"timeout"') == attempts


def test_tight_task_ceilings_queue_requests_and_kill_none() -> None:
    async def many(assignment: Assignment) -> TaskReport:
        await gather(*(Act(f"{assignment.id} {n}", 10) for n in range(3)))
        return TaskReport()

    made = plan(task(1), task(2), task(3), budget=Limit(io=90))
    assert set(Bench(made, many).run().end.statuses.values()) == {"ok"}


def test_a_spent_run_ceiling_stops_further_starts_on_record() -> None:
    async def spends(assignment: Assignment) -> TaskReport:
        await Act(assignment.id, 60)
        return TaskReport()

    bench = Bench(plan(task(1), task(2), task(3)), spends, options=Options(workers=1))
    bench.policy = attrs.evolve(bench.policy, run=Limit("unlimited", "unlimited", 100))
    ran = bench.run()
    assert ran.end.statuses == {_T1: "ok", _T2: "denied", "TASK-003": "skipped"}
    assert '"subject":"ceiling"' in ran.text
    assert '"subject":"skip"' in ran.text


def test_an_interrupt_records_what_ran_and_ends_no_task() -> None:
    gates = Gates()
    bench = Bench(plan(task(1), task(2, _T1)), acts, act=gates)

    def script() -> None:
        gates.wait(_T1)
        assert bench.scheduler is not None
        bench.scheduler.interrupt()

    ran = beside(bench, script)
    assert ran.end.interrupted
    assert ran.end.statuses == {}
    assert '"by":"interrupt"' in ran.text
    assert '"kind":"task.ended"' not in ran.text


def test_storage_that_fails_ends_the_run() -> None:
    class Full(MemoryFile):
        def sync(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageFailed):
        Bench(plan(task(1)), acts, storage=Full(), act=echo).run()
