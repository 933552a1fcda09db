"""Durable before done: no side effect starts before its intent is synced, none is seen before its outcome is."""

from __future__ import annotations

import threading

from tek_abi import Assignment, TaskReport
from tek_executor import Options
from tek_kernel import Context
from tests.executor.bench import WAIT, Act, Bench, Look, MemoryFile, echo, plan, task


class HeldFile(MemoryFile):
    """A ledger's file that syncs only as often as the test allows."""

    def __init__(self) -> None:
        super().__init__()
        self.durable = b""
        self.asked = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)

    def sync(self) -> None:
        """Wait for leave, then keep what is written."""
        written = bytes(self.data)
        self.asked.release()
        assert self.allowed.acquire(timeout=WAIT)
        self.durable = written

    def wait(self) -> None:
        """Return once a sync is under way."""
        assert self.asked.acquire(timeout=WAIT)


def test_side_effects_wait_for_their_intent_and_agents_for_their_outcome() -> None:
    file, done, seen = HeldFile(), threading.Event(), threading.Event()

    def act(name: str, context: Context) -> str:
        assert b'"kind":"effect.intent"' in file.durable
        done.set()
        return echo(name, context)

    async def acting(assignment: Assignment) -> TaskReport:
        await Act("once")
        if not seen.is_set():
            assert b'"kind":"effect.outcome"' in file.durable
            seen.set()
        return TaskReport()

    def script() -> None:
        file.wait()
        assert not done.is_set()
        file.allowed.release()
        file.wait()
        assert done.is_set()
        assert not seen.is_set()
        file.allowed.release(100)

    assert _run(Bench(plan(task(1)), acting, act=act, storage=file), script) == "ok"
    assert seen.is_set()


def test_reads_wait_for_no_sync() -> None:
    file, seen = HeldFile(), threading.Event()

    async def reading(assignment: Assignment) -> TaskReport:
        await Look("anything")
        seen.set()
        return TaskReport()

    def script() -> None:
        assert seen.wait(WAIT)
        assert file.durable == b""
        file.allowed.release(100)

    assert _run(Bench(plan(task(1)), reading, storage=file), script) == "ok"


def test_a_task_that_times_out_behind_an_outcome_not_yet_durable_ends_once() -> None:
    file, closed = HeldFile(), threading.Event()

    async def acting(assignment: Assignment) -> TaskReport:
        await Act("once")
        return TaskReport()

    async def refused_late(assignment: Assignment) -> TaskReport:
        if assignment.attempt == 1:
            return TaskReport("failed")
        try:
            await Look("forbidden")
        finally:
            closed.set()
        return TaskReport()

    def script() -> None:
        file.wait()
        file.allowed.release()
        file.wait()
        assert closed.wait(WAIT)
        file.allowed.release(100)

    made = plan(task(1), task(2, timeout=50, retries=1))
    bench = Bench(made, acting, {"TASK-002": refused_late}, storage=file, options=Options(backoff=300))
    assert _run(bench, script) == "ok"
    assert file.data.count(b'"subject":"timeout"') == 1
    assert file.data.count(b'"kind":"task.ended"') == 2


def _run(bench: Bench, script: object) -> str:
    problems: list[BaseException] = []

    def play() -> None:
        try:
            assert callable(script)
            script()
        except BaseException as problem:
            problems.append(problem)
            bench.storage.allowed.release(100)

    thread = threading.Thread(target=play)
    thread.start()
    ran = bench.run()
    thread.join(WAIT)
    assert not problems, problems
    return ran.end.statuses["TASK-001"]
