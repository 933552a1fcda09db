"""The graph: what may start when, who is to blame for what cannot, and that both cost no more than they must."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import ExecutionPlan, Queue, Task
from tek_executor import Graph, PlanCycle, UnknownNeed
from tests.executor.bench import plan, task

_T1, _T2, _T3 = "TASK-001", "TASK-002", "TASK-003"


def queue(letter: str, *tasks: Task, needs: tuple[str, ...] = ()) -> Queue:
    return Queue(f"Queue {letter} — Tests", tuple(tasks), needs)


def ready(graph: Graph) -> list[str]:
    return list(iter(graph.next_ready, None))


def order(graph: Graph, failing: Iterable[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Run a graph to its end, one task at a time; return who started, and who was skipped because of whom."""
    failed = set(failing)
    started: list[str] = []
    skipped: dict[str, str] = {}
    while (id_ := graph.next_ready()) is not None:
        started.append(id_)
        skipped.update(graph.ended(id_, id_ if id_ in failed else None))
    return started, skipped


def edges(graph: Graph) -> int:
    return sum(map(len, graph._next.values()))


def test_a_task_starts_once_all_that_it_needs_has_ended() -> None:
    graph = Graph(plan(task(1, _T2, _T3), task(2), task(3)))
    assert ready(graph) == [_T2, _T3]
    assert graph.ended(_T2, None) == []
    assert ready(graph) == []
    assert graph.ended(_T3, None) == []
    assert ready(graph) == [_T1]


def test_a_queue_that_needs_another_starts_after_its_last_task() -> None:
    graph = Graph(ExecutionPlan((queue("A", task(1), needs=("B",)), queue("B", task(2), task(3)))))
    assert ready(graph) == [_T2, _T3]
    graph.ended(_T2, None)
    assert ready(graph) == []
    graph.ended(_T3, None)
    assert ready(graph) == [_T1]


def test_a_task_can_need_a_queue_even_an_empty_one() -> None:
    graph = Graph(ExecutionPlan((queue("A", task(1, "B", "C")), queue("B"), queue("C", needs=("B",)))))
    assert ready(graph) == [_T1]


def test_a_bare_id_stands_for_every_occurrence_and_a_numbered_one_for_its_own() -> None:
    second = Task("TASK-001#2", "", "foundation")
    graph = Graph(plan(task(1), second, task(2, _T1), task(3, "TASK-001#2")))
    assert ready(graph) == [_T1, "TASK-001#2"]
    graph.ended("TASK-001#2", None)
    assert ready(graph) == [_T3]
    graph.ended(_T1, None)
    assert ready(graph) == [_T2]


def test_an_occurrence_that_needs_its_own_id_waits_for_the_others() -> None:
    second = Task("TASK-001#2", "", "foundation", needs=(_T1,))
    assert order(Graph(plan(second, task(1))))[0] == [_T1, "TASK-001#2"]


def test_two_occurrences_that_need_their_own_id_need_each_other() -> None:
    twins = [Task(f"TASK-001{end}", "", "foundation", needs=(_T1,)) for end in ("", "#2", "#3")]
    with pytest.raises(PlanCycle) as caught:
        Graph(plan(*twins))
    assert caught.value.path == (_T1, "TASK-001#2", _T1)


def test_needs_of_tasks_that_are_not_selected_count_as_met() -> None:
    graph = Graph(plan(task(1), task(2, _T1), task(3, _T2)), {_T2, _T3})
    assert order(graph) == ([_T2, _T3], {})


def test_a_repeated_id_of_which_nothing_is_selected_counts_as_met() -> None:
    second = Task("TASK-001#2", "", "foundation")
    assert order(Graph(plan(task(1), second, task(2, _T1)), {_T2}))[0] == [_T2]


def test_a_need_that_names_nothing_is_refused() -> None:
    with pytest.raises(UnknownNeed, match="TASK-001 needs TASK-009"):
        Graph(plan(task(1, "TASK-009")))
    with pytest.raises(UnknownNeed, match="Queue A"):
        Graph(ExecutionPlan((queue("A", needs=("Z",)),)))


