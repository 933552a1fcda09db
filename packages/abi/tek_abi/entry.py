"""The ledger's entries: one frozen class a kind, holding the body's fields in their order (DESIGN section 5).

The frame around a body (``seq``, ``synced``, ``prev``, ``kind``, ``at``, ``hash``) belongs to the kernel's ledger.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeAlias

import attrs

from tek_abi.budget import Budget
from tek_abi.canonical import Value
from tek_abi.envelope import EffectEnvelope
from tek_abi.outcome import Denial, Outcome
from tek_abi.position import Position
from tek_abi.report import RunSummary, TaskReport, TaskStatus


@attrs.frozen
class RunOpened:
    """The first line: who runs what under which rules. ``level`` is how child processes are confined.

    ``obs`` names the machine's side of it (workspace, workers), which no hash but the chain covers.
    """

    kind: ClassVar[str] = "run.opened"
    run: str
    versions: tuple[tuple[str, str], ...]
    plan_digest: str
    policy_digest: str
    config_digest: str
    level: str
    obs: Value = None


@attrs.frozen
class PlanEntry:
    """Everything that replay needs. ``plan`` and ``policy`` are values, or ``{"$ref": ...}`` to stored ones.

    ``agents`` are ``[name, distribution, version]`` of every agent in use; ``protected`` are write exclusions of
    this run alone, such as its run directory; ``selected`` are the ids of the tasks to run, empty for all; ``keys``
    are the public keys (hex) that the operator trusts for signed permits.
    """

    kind: ClassVar[str] = "plan"
    plan: Value
    policy: Value
    agents: tuple[tuple[str, str, str], ...] = ()
    protected: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    dry_run: bool = False
    keys: tuple[str, ...] = ()


@attrs.frozen
class TaskStarted:
    """An attempt at a task begins."""

    kind: ClassVar[str] = "task.started"
    task: str
    agent: str
    attempt: int = 1
    progress: int = 0


@attrs.frozen
class EffectIntent:
    """A request and its decision. ``rule`` is the rule that decided; ``denial`` stands where ``allow`` is false.

    ``baseline`` is what a probe saw before the effect, for a resume to compare with.
    """

    kind: ClassVar[str] = "effect.intent"
    position: Position
    envelope: EffectEnvelope
    allow: bool
    rule: str
    reservation: Budget = Budget()
    denial: Denial | None = None
    baseline: Value = None


@attrs.frozen
class EffectOutcome:
    """How a request ended and what it used. ``value_digest`` is that of an ok outcome's value.

    ``obs`` (times, pids, exception text) is covered by the chain alone.
    """

    kind: ClassVar[str] = "effect.outcome"
    position: Position
    outcome: Outcome
    usage: Budget = Budget()
    value_digest: str | None = None
    obs: Value = None


@attrs.frozen
class Decision:
    """An input that depends on timing or a person. ``position`` is a task, attempt or path; ``subject`` one of
    race, timeout, cancel, skip, interrupt, ceiling, retry, in-doubt, approval.
    """

    kind: ClassVar[str] = "decision"
    position: Position
    subject: str
    value: Value = None


@attrs.frozen
class TaskEnded:
    """A task's last word. ``attempts`` is how many were started."""

    kind: ClassVar[str] = "task.ended"
    task: str
    status: TaskStatus
    attempts: int = 0
    report: TaskReport | None = None
    because: str = ""
    obs: Value = None


@attrs.frozen
class Recovered:
    """Lines were cut from a torn tail into ``recovered-<n>.bin``."""

    kind: ClassVar[str] = "recovered"
    length: int
    sha256: str


@attrs.frozen
class RunPaused:
    """The run stopped before its end and can go on: interrupted, in doubt, waiting, or storage failed."""

    kind: ClassVar[str] = "run.paused"
    reason: str
    counts: RunSummary = RunSummary()


@attrs.frozen
class RunResumed:
    """A paused or broken run goes on from ``head``."""

    kind: ClassVar[str] = "run.resumed"
    versions: tuple[tuple[str, str], ...]
    level: str
    head: str


@attrs.frozen
class RunClosed:
    """The last line of a finished run; its own hash is the ledger head."""

    kind: ClassVar[str] = "run.closed"
    status: str
    counts: RunSummary
    replay_hash: str


Entry: TypeAlias = (
    RunOpened | PlanEntry | TaskStarted | EffectIntent | EffectOutcome | Decision | TaskEnded
    | Recovered | RunPaused | RunResumed | RunClosed
)  # fmt: skip

KINDS: Final[dict[str, type[Any]]] = {
    entry.kind: entry
    for entry in (
        RunOpened, PlanEntry, TaskStarted, EffectIntent, EffectOutcome, Decision, TaskEnded,
        Recovered, RunPaused, RunResumed, RunClosed,
    )
}  # fmt: skip
FRAME: Final = ("seq", "synced", "prev", "kind", "at", "hash")
