"""The dependency graph: which tasks may start, and whom a task that cannot start has to thank for it.

Queues are nodes of their own, and so is an id that stands for several occurrences: a need of many by many costs one
edge each, never their product. Linear in tasks and needs, without recursion.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection
from typing import TypeAlias

import attrs

from tek_abi import ExecutionPlan, TekError


@attrs.define(str=False)
class PlanCycle(TekError, ValueError):
    """Needs go round in a circle. ``path`` starts and ends with the same name."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"these need each other: {' -> '.join(self.path)}; remove one of the needs"


@attrs.define(str=False)
class UnknownNeed(TekError, ValueError):
    """A need names neither a task nor a queue of the plan."""

    owner: str
    need: str

    def __str__(self) -> str:
        return f"{self.owner} needs {self.need}, which is neither a task nor a queue of this plan"


_Node: TypeAlias = tuple[str, str]
_TASK, _ENTRY, _EXIT, _ALL = "task", "entry", "exit", "all"


class Graph:
    """What waits for what among the selected tasks, by plan order. Needs of tasks that are not selected count as met.

    Raises ``PlanCycle`` or ``UnknownNeed``.
    """

    def __init__(self, plan: ExecutionPlan, selected: Collection[str] = ()) -> None:
        self._chosen = frozenset(selected)
        self._waits: dict[_Node, int] = defaultdict(int)
        self._next: dict[_Node, list[_Node]] = defaultdict(list)
        self._because: dict[_Node, str] = {}
        self._ready: deque[str] = deque()
        gates = self._build(plan)
        for gate in gates:
            if not self._waits[gate]:
                self._release(gate, None)
        self._ready.clear()
        tasks = [task.id for _, task in plan.tasks() if self._is_chosen(task.id)]
        self._ready.extend(id_ for id_ in tasks if (_TASK, id_) not in self._waits)
        self._refuse_cycles(len(tasks))

    def _is_chosen(self, task: str) -> bool:
        return not self._chosen or task in self._chosen

    def _build(self, plan: ExecutionPlan) -> list[_Node]:
        """Draw the edges; return the queues' gates."""
        named = {need for queue in plan.queues for need in queue.needs}
        named.update(need for _, task in plan.tasks() for need in task.needs)
        occurrences = _occurrences(plan, named)
        targets = {queue.letter: (_EXIT, queue.letter) for queue in plan.queues if queue.letter in named}
        targets.update((name, _target(name, nodes)) for name, nodes in occurrences.items() if name not in targets)
        circular: dict[str, str] = {}
        gates: list[_Node] = []
        for name, nodes in occurrences.items():
            if targets[name] == (_ALL, name):
                gates.append((_ALL, name))
                for node in nodes:
                    if self._is_chosen(node[1]):
                        self._edge(node, (_ALL, name))
        for index, queue in enumerate(plan.queues):
            entry, exit_ = (_ENTRY, f"{queue.letter} {index}"), (_EXIT, queue.letter)
            gates += [entry, exit_]
            for need in queue.needs:
                self._need(queue.name, targets.get(need), need, entry)
            for task in queue.tasks:
                if not self._is_chosen(task.id):
                    continue
                node = (_TASK, task.id)
                if queue.needs:
                    self._edge(entry, node)
                if queue.letter in named:
                    self._edge(node, exit_)
                for need in task.needs:
                    if targets.get(need) != (_ALL, task.id.partition("#")[0]):
                        self._need(task.id, targets.get(need), need, node)
                    else:
                        first = circular.setdefault(need, task.id)
                        self._need_others(first, node, occurrences[need])
        return gates

    def _need(self, owner: str, target: _Node | None, need: str, node: _Node) -> None:
        if target is None:
            raise UnknownNeed(owner, need)
        if target[0] != _TASK or self._is_chosen(target[1]):
            self._edge(target, node)

    def _need_others(self, first: str, node: _Node, nodes: list[_Node]) -> None:
        """Let an occurrence wait for all others of its id. ``first`` is the one that did so first."""
        if first != node[1]:
            raise PlanCycle((first, node[1], first))
        for other in nodes:
            if other != node and self._is_chosen(other[1]):
                self._edge(other, node)

    def _edge(self, before: _Node, after: _Node) -> None:
        self._next[before].append(after)
        self._waits[after] += 1

    def _refuse_cycles(self, tasks: int) -> None:
        """Walk the graph as if every task ended at once; what is never reached goes round in a circle."""
        waits = dict(self._waits)
        work: deque[_Node] = deque((_TASK, id_) for id_ in self._ready)
        reached = 0
        while work:
            node = work.popleft()
            reached += node[0] == _TASK
            for after in self._next.get(node, ()):
                waits[after] -= 1
                if not waits[after]:
                    work.append(after)
        if reached < tasks:
            raise PlanCycle(self._circle({node for node, count in waits.items() if count > 0}))

    def _circle(self, stuck: set[_Node]) -> tuple[str, ...]:
        needs = {after: node for node in stuck for after in self._next.get(node, ()) if after in stuck}
        node = next(iter(needs))
        seen: dict[_Node, int] = {}
        while node not in seen:
            seen[node] = len(seen)
            node = needs[node]
        circle = list(seen)[seen[node] :]
        names = [name if kind == _TASK else f"Queue {name.partition(' ')[0]}" for kind, name in circle if kind != _ALL]
        path = [name for index, name in enumerate(names) if name != names[index - 1]] or names[:1]
        return (*path, path[0])

    def next_ready(self) -> str | None:
        """Take the next task that may start, or ``None``: in plan order first, then as their needs ended."""
        return self._ready.popleft() if self._ready else None

    def withdraw(self, tasks: Collection[str]) -> None:
        """Let tasks that were started already not be started again."""
        self._ready = deque(id_ for id_ in self._ready if id_ not in tasks)

    def ended(self, task: str, because: str | None) -> list[tuple[str, str]]:
        """Note a task's end; ``because`` names the culprit where it did not end well, ``None`` where it did.

        Returns the tasks that can now never start, each with its culprit. They count as ended.
        """
        return self._release((_TASK, task), because)

    def _release(self, node: _Node, because: str | None) -> list[tuple[str, str]]:
        skipped: list[tuple[str, str]] = []
        work = deque([(node, because)])
        while work:
            current, culprit = work.popleft()
            for after in self._next.pop(current, ()):
                self._waits[after] -= 1
                if culprit is not None:
                    self._because.setdefault(after, culprit)
                if self._waits[after]:
                    continue
                del self._waits[after]
                cause = self._because.pop(after, None)
                if after[0] != _TASK:
                    work.append((after, cause))
                elif cause is None:
                    self._ready.append(after[1])
                else:
                    skipped.append((after[1], cause))
                    work.append((after, cause))
        return skipped


def _occurrences(plan: ExecutionPlan, named: Collection[str]) -> dict[str, list[_Node]]:
    """Return the tasks that each id in use stands for: one, or every occurrence of a bare id."""
    found: dict[str, list[_Node]] = defaultdict(list)
    for _, task in plan.tasks():
        for name in {task.id, task.id.partition("#")[0]}:
            if name in named:
                found[name].append((_TASK, task.id))
    return found


def _target(name: str, nodes: list[_Node]) -> _Node:
    return nodes[0] if len(nodes) == 1 else (_ALL, name)
