"""Whatever an agent says of itself, the run goes on, and what stands on record replays."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tek_abi import Assignment, TaskReport
from tek_agents import gather
from tek_executor import Options
from tests.executor.bench import Act, Bench, Look, plan, task
from tests.executor.test_scheduler import acts, beside


class _Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message can be had")


@attrs.frozen
class _Own(TaskReport):
    more: int = 7


def _report(*values: Any) -> Any:
    async def reports(assignment: Assignment) -> Any:
        return TaskReport(*values)

    return reports


def _raising(error: Exception) -> Any:
    async def raises(assignment: Assignment) -> Any:
        raise error

    return raises


async def _own(assignment: Assignment) -> Any:
    return _Own("ok", "fine")


async def _long_request(assignment: Assignment) -> Any:
    await gather(Look("forbidden " + "x" * 200_000), Act("fine"))


@pytest.mark.parametrize(("body", "status"), [
    (_report("ok", 5), "failed"),
    (_report("ok", "", True), "failed"),
    (_report("ok", "", 2**60), "failed"),
    (_report("other", ""), "failed"),
    (_report("ok", "\udcff"), "ok"),
    (_report("ok", "x" * 20_000_000), "ok"),
    (_own, "ok"),
    (_raising(ValueError("x" * 20_000_000)), "failed"),
    (_raising(ValueError("bad name \udcff")), "failed"),
    (_raising(_Unreadable()), "failed"),
    (_long_request, "denied"),
])  # fmt: skip
def test_a_report_is_readable_or_a_failure_and_nobody_else_suffers(body: Any, status: str) -> None:
    ran = Bench(plan(task(1), task(2)), acts, {"TASK-001": body}).run()

    assert ran.end.statuses == {"TASK-001": status, "TASK-002": "ok"}
    assert max(map(len, ran.ledger.splitlines())) < 1 << 20


def test_no_retry_starts_once_fail_fast_has_stopped_the_run() -> None:
    async def fails(assignment: Assignment) -> TaskReport:
        await Act(f"{assignment.id} {assignment.attempt}")
        return TaskReport("failed", "always")

    made = plan(task(1, retries=3), task(2))
    bench = Bench(made, fails, options=Options(workers=2, backoff=300, fail_fast=True))
    ran = beside(bench, lambda: None)

    assert ran.end.statuses == {"TASK-001": "failed", "TASK-002": "failed"}
    assert "TASK-001 2" not in ran.text
