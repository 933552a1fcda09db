"""Re-driving a run from its ledger: the default ``replay`` (DESIGN section 5, *Replay levels*).

Every agent runs again, answered from the record. Each request must equal the recorded one at its position, and
permits and budgets, decided again in ledger order, must decide the same. No effect is applied: this module has no
way to one, for it knows effects only through ``Decider``, which calls their pure parts.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, BinaryIO, Protocol, TypeVar

import attrs

from tek_abi import (
    Asked,
    Assignment,
    Bound,
    Cancelled,
    Codec,
    Decision,
    DecodeError,
    Drive,
    EffectIntent,
    EffectOutcome,
    Event,
    Failed,
    Ok,
    Outcome,
    Path,
    Position,
    RunResumed,
    Task,
    TaskEnded,
    TaskReport,
    TaskStarted,
    TaskStatus,
    TekError,
    ValueNotAllowed,
    Won,
)
from tek_abi.quantity import show_duration
from tek_kernel.account import Busy
from tek_kernel.authority import Authority
from tek_kernel.decide import Admitted, Decider, Refused, Scope, Scopes
from tek_kernel.differences import MAX_SHOWN, differences
from tek_kernel.effect import SideEffect
from tek_kernel.lines import LedgerInvalid, Line, read_lines
from tek_kernel.partial import Dropped, PartialRedrive
from tek_kernel.redaction import RecordedBlobs
from tek_kernel.registry import Registry
from tek_kernel.signature import NO_KEYS, Verifier
from tek_kernel.verify import Checker, ReplayMismatch, Verification

_T = TypeVar("_T")


class AgentHost(Protocol):
    """How agents are started and judged. The executor has the only real one; runs and replays share it."""

    def start(self, agent: str, assignment: Assignment) -> Coroutine[Any, Any, Any]:
        """Return the agent's coroutine for one attempt. Raises ``TekError`` for an agent that cannot be loaded."""
        ...

    def exception(self, outcome: Outcome) -> Exception:
        """Return what an outcome other than ok raises in the agent."""
        ...

    def conclude(self, drive: Drive) -> tuple[TaskStatus, TaskReport]:
        """Judge an attempt that has ended."""
        ...


def shares(events: Iterable[Event]) -> list[tuple[Asked, int]]:
    """Pair each request of one step with how many of the step's requests are still to be decided, itself included.

    Requests that an agent makes at the same moment divide what is left evenly; a run and its replay see the same
    moments, so they divide alike. Requests whose race is over within the same step are left out.
    """
    events = list(events)
    lost = {path for event in events if isinstance(event, Won) for path in event.lost}
    asked = [event for event in events if isinstance(event, Asked) and event.path not in lost]
    return [(event, len(asked) - index) for index, event in enumerate(asked)]


@attrs.frozen
class Question:
    """A request of an agent that is under way: what it asked, and among how many that asked with it."""

    asked: Asked
    share: int

    @property
    def bound(self) -> Bound[Any]:
        """The request with what was said of it."""
        return self.asked.bound


@attrs.define
class Driven:
    """An attempt that is being driven again: where its agent stands, and its requests by how far they came.

    ``waiting`` have no intent yet, ``open`` no outcome, ``due`` an outcome that the agent has not seen; ``lost`` are
    open ones whose race was won by others, ``doubtful`` waiting ones of which nobody knows whether they happened when
    an interrupt cut them off. ``races`` were won without a decision on record so far. ``progress`` is where the next
    attempt goes on, once this one has ended and is to be tried again.
    """

    agent: str
    number: int
    scope: Scope
    drive: Drive
    waiting: dict[Path, Question] = attrs.field(factory=dict)
    races: dict[Path, int] = attrs.field(factory=dict)
    open: dict[Path, tuple[Admitted | Refused, Question]] = attrs.field(factory=dict)
    due: dict[Path, tuple[Outcome, Question]] = attrs.field(factory=dict)
    lost: set[Path] = attrs.field(factory=set)
    again: dict[Path, Question] = attrs.field(factory=dict)
    doubtful: set[Path] = attrs.field(factory=set)
    stopped: str = ""
    in_doubt: bool = False
    progress: int | None = None


