"""``tek-runner diff``: two recorded runs, task by task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tek_abi import Budget
from tek_abi.budget import DIMENSIONS
from tek_kernel import Drift, drifts
from tek_runner.recorded import Record
from tek_runner.unchanged import plan_differences, policy_differences


@attrs.frozen
class Used:
    """What a task used of one dimension of its budget in each of two runs."""

    task: str
    dimension: str
    one: int
    other: int


@attrs.frozen
class Comparison:
    """In what two runs differ: their plans, policies, what their tasks did, and what they used."""

    one: Record
    other: Record
    plan: tuple[str, ...]
    policy: tuple[str, ...]
    drifts: tuple[Drift, ...]
    used: tuple[Used, ...]

    @property
    def is_same(self) -> bool:
        """Whether the replay hashes are equal: the same plan, and the same requests and outcomes of every task."""
        return self.one.verification.replay_hash == self.other.verification.replay_hash

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for programs."""
        return {
            "status": "same" if self.is_same else "different",
            "a": _about(self.one),
            "b": _about(self.other),
            "plan": list(self.plan),
            "policy": list(self.policy),
            "effects": [
                {
                    "task": one.task,
                    "position": None if one.position is None else str(one.position),
                    "effect": one.effect,
                    "field": one.field,
                    "a": one.recorded,
                    "b": one.live,
                }
                for one in self.drifts
            ],
            "used": [{"task": use.task, use.dimension: [use.one, use.other]} for use in self.used],
        }

    def lines(self) -> Iterator[str]:
        """Yield the comparison for people, line by line."""
        yield from (f"plan    {text}" for text in self.plan)
        yield from (f"policy  B {text}" for text in self.policy)
        for drift in self.drifts:
            where = "" if drift.position is None else f"  {drift.position}  {drift.effect}"
            yield f"\n{drift.task}{where}  {drift.field}"
            yield f"  A  {'nothing' if drift.recorded is None else drift.recorded}"
            yield f"  B  {'nothing' if drift.live is None else drift.live}"
        if self.used:
            yield "\nused (A, B)"
        for use in self.used:
            yield f"  {use.task}  {use.dimension}  {use.one}  {use.other}"
        tasks = len({drift.task for drift in self.drifts})
        differences = f"{len(self.drifts)} differences in {tasks} tasks"
        yield f"\n{'same' if self.is_same else f'different: {differences}'}"
        for name, record in (("A", self.one), ("B", self.other)):
            yield f"{name}  replay hash {record.verification.replay_hash}  {record.verification.state}"


def compare(one: Record, other: Record) -> Comparison:
    """Compare two runs. Times are compared only in that they were used."""
    tasks = dict.fromkeys((*one.checker.tasks, *other.checker.tasks))
    return Comparison(
        one,
        other,
        tuple(plan_differences(one.checker.plan, other.checker.plan)),
        tuple(policy_differences(one.checker.policy, other.checker.policy)),
        tuple(drifts(tasks, one.trace, other.trace, one.codec, other.codec)),
        tuple(_used(tasks, one, other)),
    )


def _used(tasks: dict[str, None], one: Record, other: Record) -> Iterator[Used]:
    for task in tasks:
        before, after = (record.used.get(task, Budget()) for record in (one, other))
        for name in DIMENSIONS:
            if before[name] != after[name]:
                yield Used(task, name, before[name], after[name])


def _about(record: Record) -> dict[str, Any]:
    names = ("replay_hash", "ledger_head", "entries", "effects", "state", "level")
    return {name: getattr(record.verification, name) for name in names}
