"""Verifying a ledger without running anything: ``replay --verify`` (DESIGN section 5).

The chain and the schema hold line by line (``lines``); here the lines are held against each other: one outcome an
intent, digests that fit, blobs that are there, tasks that start before they end, and the replay hash at the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, BinaryIO

import attrs

from tek_abi import (
    Blob,
    Cancelled,
    Codec,
    Decision,
    DecodeError,
    Denied,
    EffectIntent,
    EffectOutcome,
    ExecutionPlan,
    Ok,
    PatternError,
    PlanEntry,
    Policy,
    Position,
    Queue,
    Recovered,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunSummary,
    Task,
    TaskEnded,
    TaskStarted,
    TaskStatus,
    ValueNotAllowed,
    digest,
)
from tek_kernel.approval import APPROVAL, Approval
from tek_kernel.differences import Difference
from tek_kernel.ledger import ZEROS
from tek_kernel.lines import LedgerInvalid, Line, read_lines
from tek_kernel.redaction import Redacted
from tek_kernel.replay_hash import NOT_RUN, ReplayHash, TaskRecord, plan_digest, policy_digest


@attrs.define(str=False)
class ReplayMismatch(LedgerInvalid):
    """The ledger is whole, but what it says does not follow: a request, a decision or the replay hash differs.

    ``differences`` are the fields that differ, at most ``MAX_SHOWN``, where two values were held against each other;
    ``expected`` and ``actual`` are the first one's then.
    """

    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        where = f", {self.task} at {self.position}" if self.position else f", {self.task}" if self.task else ""
        text = f"line {self.line}{where}: {self.problem}: expected {self.expected}, actual {self.actual}"
        others = (f"\n  {one.field}: expected {one.expected}, actual {one.actual}" for one in self.differences[1:])
        return text + "".join(others)


@attrs.frozen
class Verification:
    """A ledger that holds. ``state`` is closed or paused; ``entries`` and ``effects`` count lines and intents.

    ``redacted`` are the blobs that have given way to tombstones; ``not_driven`` the tasks that could not be driven
    again for want of one.
    """

    replay_hash: str
    ledger_head: str
    entries: int
    effects: int
    state: str
    level: str
    redacted: tuple[Redacted, ...] = ()
    not_driven: tuple[tuple[str, Redacted], ...] = ()


@attrs.define
class _OpenTask:
    record: TaskRecord = attrs.field(factory=TaskRecord)
    attempt: int = 0
    intents: dict[Position, EffectIntent] = attrs.field(factory=dict)
    seen: set[Position] = attrs.field(factory=set)
    again: set[Position] = attrs.field(factory=set)
    """What an interrupt cut off, which may be asked again once the run is resumed."""
    doubtful: set[Position] = attrs.field(factory=set)
    cut: str = ""
    """What decided that the attempt under way goes no further: timeout, interrupt or retry."""


_SUBJECTS = ("race", "timeout", "cancel", "skip", "interrupt", "ceiling", "retry", "in-doubt", APPROVAL)
_ANSWERS = ("retry", "done", "fail")


class Checker:
    """Holds the lines of one ledger against each other, one after the other."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.opened: RunOpened | None = None
        self.plan = ExecutionPlan()
        self.policy = Policy()
        self.tasks: dict[str, tuple[Queue, Task]] = {}
        self._unmet: Counter[str] = Counter()
        """How many tasks of each name that ``Needs`` may use have not ended well."""
        self._entry: PlanEntry | None = None
        self._open: dict[str, _OpenTask] = {}
        self._ended: dict[str, TaskStatus] = {}
        self._because: dict[str, str] = {}
        self._hash = ReplayHash("", "", ())
        self._last: Line | None = None
        self._after: EffectIntent | None = None
        self.blobs: dict[str, int] = {}
        """The blobs that the lines so far name, with their sizes."""
        self.redacted: dict[str, Redacted] = {}
        self.approvals: dict[str, Approval] = {}
        """What a person said about tasks before the first of them started."""
        self.effects = 0

    @property
    def granted(self) -> Policy:
        """The policy with what a person has granted beyond it."""
        approved = (permit for approval in self.approvals.values() for permit in approval.permits())
        return attrs.evolve(self.policy, permits=(*self.policy.permits, *approved))

    @property
    def ended(self) -> dict[str, tuple[TaskStatus, str]]:
        """The tasks that have ended, in that order: their status, and because of whom they were skipped."""
        return {task: (status, self._because[task]) for task, status in self._ended.items()}

    @property
    def replay_hash(self) -> ReplayHash:
        """The replay hash as far as it has come."""
        return self._hash

    @property
    def last(self) -> Line | None:
        """The last line taken."""
        return self._last

    def record(self, task: str) -> TaskRecord:
        """Return what is on record of a task under way."""
        return self._open[task].record

    @property
    def plan_entry(self) -> PlanEntry:
        """The ledger's second entry."""
        assert self._entry is not None
        return self._entry

    def take(self, line: Line) -> None:
        """Check one more line. Raises ``LedgerInvalid`` or ``ReplayMismatch``."""
        try:
            self._take(line)
        except (LookupError, DecodeError, ValueNotAllowed) as error:
            raise LedgerInvalid(line.number, str(error)) from None
        self._last = line

    def _take(self, line: Line) -> None:
        entry, last = line.entry, self._last.entry if self._last else None
        _require(not isinstance(last, RunClosed), line, "stands after run.closed")
        _require(isinstance(entry, RunOpened) == (line.number == 1), line, "run.opened is the first line and no other")
        _require(isinstance(entry, PlanEntry) == (line.number == 2), line, "plan is the second line and no other")
        if isinstance(last, RunPaused):
            _require(isinstance(entry, RunResumed | Recovered), line, "stands after run.paused without run.resumed")
        if isinstance(last, Recovered):
            _require(isinstance(entry, RunResumed), line, "stands after recovered without run.resumed")
        if self._after is not None and not isinstance(entry, RunResumed | Recovered):
            denied = isinstance(entry, EffectOutcome) and entry.position == self._after.position
            _require(denied, line, "a denied request is not followed by its outcome")
        if line.refers:
            self._check_blobs(line.raw)
        match entry:
            case RunOpened():
                self.opened = entry
            case PlanEntry():
                self._check_plan(line, entry)
            case TaskStarted():
                self._check_started(line, entry)
            case EffectIntent():
                self._check_intent(line, entry)
            case EffectOutcome():
                self._check_outcome(line, entry)
            case Decision():
                self._check_decision(line, entry)
            case TaskEnded():
                self._check_ended(line, entry)
            case RunPaused():
                counts = RunSummary.count(self._ended.values())
                _require(counts == entry.counts, line, "counts other tasks than have ended", counts, entry.counts)
            case RunResumed():
                self._check_resumed(line, entry)
            case RunClosed():
                self._check_closed(line, entry)
            case _:
                pass

    def _check_blobs(self, value: Any) -> None:
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, list):
                stack.extend(item)
            elif isinstance(item, dict):
                if len(item) == 1 and (key := next(iter(item))) in ("$blob", "$ref"):
                    is_new = self._check_blob(item[key])
                    if key == "$ref" and is_new:
                        stack.append(self._codec.unseal(item))  # a value that is kept apart may name others
                else:
                    stack.extend(item.values())

    def _check_blob(self, reference: Any) -> bool:
        """Check that a blob is there and whole, or redacted. Returns whether it is new and its bytes can be had."""
        blob = self._codec.decode(reference, Blob, "blob")
        is_new = blob.sha256 not in self.blobs
        if is_new:
            try:
                self.blobs[blob.sha256] = len(blob.read())
            except Redacted as redacted:
                self.redacted[blob.sha256] = redacted
                self.blobs[blob.sha256] = redacted.tombstone.size
        size = self.blobs[blob.sha256]
        if size != blob.size:
            raise LookupError(f"blob {blob.sha256} has {size} bytes, not {blob.size}")
        return is_new and blob.sha256 not in self.redacted

    def _check_plan(self, line: Line, entry: PlanEntry) -> None:
        assert self.opened is not None
        self._entry = entry
        self.plan = self._codec.decode(self._codec.unseal(entry.plan), ExecutionPlan, "plan")
        self.policy = self._codec.decode(self._codec.unseal(entry.policy), Policy, "policy")
        self.tasks = {task.id: (queue, task) for queue, task in self.plan.tasks()}
        selected = frozenset(entry.selected)
        self._unmet = Counter(
            name
            for queue, task in self.plan.tasks()
            if not selected or task.id in selected
            for name in _names(queue, task)
        )
        digests = plan_digest(self.plan), policy_digest(self.policy)
        recorded = self.opened.plan_digest, self.opened.policy_digest
        _require(digests == recorded, line, "plan or policy do not have the digests of run.opened", recorded, digests)
        self._hash = ReplayHash(*digests, tuple(self.tasks))

    def _task(self, line: Line, task: str) -> _OpenTask:
        _require(task in self.tasks, line, f"the plan has no task {task}")
        _require(task not in self._ended, line, f"{task} has ended already")
        if task not in self._open:
            self._open[task] = _OpenTask()
        return self._open[task]

    def _check_started(self, line: Line, entry: TaskStarted) -> None:
        task = self._task(line, entry.task)
        _require(
            entry.attempt == task.attempt + 1,
            line,
            f"{entry.task} has no attempt before",
            task.attempt + 1,
            entry.attempt,
        )
        _require(not task.intents, line, f"{entry.task} starts again while requests are open")
        queue, planned = self.tasks[entry.task]
        unmet = next((need for need in (*planned.needs, *queue.needs) if self._unmet[need] > 0), None)
        _require(unmet is None, line, f"{entry.task} starts before {unmet} has ended well")
        most = self.tasks[entry.task][1].retries + 1
        _require(entry.attempt <= most, line, "has more attempts than the plan allows", most, entry.attempt)
        _require(entry.attempt == 1 or task.cut == "retry", line, f"{entry.task} starts again without a decision")
        task.attempt, task.cut = entry.attempt, ""

    def _check_decision(self, line: Line, entry: Decision) -> None:
        """Check that a decision is one that its task can have had."""
        task = self._task(line, entry.position.task)
        _require(entry.subject in _SUBJECTS, line, f"there are no decisions on {entry.subject!r}")
        if entry.subject == "race":
            _require(type(entry.value) is int, line, "a race's decision does not name its winner")
            task.record.race(entry.position, entry.value)  # type: ignore[arg-type]  # an int, as required above
        elif entry.subject == "timeout":
            limit = self.tasks[entry.position.task][1].timeout
            _require(limit is not None, line, f"{entry.position.task} has no timeout that could have passed")
        elif entry.subject == APPROVAL:
            self._check_approval(line, entry)
        elif entry.subject == "in-doubt":
            _require(entry.value in _ANSWERS, line, "is not an answer to what is in doubt", _ANSWERS, entry.value)
            asked = entry.position in task.intents or entry.position in task.doubtful
            _require(asked, line, f"nothing at {entry.position} is in doubt")
        if entry.subject in ("timeout", "interrupt", "retry"):
            task.cut = entry.subject

    def _check_approval(self, line: Line, entry: Decision) -> None:
        task = entry.position.task
        began = bool(self._ended) or any(other.attempt for other in self._open.values())
        _require(not began and task not in self.approvals, line, f"approves {task} late, or a second time")
        try:
            self.approvals[task] = Approval.of(entry)
        except (PatternError, ValueError) as error:
            raise LedgerInvalid(line.number, f"is no approval: {error}") from None

    def _check_resumed(self, line: Line, entry: RunResumed) -> None:
        head = self._last.hash if self._last else ""
        _require(line.number > 2, line, "resumes a run that has not begun")
        _require(entry.head == head, line, "goes on from another line", head, entry.head)
        for task in self._open.values():
            if task.cut == "interrupt":
                task.cut = ""
                task.seen -= task.again
                task.again.clear()

    def _check_intent(self, line: Line, entry: EffectIntent) -> None:
        position, envelope = entry.position, entry.envelope
        task = self._task(line, position.task)
        _require(position.attempt == task.attempt > 0, line, f"{position} belongs to no attempt under way")
        _require(position not in task.seen, line, f"{position} was asked for already")
        actual = _value_digest(envelope.args)
        _require(
            actual == envelope.args_digest, line, "the arguments do not have their digest", envelope.args_digest, actual
        )
        _require(entry.allow == (entry.denial is None), line, "allow and denial contradict each other")
        _require(not entry.allow or envelope.permit is not None, line, "an allowed request has no permit on record")
        task.seen.add(position)
        task.intents[position] = entry
        self._after = None if entry.allow else entry
        self.effects += 1

    def _check_outcome(self, line: Line, entry: EffectOutcome) -> None:
        task = self._task(line, entry.position.task)
        intent = task.intents.pop(entry.position, None)
        if intent is None:
            raise LedgerInvalid(line.number, f"{entry.position} has no open intent, or a second outcome")
        self._after = None
        outcome = entry.outcome
        _require(
            intent.allow or isinstance(outcome, Denied), line, "a denied request has an outcome that is not denied"
        )
        if isinstance(outcome, Denied) and not intent.allow:
            same = outcome.reason == intent.denial
            _require(same, line, "the outcome's denial is not the intent's", intent.denial, outcome.reason)
        _require(
            entry.usage <= intent.reservation, line, "used more than was reserved", intent.reservation, entry.usage
        )
        actual = _value_digest(outcome.value) if isinstance(outcome, Ok) else None
        _require(actual == entry.value_digest, line, "the value does not have its digest", entry.value_digest, actual)
        if task.cut == "interrupt" and isinstance(outcome, Cancelled) and outcome.by == "interrupt":
            task.again.add(entry.position)
            task.doubtful.add(entry.position)
        task.record.effect(entry.position, intent.envelope, outcome, entry.value_digest)

    def _check_ended(self, line: Line, entry: TaskEnded) -> None:
        task = self._task(line, entry.task)
        _require(not task.intents, line, f"{entry.task} ends while requests are open")
        _require(entry.attempts == task.attempt, line, "counts other attempts", task.attempt, entry.attempts)
        started = entry.attempts > 0
        _require(started == (entry.status != "skipped"), line, f"{entry.status} after {entry.attempts} attempts")
        _require(task.cut != "interrupt", line, f"{entry.task} was interrupted, so it cannot have ended")
        failed = entry.status in ("failed", "in_doubt")
        _require(failed or task.cut != "timeout", line, f"{entry.task} timed out and is {entry.status}")
        del self._open[entry.task]
        self._ended[entry.task] = entry.status
        self._because[entry.task] = entry.because
        if entry.status in ("ok", "noop"):
            self._unmet.subtract(tuple(_names(*self.tasks[entry.task])))
        self._hash.ended(entry.task, task.record, entry.status)

    def _check_closed(self, line: Line, entry: RunClosed) -> None:
        _require(not self._open, line, f"closes while {next(iter(self._open), '')} is open")
        counts = RunSummary.count(self._ended.values())
        _require(counts == entry.counts, line, "counts other tasks than have ended", entry.counts, counts)
        missing = [task for task in self.plan_entry.selected or self.tasks if task not in self._ended]
        _require(not missing, line, f"closes before {missing[:1]} has ended")
        _require(entry.status == counts.status, line, "has another status than its tasks", counts.status, entry.status)
        actual = self._hash.hex()
        if actual != entry.replay_hash:
            raise ReplayMismatch(line.number, "the replay hash differs", entry.replay_hash, actual)

    def finish(self) -> Verification:
        """Return what was verified. Raises ``LedgerInvalid`` where the run's last line is missing."""
        last = self._last
        if last is None:
            raise LedgerInvalid(1, "unfinished: the ledger is empty", "run.opened", "end of file", unfinished=True)
        if not isinstance(last.entry, RunClosed | RunPaused):
            problem = "unfinished: every line above holds, but the run's end is missing"
            raise LedgerInvalid(last.number + 1, problem, "run.closed or run.paused", "end of file", unfinished=True)
        state = "closed" if isinstance(last.entry, RunClosed) else "paused"
        level = self.opened.level if self.opened else ""
        redacted = tuple(self.redacted.values())
        return Verification(self._hash.hex(), last.hash, last.number, self.effects, state, level, redacted)


def verify(file: BinaryIO, codec: Codec) -> Verification:
    """Verify a whole ledger. Raises ``LedgerInvalid`` at the first line that does not hold."""
    checker = Checker(codec)
    for line in read_lines(file, codec):
        checker.take(line)
    return checker.finish()


def _names(queue: Queue, task: Task) -> dict[str, None]:
    """Return what ``Needs`` may call a task: its id, the bare id of all its occurrences, its queue's letter."""
    return dict.fromkeys((task.id, task.id.partition("#")[0], queue.letter))


def _value_digest(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"$ref"}:
        return str(value["$ref"]["sha256"])
    return digest(value)


def _require(holds: bool, line: Line, problem: str, expected: object = "", actual: object = "") -> None:
    if not holds:
        raise LedgerInvalid(line.number, problem, str(expected), str(actual))


__all__ = ["NOT_RUN", "ZEROS", "Checker", "ReplayMismatch", "Verification", "verify"]
