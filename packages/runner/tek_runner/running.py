"""Carrying a session to its end before the user's eyes: progress, then an account or one JSON object."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

import attrs
import orjson

from tek_abi import CODEC, TaskResult
from tek_effects_proc import WEAKER
from tek_executor.resume import Doubtful
from tek_kernel import StorageFailed
from tek_runner.account import tell
from tek_runner.console import Out, counted
from tek_runner.excerpt import Excerpt
from tek_runner.exits import exit_of
from tek_runner.manifest_edit import grant
from tek_runner.prepare import program, shown
from tek_runner.progress import Mode, Progress, make_progress
from tek_runner.resuming import Left
from tek_runner.run_directory import LEDGER
from tek_runner.session import NO_COMMANDS, OFF, Finished, Session, agent_of, execute


class RunStopped(StorageFailed):
    """Storage gave up while a run was under way. What stands in its ledger is safe."""

    def __init__(self, error: StorageFailed, directory: Path) -> None:
        super().__init__(error.cause)
        self.directory = directory

    def __str__(self) -> str:
        try:
            lines = (self.directory / LEDGER).read_bytes().count(b"\n")
        except OSError:
            lines = 0
        again = shlex.join([program(), "resume", shown(self.directory)])
        safe = f"{lines} lines are on record"
        return f"{super().__str__()}; {safe}, and once it can be written again the run goes on with {again}"


def run_to_end(
    session: Session, words: list[str], as_json: bool, mode: Mode = "plain", left: Left | None = None
) -> int:
    """Run a session, or what is ``left`` of one, and return the exit code. ``words`` run it again. Raises as
    ``execute`` does.
    """
    total = len(session.options.selected) or sum(len(queue.tasks) for queue in session.plan.queues)
    done = len(left.checker.ended) if left is not None else 0
    progress = Progress() if as_json else make_progress(mode, total - done, _bounds(session))
    watched = _Results(progress, as_json)
    rest = f", {done} of them done" if left is not None else ""
    place = f"{counted(total, 'task')} in {shown(session.workspace)}{rest}"
    out = Out()
    progress.opened(f"tek: {place}, {session.options.workers} at once; {_level(session)}")
    try:
        with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
            finished = execute(session, watched, left)
    except StorageFailed as error:
        raise RunStopped(error, session.directory) from error
    finally:
        progress.close()
    unended = _unended(session, finished)
    if as_json:
        with suppress(BrokenPipeError):
            _print_json(session, finished, watched.results + unended)
    else:
        doubtful = [result for result in unended if result.status == "in_doubt"]
        tell(session, finished, watched.results + doubtful, words, out)
    if not finished.paused:
        _keep(session, left, out, as_json)
    return exit_of(finished.statuses.values(), finished.interrupted)


class _Results(Progress):
    """Hands progress on, and keeps the results that the account needs."""

    def __init__(self, inner: Progress, everything: bool) -> None:
        self._inner = inner
        self._everything = everything
        self.results: list[TaskResult] = []
        self.started = inner.started  # type: ignore[method-assign]  # nothing is added on the way
        self.entry = inner.entry  # type: ignore[method-assign]

    @property
    def follows(self) -> bool:
        return self._inner.follows

    def ended(self, result: TaskResult, output: Callable[[], Excerpt]) -> None:
        self._inner.ended(result, output)
        if self._everything or result.status not in ("ok", "noop"):
            self.results.append(result)


def _bounds(session: Session) -> dict[str, int]:
    """Return the run's ceilings, by dimension."""
    limit = session.policy.run.narrow(session.plan.budget)
    return {name: bound for name, bound in limit.items() if isinstance(bound, int)}


def _keep(session: Session, left: Left | None, out: Out, as_json: bool) -> None:
    """Write to the manifest what was granted for always, now that the run is closed."""
    approvals = session.approvals if left is None else tuple(left.checker.approvals.values())
    directory = session.config.place or session.workspace / "config"
    for rule in grant(directory / "manifest.json", approvals):
        if not as_json:
            out.line(f"granted      {rule}, from now on: {shown(directory / 'manifest.json')}")


def _level(session: Session) -> str:
    if session.dry_run:
        return "dry run: nothing is executed"
    if session.level == NO_COMMANDS:
        return "no task runs commands"
    if session.level == OFF:
        return "commands are NOT confined by the OS, only checked before they start"
    return f"commands are confined by the OS ({', '.join((session.level, *_weakness(session.level)))})"


def _weakness(level: str) -> tuple[str, ...]:
    return (WEAKER[level],) if level in WEAKER else ()


def _unended(session: Session, finished: Finished) -> list[TaskResult]:
    """Return a result for each task that was to run and has no end on record."""
    choose, selected = agent_of(session.policy, session.dry_run), session.options.selected
    doubt = "a request was cut off, and nobody knows whether it happened"
    found: list[TaskResult] = []
    for queue, task in session.plan.tasks():
        if finished.statuses.get(task.id) == "in_doubt" and finished.paused == "in doubt":
            found.append(TaskResult(task.id, queue.name, choose(task), "in_doubt", doubt))
        elif task.id not in finished.statuses and (not selected or task.id in selected):
            why = f"the run was {finished.paused}" if finished.interrupted else "it waits for what is in doubt"
            found.append(TaskResult(task.id, queue.name, choose(task), "cancelled", why))
    return found


def _in_doubt(one: Doubtful) -> dict[str, object]:
    args = CODEC.encode(one.request)
    return {"position": str(one.position), "effect": one.request.effect, "args": args, "answers": list(one.answers)}


def _print_json(session: Session, finished: Finished, results: list[TaskResult]) -> None:
    """Print the one object of ``run --json``, its results piece by piece: there may be a hundred thousand."""
    details = {detail["task"]: detail for detail in finished.projection.results()}
    head = {
        "status": "paused" if finished.paused else finished.summary.status,
        "run_dir": str(session.directory),
        "ledger": str(session.directory / LEDGER),
        "ledger_head": finished.ledger_head,
        "replay_hash": finished.replay_hash,
        "signed_by": None if session.signer is None or finished.paused else str(session.signer.verifier),
        "level": session.level,
        "tasks": attrs.asdict(finished.summary),
    }
    out = sys.stdout
    out.write(orjson.dumps(head).decode()[:-1] + ',"results":[')
    for index, result in enumerate(results):
        detail = details.get(result.task, {})
        extra: dict[str, object] = {key: detail[key] for key in ("commands", "evidence") if key in detail}
        if result.task in finished.in_doubt:
            extra["in_doubt"] = [_in_doubt(one) for one in finished.in_doubt[result.task]]
        out.write(("," if index else "") + orjson.dumps({**attrs.asdict(result), **extra}).decode())
    out.write("]}\n")
