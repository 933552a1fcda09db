"""A replay decides again whether an attempt left something in doubt, and so whether it may be tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tek_abi import Assignment, TaskReport
from tek_kernel import ReplayMismatch
from tests.executor.bench import Act, Bench, plan, task
from tests.kernel.test_verify_lies import Bodies, chained, first


async def _doubts(assignment: Assignment) -> TaskReport:
    await Act("doubt")
    return TaskReport()


def _bench(**fields: Any) -> Bench:
    return Bench(plan(task(1, **fields)), _doubts)


def _is_said_to_have_failed(lines: Bodies) -> int:
    at = first(lines, "task.ended")
    lines[at]["status"] = "failed"
    return at


def _is_said_to_be_known(lines: Bodies) -> int:
    del lines[first(lines, "effect.outcome")]["outcome"]["error"]["unknown"]
    return first(lines, "task.ended")


@pytest.mark.parametrize("lie", [_is_said_to_have_failed, _is_said_to_be_known])
def test_a_task_in_doubt_does_not_pass_for_another(lie: Callable[[Bodies], int]) -> None:
    bench = _bench(retries=1)
    lines = [json.loads(line) for line in bench.run().ledger.splitlines()]
    number = lie(lines) + 1
    with pytest.raises(ReplayMismatch, match="in_doubt") as caught:
        bench.redrive(chained(lines))
    assert caught.value.line == number


def test_a_task_that_failed_does_not_pass_for_one_in_doubt() -> None:
    bench = _bench(idempotent=True)
    lines = [json.loads(line) for line in bench.run().ledger.splitlines()]
    at = first(lines, "task.ended")
    assert lines[at]["status"] == "failed"
    lines[at]["status"] = "in_doubt"
    with pytest.raises(ReplayMismatch, match="in_doubt") as caught:
        bench.redrive(chained(lines))
    assert caught.value.line == at + 1


def test_what_was_in_doubt_cannot_have_been_tried_again() -> None:
    careful, bench = _bench(retries=1), _bench(retries=1, idempotent=True)
    other = [json.loads(line) for line in careful.run().ledger.splitlines()]
    data = bench.run().ledger
    lines = [json.loads(line) for line in data.splitlines()]
    retry = first(lines, "decision", '"retry"')
    bench.redrive(data)

    # The same lines under a plan that does not call the task idempotent.
    lines[:2] = other[:2]
    with pytest.raises(ReplayMismatch, match="in_doubt") as caught:
        careful.redrive(chained(lines))
    assert caught.value.line == retry + 1
