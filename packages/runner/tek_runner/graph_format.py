"""The graph of a plan for other tools: Mermaid, as GitHub and GitLab render it, and Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tek_abi import ExecutionPlan, Queue, Task
from tek_runner.console import printable

_MAX_TITLE: Final = 60
_PLAIN: Final = frozenset(" -_.,:—")


def mermaid(plan: ExecutionPlan) -> Iterator[str]:
    """Yield a Mermaid flowchart: a subgraph a queue, an arrow from each task to those that wait for it."""
    yield "flowchart LR"
    for number, queue in enumerate(plan.queues):
        yield f'  subgraph q{number}["{_entities(queue.name)}"]'
        for task in queue.tasks:
            yield f'    {_node(task)}["{_entities(_label(task))}"]'
        yield "  end"
    yield from (f"  {before} --> {after}" for before, after in _edges(plan, lambda number: f"q{number}"))


def dot(plan: ExecutionPlan) -> Iterator[str]:
    """Yield a Graphviz digraph: a cluster a queue, an edge from each task to those that wait for it."""
    yield "digraph plan {"
    yield "  rankdir=LR; compound=true; node [shape=box, style=rounded];"
    for number, queue in enumerate(plan.queues):
        yield f'  subgraph "cluster_{number}" {{'
        yield f"    label={_quoted(queue.name)};"
        yield from (f"    {_quoted(task.id)} [label={_quoted(_label(task))}];" for task in queue.tasks)
        yield "  }"
    for before, after in _edges(plan, None):
        yield f"  {_quoted(before)} -> {_quoted(after)};"
    yield "}"


def _edges(plan: ExecutionPlan, queue_node: Callable[[int], str] | None) -> Iterator[tuple[str, str]]:
    """Yield who waits for whom. Where ``queue_node`` names queues an edge may start or end at one, else it stands for
    one between each of its tasks.
    """
    tasks: dict[str, list[Task]] = {}
    letters: dict[str, tuple[int, Queue]] = {}
    for number, queue in enumerate(plan.queues):
        letters[queue.letter] = number, queue
        for task in queue.tasks:
            for name in {task.id, task.id.partition("#")[0]}:
                tasks.setdefault(name, []).append(task)

    def nodes(name: str) -> list[str]:
        if name in letters:
            number, queue = letters[name]
            return [queue_node(number)] if queue_node is not None else [task.id for task in queue.tasks]
        return [_node(task) if queue_node is not None else task.id for task in tasks.get(name, ())]

    for number, queue in enumerate(plan.queues):
        ends = [queue_node(number)] if queue_node is not None else [task.id for task in queue.tasks]
        yield from ((before, after) for need in queue.needs for before in nodes(need) for after in ends)
        for task in queue.tasks:
            own = _node(task) if queue_node is not None else task.id
            yield from ((before, own) for need in task.needs for before in nodes(need))


def _label(task: Task) -> str:
    title = task.title if len(task.title) <= _MAX_TITLE else f"{task.title[:_MAX_TITLE]} ..."
    return task.id if task.title == task.id else f"{task.id}\n{title}"


def _node(task: Task) -> str:
    return "t" + "".join(c if c.isalnum() else "_" for c in task.id.removeprefix("TASK-"))


def _entities(text: str) -> str:
    """Return text as a Mermaid label: whatever could end it or mean something in it as an entity code."""
    lines = (printable(line) for line in text.split("\n"))
    return "<br/>".join("".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in line) for line in lines)


def _quoted(text: str) -> str:
    lines = (printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return '"' + "\\n".join(lines) + '"'
