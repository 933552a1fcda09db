"""Races with few workers, retries and what replay makes of them, shares of a gather, storage that breaks."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from tek_abi import Assignment, TaskReport
from tek_agents import gather, race
from tek_executor import Options
from tek_kernel import Context, DirectSink, GroupCommit, ReplayMismatch, StorageFailed
from tests.executor.bench import (
    WAIT,
    Act,
    Bench,
    Gates,
    Glance,
    Look,
    MemoryFile,
    TellingFile,
    plan,
    task,
)
from tests.executor.test_scheduler import beside

_T1, _T2 = "TASK-001", "TASK-002"
_ONE = Options(workers=1, backoff=1)


def lines(ledger: bytes, kind: str) -> list[dict[str, Any]]:
    found = [orjson.loads(line) for line in ledger.splitlines()]
    return [line for line in found if line["kind"] == kind]


class TestRaces:
    def test_one_worker_is_enough_for_a_race_against_what_waits(self) -> None:
        gates = Gates()

        async def racing(assignment: Assignment) -> TaskReport:
            winner, _ = await race(Look("waits"), Act("ends"))
            return TaskReport("ok", str(winner))

        def script() -> None:
            gates.wait("waits")
            gates.wait("ends")
            gates.release("ends")

        ran = beside(Bench(plan(task(1)), racing, act=gates, options=_ONE), script)

        assert ran.end.statuses == {_T1: "ok"}
        assert lines(ran.ledger, "task.ended")[0]["report"]["message"] == "1"

    def test_a_race_progresses_while_a_gather_holds_every_worker(self) -> None:
        gates = Gates()

        async def holding(assignment: Assignment) -> TaskReport:
            await gather(Act("held 1"), Act("held 2"), race(Act("waits"), Act("ends")))
            return TaskReport()

        def script() -> None:
            gates.wait("waits")
            gates.wait("ends")
            gates.release("ends", "held 1", "held 2")

        assert beside(Bench(plan(task(1)), holding, act=gates, options=_ONE), script).end.statuses == {_T1: "ok"}

    def test_a_loser_that_has_ended_within_the_step_is_not_ended_again(self) -> None:
        async def quick() -> str:
            await Glance("first")
            return await Glance("second")

        async def racing(assignment: Assignment) -> TaskReport:
            for _ in range(20):
                await race(quick(), Glance("lost"), Act("lost too"))
            return TaskReport()

        for _ in range(5):
            assert Bench(plan(task(1)), racing).run().end.statuses == {_T1: "ok"}

    def test_a_gather_alone_starts_no_more_threads_than_workers(self) -> None:
        names: set[str] = set()

        def noting(name: str, context: Context) -> str:
            names.add(threading.current_thread().name)
            time.sleep(0.001)
            return name

        async def many(assignment: Assignment) -> TaskReport:
            await gather(*(Act(str(n)) for n in range(20)))
            return TaskReport()

        Bench(plan(task(1), task(2)), many, act=noting, options=Options(workers=2)).run()

        assert names <= {"tek-worker-1", "tek-worker-2"}

    def test_a_loser_settles_at_once_however_far_it_has_come(self) -> None:
        # Some losers are not decided yet, some not dispatched, some under way, some done.
        chance = random.Random(7)  # a schedule, not a secret

        def wobbling(name: str, context: Context) -> str:
            gone = threading.Event()
            context.cancel.on_cancel(gone.set)
            gone.wait(WAIT if name.startswith("long") else chance.random() / 500)
            return name

        async def racing(assignment: Assignment) -> TaskReport:
            for n in range(20):
                await race(Act(f"long {n}"), Act(f"short {n}"), Look(f"long too {n}"))
            return TaskReport()

        since = time.monotonic()
        ran = Bench(plan(*map(task, range(1, 9))), racing, act=wobbling).run()

        assert set(ran.end.statuses.values()) == {"ok"}
        assert time.monotonic() - since < WAIT, "no cancellation was lost"


def _delays(bench: Bench) -> list[int]:
    return [line["value"]["after_ms"] for line in lines(bench.run().ledger, "decision")]


async def _two_tries(assignment: Assignment) -> TaskReport:
    await Act(f"try {assignment.attempt}")
    return TaskReport("failed", "not yet") if assignment.attempt == 1 else TaskReport()


class TestRetriesInReplay:
    @pytest.mark.parametrize("change", ["message", "progress", "status", "more"])
    def test_an_attempt_that_ended_otherwise_is_a_mismatch(self, change: str) -> None:
        bench = Bench(plan(task(1, retries=2)), _two_tries)
        ran = bench.run()

        async def changed(assignment: Assignment) -> TaskReport:
            report = await _two_tries(assignment)
            if assignment.attempt > 1:
                return report
            if change == "more":
                await Act("one more")
            return {
                "message": TaskReport("failed", "something else"),
                "progress": TaskReport("failed", "not yet", progress=1),
                "status": TaskReport("ok", "not yet"),
            }.get(change, report)

        bench.body = changed
        with pytest.raises(ReplayMismatch) as caught:
            bench.redrive(ran.ledger)

        assert caught.value.task == _T1
        assert caught.value.position.startswith(_T1)
        assert caught.value.expected != caught.value.actual

    def test_delays_double_up_to_thirty_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fails(assignment: Assignment) -> TaskReport:
            return TaskReport("failed", "always")

        bench = Bench(plan(task(1, retries=4)), fails, options=Options(backoff=3))
        assert _delays(bench) == [3, 6, 12, 24]

        # A clock that leaps by an hour at each look makes every pause be over when it begins.
        hours = itertools.count(step=3600)
        monkeypatch.setattr("tek_executor.scheduler.time", SimpleNamespace(monotonic=lambda: next(hours)))
        bench = Bench(plan(task(1, retries=18)), fails, options=Options(backoff=1))
        assert _delays(bench) == [*(2**n for n in range(15)), 30_000, 30_000, 30_000]

    def test_an_interrupt_during_the_pause_ends_the_run_at_once(self) -> None:
        async def fails(assignment: Assignment) -> TaskReport:
            await Act("fail")
            return TaskReport()

        file = TellingFile()
        bench = Bench(plan(task(1, retries=3), task(2, _T1)), fails, options=Options(backoff=60_000))
        bench.storage, bench.group = file, False

        def stop() -> None:
            file.wait('"subject":"retry"')
            assert bench.scheduler is not None
            bench.scheduler.interrupt()

        since = time.monotonic()
        ran = beside(bench, stop)

        assert ran.end.interrupted
        assert ran.end.statuses == {}
        assert lines(ran.ledger, "task.ended") == []
        assert lines(ran.ledger, "run.paused")
        assert time.monotonic() - since < WAIT

    def test_a_retry_keeps_the_keys_of_the_attempt_before(self) -> None:
        async def tries(assignment: Assignment) -> TaskReport:
            await Look("a")
            await Look("b")
            return TaskReport("failed" if assignment.attempt == 1 else "ok")

        intents = lines(Bench(plan(task(1, retries=1)), tries).run().ledger, "effect.intent")

        keys = [line["envelope"]["idempotence_key"] for line in intents]
        assert keys[:2] == keys[2:]
        assert keys[0] != keys[1]


class _Breaking(MemoryFile):
    """Storage that takes a few writes and then raises."""

    def __init__(self, error: Exception, good: int) -> None:
        super().__init__()
        self._error, self._good = error, good

    def write(self, data: bytes) -> None:
        self._good -= 1
        if self._good < 0:
            raise self._error
        super().write(data)


@pytest.mark.parametrize("group", [True, False])
@pytest.mark.parametrize("error", [OSError(28, "no space"), RuntimeError("a defect"), MemoryError()])
def test_whatever_storage_raises_ends_the_run_and_cancels_what_is_under_way(group: bool, error: Exception) -> None:
    cancelled = threading.Event()

    def hanging(name: str, context: Context) -> str:
        if name == "hangs":
            context.cancel.on_cancel(cancelled.set)
            assert cancelled.wait(WAIT), "nobody cancelled it"
        return name

    async def hangs(assignment: Assignment) -> TaskReport:
        await Look("hangs")
        return TaskReport()

    async def writes(assignment: Assignment) -> TaskReport:
        for n in range(1000):
            await Act(str(n))
        return TaskReport()

    storage = _Breaking(error, 12)
    bench = Bench(plan(task(1), task(2)), writes, {_T1: hangs}, act=hanging, storage=storage, group=group)
    with pytest.raises(StorageFailed, match=re.escape("cannot be written")):
        bench.run()

    assert cancelled.is_set()


@pytest.mark.parametrize("group", [True, False])
def test_what_waits_for_a_worker_when_storage_breaks_never_starts(group: bool) -> None:
    started: list[str] = []

    def hanging(name: str, context: Context) -> str:
        started.append(name)
        cancelled = threading.Event()
        context.cancel.on_cancel(cancelled.set)
        assert cancelled.wait(WAIT), "nobody cancelled it"
        return name

    async def looks(assignment: Assignment) -> TaskReport:
        await gather(*(Look(str(n)) for n in range(8)), Act("never durable"))
        return TaskReport()

    class Unsynced(MemoryFile):
        def sync(self) -> None:
            raise OSError(5, "input/output error")

    bench = Bench(plan(task(1)), looks, act=hanging, storage=Unsynced(), group=group, options=Options(workers=2))
    with pytest.raises(StorageFailed):
        bench.run()

    assert set(started) <= {"0", "1"}


@pytest.mark.parametrize("sink", [DirectSink, GroupCommit])
def test_a_sink_that_failed_says_so_again_and_writes_no_more(sink: Any) -> None:
    storage = _Breaking(OSError(5, "input/output error"), 0)
    made = sink(storage)

    def use() -> None:
        made.push(0, b"line\n")
        made.sync(0)
        made.close()

    for _ in range(2):
        with pytest.raises(StorageFailed):
            use()
    assert not storage.data