class Redrive:
    """Drives the agents of one ledger again, line by line, beside a ``Checker`` that has taken the line already."""

    def __init__(
        self,
        checker: Checker,
        codec: Codec,
        host: AgentHost,
        registry: Callable[[Checker], Registry],
        verifier: Callable[[Checker], Verifier] = lambda checker: NO_KEYS,
    ) -> None:
        self._checker = checker
        self._codec = codec
        self._host = host
        self._make_registry = registry
        self._verifier = verifier
        self._scopes: Scopes | None = None
        self._decider: Decider | None = None
        self._attempts: dict[str, Driven] = {}
        self._task_scopes: dict[str, Scope] = {}

    def take(self, line: Line) -> None:
        """Re-drive one line. Raises ``ReplayMismatch``."""
        match line.entry:
            case TaskStarted():
                self._start(line, line.entry)
            case EffectIntent():
                self._intent(line, line.entry)
            case EffectOutcome():
                self._outcome(line, line.entry)
            case Decision():
                self._decision(line, line.entry)
            case TaskEnded():
                self._end(line, line.entry)
            case RunResumed():
                self.resume()
            case _:
                pass

    @property
    def attempts(self) -> dict[str, Driven]:
        """The attempts under way, by task, in the order in which their tasks were started."""
        return self._attempts

    def prepared(self) -> tuple[Scopes, Decider]:
        """Return the accounts and the decider of the run, as the lines so far have left them."""
        return self._prepare()

    def close(self) -> None:
        """End the agents that are still under way."""
        for attempt in self._attempts.values():
            attempt.drive.close()

    def resume(self) -> None:
        """Let interrupted attempts go on: what the interrupt cut off is asked again, at its own position."""
        for attempt in self._attempts.values():
            if attempt.stopped == "interrupt":
                attempt.stopped = ""
                attempt.waiting.update(attempt.again)
                attempt.again.clear()

    def drop(self, task: str) -> Dropped | None:
        """Drive a task no further. Returns what it holds of the budgets, or ``None`` if it has ended."""
        attempt, scope = self._attempts.pop(task, None), self._task_scopes.pop(task, None)
        if attempt is None or scope is None:
            return None
        attempt.drive.close()
        open_ = {
            Position(task, attempt.number, path): decided.reservation
            for path, (decided, _) in attempt.open.items()
            if isinstance(decided, Admitted)
        }
        return Dropped(scope.account, open_)

    def _prepare(self) -> tuple[Scopes, Decider]:
        checker = self._checker
        if self._scopes is None or self._decider is None:
            authority = Authority(checker.granted, checker.plan_entry.protected, self._verifier(checker))
            self._scopes = Scopes(checker.plan, checker.policy, authority)
            run = checker.opened.run if checker.opened else ""
            self._decider = Decider(self._make_registry(checker), self._codec, run)
        return self._scopes, self._decider

    def _start(self, line: Line, entry: TaskStarted) -> None:
        queue, task = self._checker.tasks[entry.task]
        scopes, _ = self._prepare()
        before = self._attempts.get(entry.task)
        progress = 0 if before is None else before.progress
        if entry.progress != progress:
            position = Position(entry.task, entry.attempt, ())
            problem = "the attempt goes on elsewhere" if progress is not None else "the attempt before has not ended"
            raise _mismatch(line, position, problem, entry.progress, progress)
        scope = self._task_scopes.get(entry.task)
        if scope is None:
            scope = self._task_scopes[entry.task] = scopes.task(queue, task, entry.agent)
        try:
            coroutine = self._host.start(entry.agent, Assignment(task, entry.attempt, entry.progress))
        except TekError as error:
            position = Position(entry.task, entry.attempt, ())
            raise _mismatch(line, position, "the agent cannot be started here", entry.agent, str(error)) from None
        attempt = Driven(entry.agent, entry.attempt, scope, Drive(coroutine, entry.progress))
        self._attempts[entry.task] = attempt
        self._note(attempt, attempt.drive.start())

    def _note(self, attempt: Driven, events: list[Event]) -> None:
        for asked, share in shares(events):
            attempt.waiting[asked.path] = Question(asked, share)
        for event in events:
            if isinstance(event, Won):
                attempt.races[event.path] = event.winner
                attempt.lost.update(path for path in event.lost if path in attempt.open)
                for path in event.lost:
                    # A loser that never came to an intent gets no outcome: it is lost at once.
                    attempt.waiting.pop(path, None)
                    if path not in attempt.open and path not in attempt.due:
                        self._note(attempt, attempt.drive.fail(path, self._host.exception(Cancelled("race"))))

    def _intent(self, line: Line, entry: EffectIntent) -> None:
        position = entry.position
        attempt = self._attempts[position.task]
        while position.path not in attempt.waiting and self._deliver(attempt):
            pass
        asked = attempt.waiting.pop(position.path, None)
        if asked is None:
            actual = _shown(attempt.waiting, position) or "no request"
            raise _mismatch(line, position, "the agent asks for something else", entry.envelope.effect, actual)
        _, decider = self._prepare()
        try:
            decided = decider.decide(attempt.scope, position, asked.bound, asked.share, line.at)
        except Busy as busy:
            raise _mismatch(line, position, "the budget decides otherwise", "a decision", str(busy)) from None
        recorded, actual_value = self._plain(entry), self._plain(attrs.evolve(decided.intent, baseline=entry.baseline))
        if recorded != actual_value:
            raise _differing(line, position, "the request or its decision differs", recorded, actual_value)
        attempt.doubtful.discard(position.path)
        attempt.open[position.path] = (decided, asked)

    def _plain(self, intent: EffectIntent) -> Any:
        """Return an intent as a value, with its arguments in full so that a difference names the field."""
        args = self._codec.unseal(intent.envelope.args)
        return self._codec.encode(attrs.evolve(intent, envelope=attrs.evolve(intent.envelope, args=args)))

    def _outcome(self, line: Line, entry: EffectOutcome) -> None:
        position = entry.position
        attempt = self._attempts[position.task]
        decided, question = attempt.open.pop(position.path)
        attempt.lost.discard(position.path)
        is_doubtful = cut_off = False
        if isinstance(decided, Admitted):
            decided.scope.account.settle(decided.reservation, entry.usage)
            is_doubtful = left_in_doubt(decided, entry.outcome)
            begun = entry.usage.ms > 0
            cut_off = begun and decided.effect.side_effect(decided.request) is SideEffect.ONCE
        if attempt.stopped == "interrupt" and isinstance(entry.outcome, Cancelled) and entry.outcome.by == "interrupt":
            attempt.again[position.path] = question
            if is_doubtful or cut_off:
                attempt.doubtful.add(position.path)
            return
        attempt.in_doubt |= is_doubtful
        if attempt.stopped != "timeout":
            attempt.due[position.path] = entry.outcome, question

    def _deliver(self, attempt: Driven) -> bool:
        """Give the agent the next outcome on record that it has not seen. Returns whether there was one.

        A run delivers in the order of the lines, but later than they are written: once they are durable. When is
        seen only by what follows from it, so each waits here until a line needs it.
        """
        if attempt.stopped or attempt.drive.finished or not attempt.due:
            return False
        self._note(attempt, self.deliver_next(attempt))
        return True

    def deliver_next(self, attempt: Driven) -> list[Event]:
        """Give the agent the first outcome that is due and return what came of it. Raises ``KeyError`` for none."""
        path = next(iter(attempt.due))
        outcome, question = attempt.due.pop(path)
        if isinstance(outcome, Ok):
            output = question.bound.request.output
            answer = self._codec.decode(self._codec.unseal(outcome.value), output, "value")
            return attempt.drive.answer(path, answer)
        return attempt.drive.fail(path, self._host.exception(outcome))

    def _decision(self, line: Line, entry: Decision) -> None:
        attempt = self._attempts.get(entry.position.task)
        if attempt is None:
            return
        if entry.position.attempt != attempt.number:
            problem = "the decision is on another attempt than the one under way"
            raise _mismatch(line, entry.position, problem, entry.position.attempt, attempt.number)
        if entry.subject == "race":
            while entry.position.path not in attempt.races and self._deliver(attempt):
                pass
            winner = attempt.races.pop(entry.position.path, None)
            if winner != entry.value:
                raise _mismatch(line, entry.position, "another branch wins the race", entry.value, winner)
        elif entry.subject == "retry":
            self._retry(line, entry, attempt)
        elif entry.subject in ("timeout", "interrupt"):
            self._cut(line, entry, attempt)

    def _cut(self, line: Line, entry: Decision, attempt: Driven) -> None:
        """End an attempt that was cut short, as only one can be whose agent had not ended."""
        if attempt.stopped or attempt.drive.finished:
            ended = attempt.stopped or self._host.conclude(attempt.drive)
            raise _mismatch(line, entry.position, "the attempt had ended by itself", entry.subject, ended)
        attempt.stopped = entry.subject
        if entry.subject == "timeout":
            attempt.due.clear()
            attempt.drive.close()

    def _retry(self, line: Line, entry: Decision, attempt: Driven) -> None:
        """Judge how an attempt ended that is to be tried again."""
        because = entry.value.get("because") if isinstance(entry.value, dict) else None
        status, report = self._ending(line, attempt, entry.position)
        if (status, report.message) != ("failed", because):
            recorded, actual = ({"status": s, "message": m} for s, m in (("failed", because), (status, report.message)))
            raise _differing(line, entry.position, "the attempt ends differently", recorded, actual)
        attempt.progress = report.progress

    def _ending(self, line: Line, attempt: Driven, position: Position) -> tuple[TaskStatus, TaskReport]:
        """Return how an attempt ended: by its timeout, or as its agent ended it."""
        _, task = self._checker.tasks[position.task]
        if attempt.stopped == "interrupt":
            raise _mismatch(line, position, "an interrupted attempt ends with its run", "run.paused", line.entry.kind)
        ended = timed_out(task) if attempt.stopped else self._conclude(line, attempt, position)
        if ended[0] == "failed" and attempt.in_doubt and not task.idempotent:
            return "in_doubt", ended[1]
        return ended

    def _conclude(self, line: Line, attempt: Driven, position: Position) -> tuple[TaskStatus, TaskReport]:
        """Deliver what is left of an attempt's outcomes and return how its agent ended it, as it must have."""
        while self._deliver(attempt):
            pass
        if not attempt.drive.finished:
            waiting = _shown(attempt.waiting, position)
            raise _mismatch(line, position, "the agent asks for more than is on record", "its end", waiting)
        return self._host.conclude(attempt.drive)

    def _end(self, line: Line, entry: TaskEnded) -> None:
        attempt = self._attempts.pop(entry.task, None)
        self._task_scopes.pop(entry.task, None)
        if attempt is None:
            return
        position = Position(entry.task, attempt.number, ())
        status, report = self._ending(line, attempt, position)
        if (status, report) != (entry.status, entry.report or TaskReport()):
            recorded, actual = _plainly(entry.status, entry.report or TaskReport()), _plainly(status, report)
            raise _differing(line, position, "the task ends differently", recorded, actual)


