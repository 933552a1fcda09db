"""The scheduler: one thread that starts tasks, steps their agents, and waits (DESIGN section 3)."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeAlias

import attrs

from tek_abi import (
    Asked,
    Assignment,
    Budget,
    Cancelled,
    Decision,
    Drive,
    Event,
    ExecutionPlan,
    Instant,
    Ok,
    Path,
    Position,
    Queue,
    Task,
    TaskEnded,
    TaskReport,
    TaskResult,
    TaskStarted,
    TaskStatus,
    Won,
)
from tek_executor.attempt import Attempt, Flight, Work
from tek_executor.graph import Graph
from tek_executor.pipeline import Pipeline
from tek_executor.resume import Again, Doubtful, Fate, InDoubt, Known, Resumption, fate_of, said
from tek_executor.workers import Workers
from tek_kernel import (
    Admitted,
    AgentHost,
    Broker,
    Driven,
    Ledger,
    Refused,
    ReplayHash,
    Result,
    Scopes,
    Settled,
    StorageFailed,
    shares,
    timed_out,
)

_Message: TypeAlias = Callable[[], None]
_MAX_PAUSE = 30_000


@attrs.frozen
class Options:
    """How to run. ``workers`` apply effects at once, and more where requests race; they bound the tasks under way.

    ``backoff`` is the first pause before a retry in milliseconds, doubled each time up to 30 s; ``selected`` are the
    ids to run, empty for all.
    """

    workers: int = 4
    fail_fast: bool = False
    selected: frozenset[str] = frozenset()
    backoff: int = 1000


@attrs.frozen
class Watcher:
    """Who is told when tasks start and end, on the scheduler's thread."""

    started: Callable[[Task, str], None] = lambda task, agent: None
    ended: Callable[[TaskResult, Instant], None] = lambda result, at: None


@attrs.frozen
class RunEnd:
    """How scheduling ended. An ``interrupted`` run is paused, not closed. Tasks without a status never ended."""

    statuses: dict[str, TaskStatus]
    interrupted: bool
    in_doubt: Mapping[str, tuple[Doubtful, ...]] = attrs.field(factory=dict)
    """Tasks that wait for somebody to say whether these requests of theirs happened. The run is paused because of
    them.
    """


