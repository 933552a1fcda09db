"""A cancelled request settles promptly, however far it has come: waiting for a worker, under way or done."""

from __future__ import annotations

import random
import threading
import time

import pytest

from tek_abi import Assignment, TaskReport
from tek_agents import gather, race
from tek_executor import Options
from tek_executor.workers import MOST_THREADS
from tek_kernel import Context
from tests.executor.bench import WAIT, Act, Bench, Gates, Look, Ran, TellingFile, plan, task
from tests.executor.test_scheduler import beside

_T1, _T2 = "TASK-001", "TASK-002"


@pytest.mark.parametrize("asked", [Act, Look])
def test_a_task_times_out_while_its_request_waits_for_a_worker(asked: type[Act] | type[Look]) -> None:
    gates, file = Gates(), TellingFile()

    async def holds_both_workers(assignment: Assignment) -> TaskReport:
        await gather(asked("held 1"), asked("held 2"))
        return TaskReport()

    async def waits(assignment: Assignment) -> TaskReport:
        await asked("queued")
        return TaskReport()

    def script() -> None:
        gates.wait("held 1")
        gates.wait("held 2")
        file.wait("task.ended", _T2, "timed out")
        gates.release("held 1", "held 2")

    bench = Bench(plan(task(1), task(2, timeout=30)), holds_both_workers, {_T2: waits}, act=gates)
    bench.options, bench.storage, bench.group = Options(workers=2), file, False
    ran = beside(bench, script)

    assert ran.end.statuses == {_T1: "ok", _T2: "failed"}
    assert "queued" not in gates.started, "what was cancelled before it started is not applied"


def test_losers_beyond_the_last_thread_are_lost_without_being_applied() -> None:
    gates, most = Gates(), 0

    def counted(name: str, context: Context) -> str:
        nonlocal most
        most = max(most, sum(t.name.startswith("tek-worker") for t in threading.enumerate()))
        return gates(name, context)

    async def racing(assignment: Assignment) -> TaskReport:
        winner, _ = await race(*(Act(f"runner {n}") for n in range(MOST_THREADS + 36)))
        return TaskReport("ok", str(winner))

    def script() -> None:
        for n in range(MOST_THREADS):
            gates.wait(f"runner {n}")
        gates.release("runner 5")

    ran = beside(Bench(plan(task(1)), racing, act=counted, options=Options(workers=1)), script)

    assert ran.end.statuses == {_T1: "ok"}
    assert most == MOST_THREADS
    assert len(gates.started) <= MOST_THREADS + 1, "the winner's thread may have taken one more before it was told"
    assert ran.text.count('"by":"race"') == MOST_THREADS + 35


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("group", [True, False])
def test_hundreds_of_races_with_any_timing_lose_no_cancellation(workers: int, group: bool) -> None:
    # An effect that waits ends by its cancellation alone, so one that is lost costs WAIT seconds.
    ran, seconds = _races(workers, group, seed=workers)
    assert set(ran.end.statuses.values()) == {"ok"}
    assert seconds < WAIT


def _races(workers: int, group: bool, seed: int) -> tuple[Ran, float]:
    chance = random.Random(seed)  # a schedule, not a secret

    def wobbling(name: str, context: Context) -> str:
        stopped = threading.Event()
        context.cancel.on_cancel(stopped.set)
        stopped.wait(WAIT if name.startswith("waits") else chance.choice((0, 0, 0.0002, 0.001)))
        return name

    async def pair(n: int) -> None:
        await Look(f"ends {n}")
        await race(Act(f"waits inside {n}"), Act(f"ends inside {n}"))

    async def racing(assignment: Assignment) -> TaskReport:
        for n in range(25):
            await race(Act(f"waits {n}"), pair(n), Look(f"waits too {n}"), Act(f"ends {n}"))
        return TaskReport()

    options = Options(workers=workers, backoff=1)
    bench = Bench(plan(*map(task, range(1, 6))), racing, act=wobbling, options=options, group=group)
    since = time.monotonic()
    return bench.run(), time.monotonic() - since


def test_threads_that_a_race_has_started_are_used_again() -> None:
    names: set[str] = set()
    gates = Gates()

    def noted(name: str, context: Context) -> str:
        names.add(threading.current_thread().name)
        return gates(name, context)

    async def racing(assignment: Assignment) -> TaskReport:
        for n in range(30):
            gates.release(f"ends {n}")
            await race(Look(f"waits {n}"), Look(f"waits too {n}"), Look(f"ends {n}"))
        return TaskReport()

    Bench(plan(task(1)), racing, act=noted, options=Options(workers=1)).run()

    assert len(names) <= 3


def test_many_tasks_share_the_workers_that_were_asked_for() -> None:
    names: set[str] = set()

    def noted(name: str, context: Context) -> str:
        names.add(threading.current_thread().name)
        return name

    async def looks(assignment: Assignment) -> TaskReport:
        await Look(assignment.id)
        return TaskReport()

    Bench(plan(*map(task, range(1, 1001))), looks, act=noted, options=Options(workers=4)).run()

    assert names <= {f"tek-worker-{n}" for n in range(1, 5)}