@pytest.mark.parametrize(
    ("queues", "names"),
    [
        ((queue("A", task(1, _T1)),), {_T1}),
        ((queue("A", task(1, _T2), task(2, _T3), task(3, _T1)),), {_T1, _T2, _T3}),
        ((queue("A", task(1), needs=("B",)), queue("B", task(2), needs=("A",))), {_T1, _T2, "Queue A", "Queue B"}),
        ((queue("A", task(1, "A")),), {_T1, "Queue A"}),
    ],
    ids=["itself", "tasks", "queues", "own queue"],
)
def test_a_circle_is_refused_with_its_path(queues: tuple[Queue, ...], names: set[str]) -> None:
    with pytest.raises(PlanCycle) as caught:
        Graph(ExecutionPlan(queues))
    path = caught.value.path
    assert path[0] == path[-1]
    assert set(path) == names
    assert len(path) <= 2 * len(names) + 1


def test_a_failure_skips_what_needs_it_and_names_the_first_culprit_through_queues() -> None:
    queues = queue("A", task(1), task(2)), queue("B", task(3), needs=("A",)), queue("C", task(4, "B"), task(5))
    started, skipped = order(Graph(ExecutionPlan(queues)), {_T2})
    assert started == [_T1, _T2, "TASK-005"]
    assert skipped == {_T3: _T2, "TASK-004": _T2}


@pytest.mark.parametrize("shape", ["chain", "fan-in", "fan-out", "queues", "repeated"])
def test_edges_grow_with_tasks_and_needs_and_never_with_their_product(shape: str) -> None:
    count = 20_000
    numbers = range(1, count + 1)
    repeated = [Task(f"TASK-001#{n}" if n > 1 else _T1, "", "foundation") for n in numbers]
    shapes = {
        "chain": lambda: plan(*(task(n, *([task(n - 1).id] if n > 1 else [])) for n in numbers)),
        "fan-in": lambda: plan(*map(task, numbers), task(count + 1, *(task(n).id for n in numbers))),
        "fan-out": lambda: plan(*(task(n, *([_T1] if n > 1 else [])) for n in numbers)),
        "queues": lambda: ExecutionPlan(
            (queue("A", *map(task, numbers)), queue("B", *(task(n + count) for n in numbers), needs=("A",)))
        ),
        "repeated": lambda: plan(
            *repeated, *(Task(f"TASK-002#{n}" if n > 1 else _T2, "", "foundation", needs=(_T1,)) for n in numbers)
        ),
    }
    made = shapes[shape]()
    graph = Graph(made)
    assert edges(graph) <= 3 * count + 3
    assert len(order(graph)[0]) == sum(1 for _ in made.tasks())


@given(st.data())
def test_it_starts_and_skips_what_a_plain_reference_does(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    needs = {n: data.draw(st.sets(st.integers(1, n - 1), max_size=3)) if n > 1 else set() for n in range(1, size + 1)}
    failing = data.draw(st.sets(st.integers(1, size)))
    listed = data.draw(st.permutations(range(1, size + 1)))
    made = plan(*(task(n, *(task(m).id for m in sorted(needs[n]))) for n in listed))
    started, skipped = order(Graph(made), {task(n).id for n in failing})

    good: set[int] = set()
    expected: set[int] = set()
    for number in range(1, size + 1):
        if needs[number] <= good:
            expected.add(number)
            if number not in failing:
                good.add(number)
    assert set(started) == {task(n).id for n in expected}
    assert set(skipped) == {task(n).id for n in needs} - set(started)
    assert set(skipped.values()) <= {task(n).id for n in failing & expected}
    place = {id_: index for index, id_ in enumerate(started)}
    assert all(place[task(m).id] < place[task(n).id] for n in expected for m in needs[n])
