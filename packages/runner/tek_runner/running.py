"""Carrying a session to its end before the user's eyes: progress, then an account or one JSON object."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import attrs
import orjson

from tek_abi import TaskResult
from tek_effects_proc import WEAKER
from tek_kernel import StorageFailed
from tek_runner.console import Console, counted
from tek_runner.exits import exit_of
from tek_runner.prepare import program, shown
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


def run_to_end(session: Session, words: list[str], as_json: bool, left: Left | None = None) -> int:
    """Run a session, or what is ``left`` of one, and return the exit code. ``words`` run it again. Raises as
    ``execute`` does.
    """
    total = len(session.options.selected) or sum(len(queue.tasks) for queue in session.plan.queues)
    done = len(left.checker.ended) if left is not None else 0
    console = Console(total - done, quiet=as_json)
    results: list[TaskResult] = []

    def ended(result: TaskResult) -> None:
        console.ended(result)
        if as_json or result.status not in ("ok", "noop"):
            results.append(result)

    rest = f", {done} of them done" if left is not None else ""
    place = f"{counted(total, 'task')} in {shown(session.workspace)}{rest}"
    console.say(f"tek: {place}, {session.options.workers} at once; {_level(session)}")
    try:
        with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
            finished = execute(session, console.started, ended, left)
    except StorageFailed as error:
        raise RunStopped(error, session.directory) from error
    finally:
        console.close()
    unended = _unended(session, finished)
    if as_json:
        with suppress(BrokenPipeError):
            _print_json(session, finished, results + unended)
    else:
        doubtful = [result for result in unended if result.status == "in_doubt"]
        _print_account(session, finished, results + doubtful, console, words)
    return exit_of(finished.statuses.values(), finished.interrupted)


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
        extra = {key: detail[key] for key in ("commands", "evidence") if key in detail}
        out.write(("," if index else "") + orjson.dumps({**attrs.asdict(result), **extra}).decode())
    out.write("]}\n")


def _print_account(
    session: Session, finished: Finished, bad: list[TaskResult], console: Console, words: list[str]
) -> None:
    """Say what went wrong, each with the command that runs just that task again, then where the proof is."""
    words += [f"--sandbox={session.level}"] if session.level in (OFF, *WEAKER) else []
    for result in bad:
        if result.status != "skipped":
            console.say(f"\n{result.status.upper().replace('_', ' ')} {result.task}  {result.queue}")
            console.say(f"  {result.message}")
            console.say(f"  again: {shlex.join([*words, '--only', result.task])}")
    counts = [
        f"{count} {status.replace('_', ' ')}" for status, count in attrs.asdict(finished.summary).items() if count
    ]
    state = {"": "done", "interrupted": "paused"}.get(finished.paused, f"paused, {finished.paused}")
    console.say(f"\n{state}: {', '.join(counts) or 'nothing to do'}")
    console.say(f"ledger       {shown(session.directory / LEDGER)}")
    console.say(f"ledger head  {finished.ledger_head}")
    if not finished.paused:
        console.say(f"replay hash  {finished.replay_hash}")
        if session.signer is not None:
            console.say(f"signed by    {session.signer.verifier}")
    if finished.paused:
        console.say(f"go on with   {shlex.join(_resume_words(session, finished))}")
    console.say(f"verify with  {shlex.join([program(), 'replay', shown(session.directory / LEDGER)])}")


def _resume_words(session: Session, finished: Finished) -> list[str]:
    words = [program(), "resume", shown(session.directory)]
    return [*words, "--in-doubt=retry|done|fail"] if finished.paused == "in doubt" else words
