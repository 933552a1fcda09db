"""Checking needs: every name must exist, and nothing may wait for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from tek_abi import Queue
from tek_planner.fields import Need
from tek_planner.problems import Problems

_Node: TypeAlias = tuple[str, str]


def check_needs(queues: Sequence[Queue], places: Mapping[str, Sequence[Need]], problems: Problems) -> None:
    """Note unknown names and the first circle. ``places`` has the needs of each task id and queue name with their
    places. Linear in tasks and needs, without recursion.
    """
    tasks: dict[str, list[str]] = {}
    for queue in queues:
        for task in queue.tasks:
            for name in {task.id, task.id.partition("#")[0]}:
                tasks.setdefault(name, []).append(task.id)
    letters = {queue.letter for queue in queues}
    known = True
    for needs in places.values():
        for need in needs:
            if need.name not in letters and need.name not in tasks:
                known = False
                problems.add(
                    "TEK401",
                    need.line,
                    need.column,
                    f"{need.name} is neither a task nor a queue of this plan",
                    "name one that is there",
                )
    if known and places:
        _check_circles(queues, tasks, letters, places, problems)


def _check_circles(
    queues: Sequence[Queue],
    tasks: Mapping[str, list[str]],
    letters: set[str],
    places: Mapping[str, Sequence[Need]],
    problems: Problems,
) -> None:
    waits: dict[_Node, list[_Node]] = {}
    gates: dict[_Node, Queue] = {}

    def targets(names: Sequence[str], owner: str) -> Iterator[_Node]:
        for name in names:
            if name in letters:
                yield ("queue", name)
            else:
                yield from (("task", id_) for id_ in tasks[name] if id_ != owner or name == owner)

    for index, queue in enumerate(queues):
        gate = ("gate", f"{queue.letter} {index}")
        if queue.needs:
            gates[gate] = queue
            waits[gate] = list(targets(queue.needs, ""))
        waits.setdefault(("queue", queue.letter), []).extend(("task", task.id) for task in queue.tasks)
        for task in queue.tasks:
            if task.needs or queue.needs:
                waits["task", task.id] = [*targets(task.needs, task.id), *([gate] if queue.needs else [])]
    circle = _circle(waits)[:-1]
    if circle:
        owners = {gate: queue.name for gate, queue in gates.items()}
        wanted = [
            need
            for node, following in zip(circle, [*circle[1:], circle[0]], strict=True)
            for need in places.get(owners.get(node, node[1]), ())
            if need.name in (following[1], following[1].partition("#")[0])
        ]
        place = min(wanted, key=lambda need: (need.line, need.column))
        path = _names(circle)
        problems.add(
            "TEK402",
            place.line,
            place.column,
            f"these need each other: {' -> '.join([*path, path[0]])}",
            "remove one of the needs",
        )


def _names(circle: list[_Node]) -> list[str]:
    """Return how a circle is told: a queue that is waited for, for what it waits itself, is named once."""
    last = max((index for index, (kind, _) in enumerate(circle) if kind == "gate"), default=-1) + 1
    names: list[str] = []
    kinds: list[str] = []
    for kind, name in [*circle[last:], *circle[:last]]:
        shown = name if kind == "task" else f"Queue {name.partition(' ')[0]}"
        if kind == "gate" and kinds[-2:] == ["queue", "task"] and names[-2] == shown:
            del names[-1], kinds[-1]
        elif shown not in names[-1:]:
            names.append(shown)
            kinds.append(kind)
    return names[:-1] if len(names) > 1 and names[0] == names[-1] else names


def _circle(waits: Mapping[_Node, Sequence[_Node]]) -> list[_Node]:
    """Return nodes that wait for each other, the first once more at the end; empty where there are none."""
    done: set[_Node] = set()
    for start in waits:
        if start in done:
            continue
        path: dict[_Node, Iterator[_Node]] = {start: iter(waits[start])}
        while path:
            node = next(reversed(path))
            following = next((n for n in path[node] if n not in done), None)
            if following is None:
                done.add(node)
                del path[node]
            elif following in path:
                nodes = list(path)
                return [*nodes[nodes.index(following) :], following]
            else:
                path[following] = iter(waits.get(following, ()))
    return []
