"""What happened in a recorded run, by task and effect: what ``show``, ``logs``, ``report`` and exports tell.

The chain and the schema of every line are checked while it is read. What the lines say is held against each other by
``replay``; a history only tells it. A run that is under way, was cut off or is damaged has a history up to there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from tek_abi import (
    Blob,
    Codec,
    Decision,
    DecodeError,
    EffectIntent,
    EffectOutcome,
    ExecutionPlan,
    Instant,
    Ok,
    PlanEntry,
    Policy,
    Position,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    TaskEnded,
    TaskStarted,
    ValueNotAllowed,
)
from tek_kernel import LedgerInvalid, VerifierKey, find_tail, read_lines
from tek_kernel.lines import Line
from tek_runner.inputs import open_input
from tek_runner.proving import Held
from tek_runner.task_history import OPEN, AttemptHistory, EffectHistory, TaskHistory

__all__ = [
    "OPEN",
    "AttemptHistory",
    "EffectHistory",
    "RunHistory",
    "TaskHistory",
    "last_lines",
    "microseconds",
    "milliseconds",
]

_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.define
class RunHistory:
    """A run as its ledger tells it. ``problem`` says where and why reading stopped before the end: the ledger is
    damaged or, where the problem is ``unfinished``, was cut off in a line that nothing had promised.
    """

    path: Path
    held: Held
    plan: ExecutionPlan = ExecutionPlan()
    policy: Policy = Policy()
    opened: RunOpened | None = None
    entry: PlanEntry | None = None
    tasks: dict[str, TaskHistory] = attrs.field(factory=dict)
    events: list[tuple[Instant, RunPaused | RunResumed]] = attrs.field(factory=list)
    closed: RunClosed | None = None
    began: Instant = ""
    last: Instant = ""
    lines: int = 0
    head: str = ""
    problem: LedgerInvalid | None = None
    _open: dict[Position, EffectHistory] = attrs.field(factory=dict)
    _codec: Codec = attrs.field(factory=Codec)

    @classmethod
    def read(cls, path: Path, key: VerifierKey | None = None) -> RunHistory:
        """Read a ledger. ``key`` is one that the user trusts.

        Raises ``UnreadableInput``, ``Unproven`` for a key on record that is none, and ``LedgerInvalid`` where not even
        the first two lines hold.
        """
        with open_input(path, "ledger") as file:
            held = Held.read(file, key)
            history = cls(path, held, codec=Codec(held.blobs(path)))
            try:
                for line in read_lines(file, history._codec):
                    history._take(line)
            except LedgerInvalid as problem:
                history.problem = attrs.evolve(problem, unfinished=problem.unfinished or _is_torn(file, problem))
        if history.entry is None:
            raise history.problem or LedgerInvalid(history.lines + 1, "there is no plan on record", unfinished=True)
        return history

    @property
    def state(self) -> str:
        """``closed``, ``paused``, ``open`` (under way or cut off) or ``damaged``."""
        if self.problem is not None and not self.problem.unfinished:
            return "damaged"
        if self.closed is not None:
            return "closed"
        paused = bool(self.events) and isinstance(self.events[-1][1], RunPaused)
        return "paused" if paused else OPEN

    @property
    def level(self) -> str:
        """How commands were confined when the run was last under way."""
        resumed = [event.level for _, event in self.events if isinstance(event, RunResumed)]
        return resumed[-1] if resumed else self.opened.level if self.opened is not None else "none"

    @property
    def selected(self) -> Iterator[TaskHistory]:
        """The tasks that were to run, in plan order."""
        chosen = frozenset(self.entry.selected) if self.entry is not None else frozenset()
        return (task for id_, task in self.tasks.items() if not chosen or id_ in chosen)

    def effects(self) -> Iterator[EffectHistory]:
        """Yield every effect, in plan order of tasks, then in order of the ledger."""
        for task in self.tasks.values():
            yield from task.effects

    def observed(self, name: str) -> Any:
        """Return what ``run.opened`` observed of the machine: ``workspace``, ``workers``, ``source``, ``config``."""
        obs = self.opened.obs if self.opened is not None else None
        return obs.get(name) if isinstance(obs, dict) else None

    def bytes_of(self, blob: Blob) -> bytes:
        """Return a blob's bytes. Raises ``LookupError`` where it is missing, damaged or redacted."""
        return self.held.blobs(self.path).get(blob.sha256)

    def _take(self, line: Line) -> None:
        try:
            self._tell(line)
        except (LookupError, DecodeError, ValueNotAllowed) as error:
            raise LedgerInvalid(line.number, str(error)) from None
        self.began = self.began or line.at
        self.last, self.lines, self.head = line.at, line.number, line.hash

    def _tell(self, line: Line) -> None:
        match line.entry:
            case RunOpened() as entry:
                self.opened = entry
            case PlanEntry() as entry:
                self._plan(entry)
            case TaskStarted(task, agent, attempt):
                told = self.tasks[task]
                told.agent = agent
                self._close_attempt(told, line.at)
                told.attempts.append(AttemptHistory(attempt, line.at))
            case EffectIntent(position) as entry:
                effect = EffectHistory(entry, line.number, line.at, self._args(entry))
                self.tasks[position.task].effects.append(effect)
                self._open[position] = effect
            case EffectOutcome() as entry:
                self._outcome(entry, line.at)
            case Decision(position) as entry:
                if position.task:
                    self.tasks[position.task].decisions.append((line.at, entry))
                    if entry.subject in ("retry", "interrupt"):
                        self._close_attempt(self.tasks[position.task], line.at)
            case TaskEnded(task) as entry:
                told = self.tasks[task]
                told.end, told.ended = entry, line.at
                self._close_attempt(told, line.at)
            case RunPaused() | RunResumed() as entry:
                self.events.append((line.at, entry))
            case RunClosed() as entry:
                self.closed = entry
            case _:
                pass

    def _plan(self, entry: PlanEntry) -> None:
        self.entry = entry
        self.plan = self._codec.decode(self._codec.unseal(entry.plan), ExecutionPlan, "plan")
        self.policy = self._codec.decode(self._codec.unseal(entry.policy), Policy, "policy")
        self.tasks = {task.id: TaskHistory(queue, task) for queue, task in self.plan.tasks()}

    def _outcome(self, entry: EffectOutcome, at: Instant) -> None:
        effect = self._open.pop(entry.position, None)
        if effect is None:
            raise LookupError(f"{entry.position} ends without having begun")
        effect.outcome, effect.ended = entry, at
        if isinstance(entry.outcome, Ok):
            effect.value = self._unsealed(entry.outcome.value)

    def _args(self, entry: EffectIntent) -> Mapping[str, Any]:
        args = self._unsealed(entry.envelope.args)
        return args if isinstance(args, dict) else {}

    def _unsealed(self, value: Any) -> Any:
        """Return a value that may be kept apart; nothing where it was redacted or is missing."""
        try:
            return self._codec.unseal(value)
        except LookupError:
            return None

    @staticmethod
    def _close_attempt(task: TaskHistory, at: Instant) -> None:
        if task.attempts and not task.attempts[-1].ended:
            task.attempts[-1].ended = at


def microseconds(since: Instant, until: Instant) -> int:
    """Return the microseconds between two moments; 0 where one is missing."""
    if not since or not until:
        return 0
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)) // _MICROSECOND


def milliseconds(since: Instant, until: Instant) -> int:
    """Return the milliseconds between two moments, rounded down; 0 where one is missing."""
    return microseconds(since, until) // 1000


def _is_torn(file: BinaryIO, problem: LedgerInvalid) -> bool:
    """Whether all from a line on is what a crash leaves, and may be cut on resume."""
    file.seek(0)
    data = file.read()
    try:
        tail = find_tail(data)
    except LedgerInvalid:
        return False
    return bool(tail.cut) and data.count(b"\n", 0, tail.offset) == problem.line - 1


def last_lines(data: bytes, count: int, longest: int = 500) -> tuple[list[str], int]:
    """Return the last lines of a command's output, each cut to ``longest`` characters, and how many stood before."""
    lines = data.decode("utf-8", "replace").splitlines()
    return [line[:longest] for line in lines[-count:]], max(0, len(lines) - count)
