"""The replay hash: what happened, without when, where and in which order it arrived (DESIGN section 5).

A Merkle tree whose leaf 0 is the digest of plan and policy, and whose further leaves are the tasks in plan order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tek_abi import (
    CODEC,
    EffectEnvelope,
    ExecutionPlan,
    Failed,
    Ok,
    Outcome,
    Policy,
    Position,
    Value,
    digest,
    status_of,
)
from tek_abi.outcome import Cancelled, Denied
from tek_kernel.merkle import tree_hash

NOT_RUN = "not-run"
"""The final status of a task that was not selected."""


def plan_digest(plan: ExecutionPlan) -> str:
    """Return the digest of what a plan asks for: its source's name and time of making left out."""
    return digest(CODEC.encode(attrs.evolve(plan, source="", generated_at="")))


def policy_digest(policy: Policy) -> str:
    """Return the digest of what the operator grants."""
    return digest(CODEC.encode(policy))


def outcome_digest(outcome: Outcome, value_digest: str | None) -> str:
    """Return what stands for an outcome: the value's digest, an error's or denial's code, or nothing."""
    match outcome:
        case Ok():
            return value_digest or ""
        case Failed(error):
            return error.code
        case Denied(reason):
            return reason.code
        case Cancelled():
            return ""


@attrs.define
class TaskRecord:
    """What one task did, gathered in any order."""

    _effects: dict[tuple[int, ...], Value] = attrs.field(factory=dict)
    _races: dict[tuple[int, ...], int] = attrs.field(factory=dict)

    def effect(self, position: Position, envelope: EffectEnvelope, outcome: Outcome, value_digest: str | None) -> None:
        """Note one effect with its outcome."""
        path = (position.attempt, *position.path)
        self._effects[path] = [
            list(path),
            envelope.effect,
            envelope.v,
            envelope.args_digest,
            status_of(outcome),
            outcome_digest(outcome, value_digest),
        ]

    def race(self, position: Position, winner: int) -> None:
        """Note a race: its losers count only as lost."""
        path = (position.attempt, *position.path)
        self._races[path] = winner
        self._effects[path] = [list(path), "race", winner]

    def leaf(self, task: str, status: str) -> bytes:
        """Return the task's leaf: 32 bytes."""
        effects = [value for path, value in sorted(self._effects.items()) if not is_lost(path, self._races)]
        return bytes.fromhex(digest({"task": task, "effects": effects, "status": status}))


def is_lost(path: tuple[int, ...], races: Mapping[tuple[int, ...], int]) -> bool:
    """Whether a path lies in a branch that lost one of the ``races``, which are given with their winners."""
    return any(
        len(path) > len(race) and path[: len(race)] == race and path[len(race)] != winner
        for race, winner in races.items()
    )


class ReplayHash:
    """Gathers the leaves of a run's tasks, in whatever order they end."""

    def __init__(self, plan: str, policy: str, tasks: Sequence[str]) -> None:
        self._root = bytes.fromhex(digest([plan, policy]))
        self._tasks = tasks
        self._leaves: dict[str, bytes] = {}

    def ended(self, task: str, record: TaskRecord | None, status: str) -> None:
        """Note a task's end. A task without effects needs no record."""
        self._leaves[task] = (record or TaskRecord()).leaf(task, status)

    def hex(self) -> str:
        """Return the replay hash. Tasks that have not ended count as not run."""
        leaves = [self._leaves.get(task) or TaskRecord().leaf(task, NOT_RUN) for task in self._tasks]
        return tree_hash([self._root, *leaves]).hex()
