"""What happened in a recorded run, by task and effect: what ``show``, ``logs``, ``report`` and exports tell.

The chain and the schema of every line are checked while it is read. What the lines say is held against each other by
``replay``; a history only tells it. A run that is under way, was cut off or is damaged has a history up to there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from tek_abi import (
    Blob,
    Budget,
    Codec,
    Decision,
    DecodeError,
    Denied,
    EffectIntent,
    EffectOutcome,
    ExecutionPlan,
    Failed,
    Instant,
    Ok,
    PlanEntry,
    Policy,
    Position,
    Queue,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    Task,
    TaskEnded,
    TaskStarted,
    ValueNotAllowed,
    status_of,
)
from tek_abi.vocabulary.proc import Exec
from tek_kernel import LedgerInvalid, VerifierKey, find_tail, read_lines
from tek_kernel.lines import Line
from tek_runner.inputs import open_input
from tek_runner.proving import Held

OPEN: Final = "open"
"""The status of what has no end on record."""
_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.define
class EffectHistory:
    """One request: what was asked, how it was decided, what came of it. ``ended`` is empty while it is open."""

    intent: EffectIntent
    line: int
    begun: Instant
    args: Mapping[str, Any]
    ended: Instant = ""
    outcome: EffectOutcome | None = None
    value: Any = None

    @property
    def position(self) -> Position:
        """Where in the plan it was asked for."""
        return self.intent.position

    @property
    def name(self) -> str:
        """The effect's name, such as ``fs.read``."""
        return self.intent.envelope.effect

    @property
    def status(self) -> str:
        """``ok``, ``denied``, ``failed`` or ``cancelled``; ``open`` where no outcome is on record."""
        return OPEN if self.outcome is None else status_of(self.outcome.outcome)

    @property
    def usage(self) -> Budget:
        """What it was charged."""
        return Budget() if self.outcome is None else self.outcome.usage

    @property
    def subject(self) -> str:
        """What it was about, on one line: a command, a path, a request's method and address."""
        if self.name == Exec.effect and isinstance(self.args.get("argv"), list):
            return " ".join(shlex.join(map(str, self.args["argv"])).split())
        words = (self.args.get(name) for name in ("method", "url", "path", "pattern", "source", "target", "name"))
        return " ".join(word for word in words if isinstance(word, str))

    @property
    def problem(self) -> str:
        """Why it was denied or failed; empty where it was not."""
        match self.outcome and self.outcome.outcome:
            case Denied(reason):
                return reason.message
            case Failed(error):
                return f"{error.code}: {error.message}"
            case _:
                return ""

    @property
    def grant(self) -> str:
        """The line or flag that would have granted it; empty where nothing is known to."""
        match self.outcome and self.outcome.outcome:
            case Denied(reason):
                return reason.grant
            case Failed(error):
                return error.grant
            case _:
                return ""

    @property
    def exit(self) -> str:
        """How a command ended: ``0``, ``1``, ``SIGKILL``'s number as ``signal 9``; empty for any other effect."""
        if self.name != Exec.effect or not isinstance(self.value, dict):
            return ""
        signal = self.value.get("signal")
        return f"signal {signal}" if signal else str(self.value.get("code"))

    def outputs(self) -> dict[str, Blob]:
        """Return what a command wrote, by stream: ``stdout``, ``stderr``."""
        if self.name != Exec.effect or self.outcome is None:
            return {}
        known = self.value if isinstance(self.value, dict) else self.outcome.obs
        found: dict[str, Blob] = {}
        for stream in ("stdout", "stderr"):
            reference = known.get(stream) if isinstance(known, dict) else None
            fields = reference.get("$blob") if isinstance(reference, dict) else None
            if isinstance(fields, dict) and isinstance(fields.get("sha256"), str):
                found[stream] = Blob(fields["sha256"], fields.get("size", 0))
        return found


@attrs.define
class AttemptHistory:
    """One attempt at a task. ``ended`` is empty while it is under way."""

    number: int
    begun: Instant
    ended: Instant = ""


@attrs.define
class TaskHistory:
    """One task of the plan. ``end`` is its last word, where it has one on record."""

    queue: Queue
    task: Task
    agent: str = ""
    attempts: list[AttemptHistory] = attrs.field(factory=list)
    effects: list[EffectHistory] = attrs.field(factory=list)
    decisions: list[tuple[Instant, Decision]] = attrs.field(factory=list)
    end: TaskEnded | None = None
    ended: Instant = ""

    @property
    def status(self) -> str:
        """How it ended; ``open`` if it had started, else ``not-run``."""
        if self.end is not None:
            return self.end.status
        return OPEN if self.attempts else "not-run"

    @property
    def begun(self) -> Instant:
        """When its first attempt started; empty where none did."""
        return self.attempts[0].begun if self.attempts else ""

    @property
    def message(self) -> str:
        """Its agent's or the scheduler's word on how it ended."""
        return self.end.report.message if self.end is not None and self.end.report is not None else ""

    @property
    def because(self) -> str:
        """The task or rule that a skip goes back to."""
        return self.end.because if self.end is not None else ""

    @property
    def usage(self) -> Budget:
        """What its effects were charged together."""
        spent = [effect.outcome.usage.amounts() for effect in self.effects if effect.outcome is not None]
        return Budget(*map(sum, zip(*spent, strict=True)))


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
