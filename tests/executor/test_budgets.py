"""What requests reserve when several ask at once, and who waits for whom. The recorded reservations tell."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from tek_abi import UNLIMITED, Assignment, Limit, TaskReport
from tek_agents import gather, race
from tek_executor import Options
from tests.executor.bench import FREE, Act, Bench, Draw, Ran, plan, task

_IO_100 = Limit(UNLIMITED, UNLIMITED, 100)
_CEILINGS = [attrs.evolve(FREE, run=_IO_100), attrs.evolve(FREE, queues=(("A", _IO_100),))]


def _lines(ran: Ran) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in ran.ledger.splitlines()]


def _reserved(ran: Ran) -> list[int]:
    return [_io(line, "reservation") for line in _lines(ran) if line["kind"] == "effect.intent"]


def _io(line: dict[str, Any], field: str) -> int:
    return int(line.get(field, {}).get("io", 0))


def _most_open(ran: Ran) -> tuple[int, int]:
    """Return how many reservations were held at once at most, and how many bytes together with what was spent."""
    held: dict[str, int] = {}
    spent = count = size = 0
    for line in _lines(ran):
        if line["kind"] == "effect.intent":
            held[str(line["position"])] = _io(line, "reservation")
            count, size = max(count, len(held)), max(size, spent + sum(held.values()))
        elif line["kind"] == "effect.outcome":
            del held[str(line["position"])]
            spent += _io(line, "usage")
    return count, size


def _draws(*shape: Any) -> Any:
    """Return a gather of draws; a tuple is a gather within."""
    return gather(*(_draws(*part) if isinstance(part, tuple) else Draw(part, 5) for part in shape))


@pytest.mark.parametrize("shape", [("a", "b", "c"), ("a", ("b", "c")), (("a",), ("b", ("c",)))])
@pytest.mark.parametrize("workers", [1, 8])
def test_requests_of_one_moment_get_even_shares_of_what_is_left(shape: Any, workers: int) -> None:
    async def drawing(assignment: Assignment) -> TaskReport:
        await _draws(*shape)
        await _draws("d", "e")
        await Draw("f")
        return TaskReport()

    ran = Bench(plan(task(1, budget=Limit(io=100))), drawing, options=Options(workers=workers)).run()

    assert ran.end.statuses == {"TASK-001": "ok"}
    assert _reserved(ran) == [33, 33, 34, 42, 43, 75]


def test_the_branches_of_a_race_share_as_those_of_a_gather_do() -> None:
    async def racing(assignment: Assignment) -> TaskReport:
        await race(Draw("a", 5), Draw("b", 5), Draw("c", 5), Draw("d", 5))
        return TaskReport()

    assert _reserved(Bench(plan(task(1, budget=Limit(io=100))), racing).run()) == [25, 25, 25, 25]


@pytest.mark.parametrize("policy", _CEILINGS, ids=["run", "queue"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_tasks_that_want_all_of_a_ceiling_take_turns(policy: Any, workers: int) -> None:
    async def drawing(assignment: Assignment) -> TaskReport:
        await gather(*(Draw(f"{assignment.id} {n}", 5) for n in range(3)))
        return TaskReport()

    ran = Bench(plan(*map(task, range(1, 6))), drawing, policy=policy, options=Options(workers=workers)).run()

    assert set(ran.end.statuses.values()) == {"ok"}
    assert _most_open(ran) == (1, 100), "each takes all that is left, so all others wait"
    assert _reserved(ran) == list(range(100, 25, -5))


@pytest.mark.parametrize("policy", _CEILINGS, ids=["run", "queue"])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_none_is_refused_while_others_hold_what_they_will_give_back(policy: Any, workers: int) -> None:
    async def acting(assignment: Assignment) -> TaskReport:
        await gather(Act(f"{assignment.id} 1", 60, used=4), Act(f"{assignment.id} 2", 60, used=4))
        return TaskReport()

    ran = Bench(plan(*map(task, range(1, 6))), acting, policy=policy, options=Options(workers=workers)).run()

    # 100 holds one of them at a time; the tenth still finds 64.
    assert set(ran.end.statuses.values()) == {"ok"}
    count, size = _most_open(ran)
    assert count == 1
    assert size <= 100


@pytest.mark.parametrize("policy", _CEILINGS, ids=["run", "queue"])
def test_what_waits_is_refused_once_it_can_never_be_had(policy: Any) -> None:
    async def acting(assignment: Assignment) -> TaskReport:
        await Act(assignment.id, 60, used=25)
        return TaskReport()

    ran = Bench(plan(*map(task, range(1, 5))), acting, policy=policy, options=Options(workers=4)).run()

    assert sorted(ran.end.statuses.values()) == ["denied", "denied", "ok", "ok"]
    assert _reserved(ran) == [60, 60, 0, 0], "two waited for the first, and two found 50 left"
    assert '"code":"ceiling"' in ran.text


def test_what_waits_is_lost_with_its_race() -> None:
    async def racing(assignment: Assignment) -> TaskReport:
        for n in range(10):
            await race(Draw(f"{n} a", 3), Draw(f"{n} b", 3))
        return TaskReport()

    made = plan(*map(task, range(1, 4)))
    ran = Bench(made, racing, policy=_CEILINGS[0], options=Options(workers=3)).run()

    assert set(ran.end.statuses.values()) == {"ok"}
    assert _most_open(ran)[1] <= 100
