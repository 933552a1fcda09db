"""The account at a run's end: how it went, what went wrong and how to go on, where the proof is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from tek_abi import CODEC, Blob, TaskResult
from tek_effects_proc import WEAKER
from tek_executor.resume import Doubtful
from tek_runner.console import Out, counted
from tek_runner.github import annotation
from tek_runner.prepare import program, shown
from tek_runner.progress import excerpt_lines
from tek_runner.reporting.wording import LONG, cut
from tek_runner.run_directory import LEDGER
from tek_runner.session import OFF, Finished, Session
from tek_runner.task_history import subject_of

LAST_LINES: Final = 20
_MAX_TOLD: Final = 20
_NAMED: Final = 5


def tell(session: Session, finished: Finished, bad: Sequence[TaskResult], words: list[str], out: Out) -> None:
    """Say what went wrong, each with the command that runs just that task again, then where the proof is."""
    words = words + ([f"--sandbox={session.level}"] if session.level in (OFF, *WEAKER) else [])
    told = [result for result in bad if result.status != "skipped"]
    skipped = _skipped_by(bad)
    places = {task.id: task.line for _, task in session.plan.tasks()}
    for result in told[:_MAX_TOLD]:
        for line in _problem(session, finished, result, skipped.get(result.task, []), places, words):
            out.line(line)
    if len(told) > _MAX_TOLD:
        again = shlex.join([program(), "show", shown(session.directory)])
        out.line(f"\nand {counted(len(told) - _MAX_TOLD, 'task')} more that did not end well: see {again}")
    counts = [
        f"{count} {status.replace('_', ' ')}" for status, count in attrs.asdict(finished.summary).items() if count
    ]
    state = {"": "done", "interrupted": "paused"}.get(finished.paused, f"paused, {finished.paused}")
    out.line(f"\n{state}: {', '.join(counts) or 'nothing to do'}")
    for line in _proof(session, finished):
        out.line(line)
    if os.environ.get("GITHUB_ACTIONS") == "true" and session.source is not None:
        for result in told[:_MAX_TOLD]:
            title = f"{result.task} {result.status.replace('_', ' ')}"
            out.raw(annotation(title, shown(session.source), places.get(result.task), result.message))


def _problem(
    session: Session,
    finished: Finished,
    result: TaskResult,
    skipped: Sequence[str],
    places: Mapping[str, int | None],
    words: Sequence[str],
) -> Iterator[str]:
    line = places.get(result.task)
    place = f"  {shown(session.source)}:{line}" if session.source is not None and line else ""
    yield f"\n{result.status.upper().replace('_', ' ')} {result.task}  {result.queue}{place}"
    yield f"  {result.message}"
    for text in excerpt_lines(finished.projection.output(result.task, LAST_LINES)):
        yield f"  | {text}"
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        yield f"  skipped because of it: {', '.join(skipped[:_NAMED])}{more}"
    doubtful = finished.in_doubt.get(result.task, ())
    for one in doubtful[:_MAX_TOLD]:
        yield f"  {one.position}  {one.request.effect}  {_subject(one)}"
        yield from (f"    with {carried}" for carried in _carried(one))
        yield f"    {_answering(session, f'{one.position}={one.answers[0]}')}  (or ={', ='.join(one.answers[1:])})"
    if not doubtful:
        yield f"  again: {shlex.join([*words, '--only', result.task])}"


def _answering(session: Session, answer: str) -> str:
    """Return the command that goes on with a run after answering what is in doubt."""
    return shlex.join([program(), "resume", shown(session.directory), f"--in-doubt={answer}"])


def _subject(one: Doubtful) -> str:
    args = CODEC.encode(one.request)
    return cut(subject_of(one.request.effect, args)) if isinstance(args, dict) else ""


def _carried(one: Doubtful) -> Iterator[str]:
    """Yield what a request would write or send, shortened, so that whoever looks knows what to look for."""
    fields = attrs.fields_dict(type(one.request))  # type: ignore[arg-type]  # each request is an attrs class
    for name in fields:
        data = getattr(one.request, name)
        if not isinstance(data, Blob) or not data.size:
            continue
        try:
            text = data.read()[: 4 * LONG].decode("utf-8", "replace")
        except LookupError:
            continue  # it was redacted
        yield f"{name} {cut(repr(text))} ({counted(data.size, 'byte')})"


def _skipped_by(bad: Sequence[TaskResult]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in bad:
        if result.status == "skipped" and result.because:
            found.setdefault(result.because, []).append(result.task)
    return found


def _proof(session: Session, finished: Finished) -> Iterator[str]:
    ledger = shown(session.directory / LEDGER)
    yield f"ledger       {ledger}"
    yield f"ledger head  {finished.ledger_head}"
    if not finished.paused:
        yield f"replay hash  {finished.replay_hash}"
        if session.signer is not None:
            yield f"signed by    {session.signer.verifier}"
    else:
        yield from _go_on(session, finished)
    yield f"verify with  {shlex.join([program(), 'replay', ledger])}"


def _go_on(session: Session, finished: Finished) -> Iterator[str]:
    if finished.paused != "in doubt":
        yield f"go on with   {shlex.join([program(), 'resume', shown(session.directory)])}"
        return
    every = [one for several in finished.in_doubt.values() for one in several]
    if all("done" in one.answers for one in every):
        yield f"go on with   {_answering(session, 'done')}   if all of it happened"
    yield f"go on with   {_answering(session, 'retry')}   if none of it did, or may again"
    yield f"go on with   {_answering(session, 'fail')}   to count it as failed"