class Scheduler:
    """Runs one plan. Call ``run`` once; ``interrupt`` and ``synced`` from any thread or signal handler."""

    def __init__(
        self,
        plan: ExecutionPlan,
        scopes: Scopes,
        broker: Broker,
        ledger: Ledger,
        host: AgentHost,
        replay_hash: ReplayHash,
        agent_of: Callable[[Task], str],
        options: Options,
        watcher: Watcher,
    ) -> None:
        self._ledger, self._host, self._replay_hash = ledger, host, replay_hash
        self._agent_of, self._options, self._watcher = agent_of, options, watcher
        self._graph = Graph(plan, options.selected)
        self._tasks: dict[str, tuple[Queue, Task]] = {task.id: (queue, task) for queue, task in plan.tasks()}
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._workers = Workers(options.workers, broker, self._applied, self._storage_failed)
        self._pipeline = Pipeline(scopes, broker, ledger, self._workers.submit, self._deliver, self._stop_starting)
        self._active: set[Attempt] = set()
        self._timers: list[tuple[float, int, _Message]] = []
        self._timer_order = itertools.count()
        self._pausing = 0
        self._statuses: dict[str, TaskStatus] = {}
        self._in_doubt: dict[str, tuple[Doubtful, ...]] = {}
        self._halt = ""
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop starting tasks, cancel what runs, let ``run`` return. Safe in signal handlers."""
        self._inbox.put(self._interrupt)

    def synced(self) -> None:
        """Tell the scheduler that the ledger's ``synced`` has moved, or that its storage failed."""
        self._inbox.put(self._ledger.check)

    def _applied(self, flight: Flight, result: Result) -> None:
        self._inbox.put(lambda: self._pipeline.settle(flight, result))

    def _storage_failed(self, failure: StorageFailed) -> None:
        def fail() -> None:
            raise failure

        self._inbox.put(fail)

    def run(self) -> RunEnd:
        """Run the plan to its end or interruption. Raises ``StorageFailed``."""
        try:
            while self._go_on():
                pass
        finally:
            for attempt in self._active:
                for flight in attempt.flights.values():
                    flight.cancel.cancel("storage")
                    flight.take()  # what waits for a worker never starts, for nothing could record it
            self._workers.close()
        return RunEnd(self._statuses, self._interrupted, self._in_doubt)

    def adopt(self, left: Resumption) -> None:
        """Go on where a run was cut off. Called before ``run``.

        Raises ``EffectError`` where the answer to what is in doubt cannot be given.
        """
        adopted = [self._adopted(task, driven, left) for task, driven in left.attempts.items()]
        for attempt, driven in adopted:
            for path, (decided, _) in driven.open.items():
                if isinstance(decided, Refused):  # its outcome is the next line
                    self._pipeline.refuse(attempt, path, decided)
        skipped = self._adopt_ended(left)
        for id_, cause in skipped:
            self._skip(id_, cause)
        for attempt, driven in adopted:
            self._go_on_with(attempt, driven, left)

    def _adopt_ended(self, left: Resumption) -> list[tuple[str, str]]:
        """Note the tasks that have ended; return those that can now never start and have no end on record."""
        self._halt = left.halted
        missing: list[tuple[str, str]] = []
        for id_, (status, because) in left.ended.items():
            self._statuses[id_] = status
            good = status in ("ok", "noop")
            if self._options.fail_fast and not good and status != "skipped":
                self._stop_starting(f"{id_} {status} and --fail-fast is set")
            culprit = None if good else because if status == "skipped" else id_
            missing += [found for found in self._graph.ended(id_, culprit) if found[0] not in left.ended]
        self._graph.withdraw({*left.ended, *left.attempts})
        return missing

    def _adopted(self, task: str, driven: Driven, left: Resumption) -> tuple[Attempt, Driven]:
        queue, planned = self._tasks[task]
        record = left.checker.record(task)
        progress = driven.progress or 0
        work = Work(queue, planned, driven.agent, record, driven.scope, driven.number, progress, driven.in_doubt)
        return Attempt(work, driven.drive, driven.number, stopped=driven.stopped), driven

    def _go_on_with(self, attempt: Attempt, driven: Driven, left: Resumption) -> None:
        """Carry on an attempt: what was open first, then what its agent had asked, then what it has not heard yet."""
        work = attempt.work
        if driven.progress is not None:
            self._start(work)
            return
        admitted = {path: (one, asked) for path, (one, asked) in driven.open.items() if isinstance(one, Admitted)}
        fates = {path: fate_of(one, driven, path, work.task, left) for path, (one, _) in admitted.items()}
        doubtful = driven.doubtful if not work.task.idempotent else set[Path]()
        unsaid = {path for path, fate in fates.items() if isinstance(fate, InDoubt)}
        unsaid |= {path for path in doubtful if not left.answer(attempt.position(path))}
        if unsaid:
            all_ = left.doubtful_of(work.task.id, driven)
            self._in_doubt[work.task.id] = tuple(one for one in all_ if one.position.path in unsaid)
            driven.drive.close()
            return
        self._active.add(attempt)
        self._watcher.started(work.task, work.agent)
        if work.task.timeout is not None and not attempt.stopped:
            self._after(work.task.timeout, lambda: self._timeout(attempt))
        for path, winner in driven.races.items():
            self._race_won(attempt, Won(path, winner, ()))
        for path, (one, asked) in admitted.items():
            self._decide(attempt, path, fates[path], Flight(attempt, path, one, asked.asked.racing), left)
        for path, asked in sorted(driven.waiting.items(), key=lambda item: item[0]) if not attempt.stopped else ():
            known = None
            if path in doubtful:
                answer = left.answer(attempt.position(path))
                self._ledger.append(Decision(attempt.position(path), "in-doubt", answer))
                known = partial(said, left=left) if answer != "retry" else None
            self._pipeline.request(attempt, asked.asked, asked.share, known)
        while driven.due and attempt in self._active:
            self._step(attempt, left.redrive.deliver_next(driven))
        if attempt in self._active and attempt.stopped:
            self._finish_stopped(attempt)
        elif attempt in self._active and attempt.drive.finished:
            self._finish(attempt, *self._host.conclude(attempt.drive))

    def _decide(self, attempt: Attempt, path: Path, fate: Fate, flight: Flight, left: Resumption) -> None:
        if isinstance(fate, Again | Known) and fate.answered:
            position = attempt.position(path)
            self._ledger.append(Decision(position, "in-doubt", left.answer(position)))
        if isinstance(fate, Known):
            self._pipeline.conclude(flight, fate.result)
        else:
            self._pipeline.resubmit(flight)

    def _go_on(self) -> bool:
        """Do all that can be done now, then wait for news. Returns whether the run goes on."""
        if self._start_tasks() | self._pipeline.flush():
            while not self._inbox.empty():
                self._inbox.get()()
            return True
        if not self._active and not self._pausing and self._inbox.empty():
            return False
        try:
            self._inbox.get(timeout=self._until_timer())()
        except Empty:
            heapq.heappop(self._timers)[2]()
        return True

    def _until_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _after(self, ms: int, message: _Message) -> None:
        heapq.heappush(self._timers, (time.monotonic() + ms / 1000, next(self._timer_order), message))

    def _start_tasks(self) -> bool:
        """Start tasks while there is room and no news. Returns whether there were any to start or skip."""
        moved = False
        while not self._interrupted and len(self._active) < self._options.workers and self._inbox.empty():
            id_ = self._graph.next_ready()
            if id_ is None:
                break
            moved = True
            queue, task = self._tasks[id_]
            work = Work(queue, task, self._agent_of(task))
            if self._halt:
                self._ledger.append(Decision(Position(id_, 0, ()), "skip", self._halt))
                self._end(work, "skipped", TaskReport("failed", f"not started: {self._halt}"), self._halt)
            else:
                self._watcher.started(task, work.agent)
                self._start(work)
        return moved

    def _start(self, work: Work) -> None:
        work.attempts += 1
        self._ledger.append(TaskStarted(work.task.id, work.agent, work.attempts, work.progress))
        coroutine = self._host.start(work.agent, Assignment(work.task, work.attempts, work.progress))
        attempt = Attempt(work, Drive(coroutine, work.progress), work.attempts)
        self._active.add(attempt)
        if work.task.timeout is not None:
            self._after(work.task.timeout, lambda: self._timeout(attempt))
        self._step(attempt, attempt.drive.start())

    def _step(self, attempt: Attempt, events: list[Event]) -> None:
        """Carry on what an agent's step asked for, in its order."""
        share_of = {asked.path: share for asked, share in shares(events)}
        for event in events:
            if isinstance(event, Won):
                self._race_won(attempt, event)
            elif isinstance(event, Asked) and event.path in share_of:
                self._pipeline.request(attempt, event, share_of[event.path])
        if attempt.drive.finished and attempt in self._active and not attempt.stopped:
            self._finish(attempt, *self._host.conclude(attempt.drive))

    def _race_won(self, attempt: Attempt, won: Won) -> None:
        position = attempt.position(won.path)
        self._ledger.append(Decision(position, "race", won.winner))
        attempt.work.record.race(position, won.winner)
        for path in won.lost:
            if path in attempt.flights:
                self._cancel(attempt.flights[path], "race")
            elif path not in attempt.refused:
                # A loser that never came to an intent gets no outcome: it is lost at once.
                self._pipeline.forget(attempt, path)
                self._step(attempt, attempt.drive.fail(path, self._host.exception(Cancelled("race"))))

    def _deliver(self, attempt: Attempt, path: Path, settled: Settled) -> None:
        if attempt.stopped:
            self._finish_stopped(attempt)
        elif isinstance(outcome := settled.entry.outcome, Ok):
            self._step(attempt, attempt.drive.answer(path, settled.answer))
        else:
            self._step(attempt, attempt.drive.fail(path, self._host.exception(outcome)))

    def _finish_stopped(self, attempt: Attempt) -> None:
        if attempt.flights or attempt.refused:
            return
        if attempt.stopped == "timeout":
            self._finish(attempt, *timed_out(attempt.work.task))
        else:
            self._active.discard(attempt)

    def _finish(self, attempt: Attempt, status: TaskStatus, report: TaskReport) -> None:
        """End an attempt: with a retry where the task has one left, else with the task's end."""
        self._active.discard(attempt)
        work = attempt.work
        if status == "failed" and work.in_doubt and not work.task.idempotent:
            status = "in_doubt"
        if status != "failed" or work.attempts > work.task.retries or self._interrupted or self._halt:
            self._end(work, status, report)
            return
        work.progress = report.progress
        pause = min(self._options.backoff * 2 ** (work.attempts - 1), _MAX_PAUSE)
        self._ledger.append(Decision(attempt.position(), "retry", {"after_ms": pause, "because": report.message}))
        self._pausing += 1
        self._after(pause, lambda: self._retry(work, report))

    def _retry(self, work: Work, last: TaskReport) -> None:
        self._pausing -= 1
        if self._halt and not self._interrupted:
            self._end(work, "failed", last)
        elif not self._interrupted:
            self._start(work)

    def _end(self, work: Work, status: TaskStatus, report: TaskReport, because: str = "") -> None:
        self._record_end(work, status, report, because)
        good = status in ("ok", "noop")
        if self._options.fail_fast and not good and status != "skipped":
            self._stop_starting(f"{work.task.id} {status} and --fail-fast is set")
        culprit = None if good else because if status == "skipped" else work.task.id
        for id_, cause in self._graph.ended(work.task.id, culprit):
            self._skip(id_, cause)

    def _skip(self, id_: str, cause: str) -> None:
        queue, task = self._tasks[id_]
        report = TaskReport("failed", f"skipped because of {cause}")
        self._record_end(Work(queue, task, self._agent_of(task)), "skipped", report, cause)

    def _record_end(self, work: Work, status: TaskStatus, report: TaskReport, because: str) -> None:
        at, id_ = self._ledger.now(), work.task.id
        self._ledger.append(TaskEnded(id_, status, work.attempts, report, because), at)
        self._replay_hash.ended(id_, work.record, status)
        self._statuses[id_] = status
        result = TaskResult(id_, work.queue.name, work.agent, status, report.message, because, work.attempts)
        self._watcher.ended(result, at)

    def _stop_starting(self, reason: str) -> None:
        self._halt = self._halt or reason

    def _timeout(self, attempt: Attempt) -> None:
        if attempt in self._active and not attempt.stopped:
            self._stop(attempt, "timeout")

    def _interrupt(self) -> None:
        self._interrupted = True
        self._timers.clear()
        self._pausing = 0
        for attempt in list(self._active):
            if not attempt.stopped:
                self._stop(attempt, "interrupt")

    def _stop(self, attempt: Attempt, why: str) -> None:
        """Cut an attempt short: its agent ends here, its requests are cancelled and recorded."""
        self._ledger.append(Decision(attempt.position(), why))
        attempt.stopped = why
        attempt.drive.close()
        self._pipeline.forget(attempt)
        for flight in attempt.flights.values():
            self._cancel(flight, why)
        self._finish_stopped(attempt)

    def _cancel(self, flight: Flight, why: str) -> None:
        """Tell a request's effect to stop; where none has started, the request ends here and now."""
        flight.cancel.cancel(why)
        if flight.take():
            self._applied(flight, Result(Cancelled(why), Budget()))