def timed_out(task: Task) -> tuple[TaskStatus, TaskReport]:
    """Return how an attempt ends that took longer than its task may."""
    return "failed", TaskReport("failed", f"timed out after {show_duration(task.timeout or 0)}")


def left_in_doubt(admitted: Admitted, outcome: Outcome) -> bool:
    """Return whether nobody can say if an effect happened that must not happen twice."""
    match outcome:
        case Failed(error):
            unknown = error.unknown
        case Cancelled(_, unknown):
            pass
        case _:
            return False
    return unknown and admitted.effect.side_effect(admitted.request) is SideEffect.ONCE


def _plainly(status: TaskStatus, report: TaskReport) -> dict[str, Any]:
    return {"status": status, "report": attrs.asdict(report)}


def _shown(waiting: dict[Path, Question], position: Position) -> str:
    return ", ".join(f"{asked.bound.request.effect} at {_at(position, path)}" for path, asked in waiting.items())


def _at(position: Position, path: Path) -> Position:
    return attrs.evolve(position, path=path)


def _mismatch(line: Line, position: Position, problem: str, expected: object, actual: object) -> ReplayMismatch:
    return ReplayMismatch(line.number, problem, str(expected), str(actual), task=position.task, position=str(position))


def _differing(line: Line, position: Position, problem: str, recorded: Any, actual: Any) -> ReplayMismatch:
    """Return the mismatch of two values, field by field."""
    found = differences(recorded, actual)
    first, count = found[0], len(found)
    where = first.field if count == 1 else f"{count} fields, first in {first.field}"
    mismatch = _mismatch(line, position, f"{problem} in {where}", first.expected, first.actual)
    return attrs.evolve(mismatch, differences=tuple(found[:MAX_SHOWN]))


def redrive(
    file: BinaryIO,
    codec: Codec,
    host: AgentHost,
    registry: Callable[[Checker], Registry],
    verifier: Callable[[Checker], Verifier] = lambda checker: NO_KEYS,
    blobs: RecordedBlobs | None = None,
) -> Verification:
    """Verify a ledger and drive its agents again. Raises ``LedgerInvalid`` or ``ReplayMismatch`` at the first line
    that does not hold. ``registry`` makes the effects' pure parts for the recorded run,
    ``verifier`` knows the keys that it trusted. Tasks that read what is redacted in ``blobs`` are not driven.
    """
    checker = Checker(codec)
    inner = Redrive(checker, codec, host, registry, verifier)
    driver = PartialRedrive(inner, blobs)
    try:
        for line in read_lines(file, codec):
            checker.take(line)
            try:
                driver.take(line)
            except (LookupError, DecodeError, ValueNotAllowed) as error:
                raise LedgerInvalid(line.number, f"holds what no run could have written: {error}") from None
    finally:
        inner.close()
    return attrs.evolve(checker.finish(), not_driven=tuple(driver.dropped.items()))
