"""``tek-runner logs``: what the commands of a run wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
import orjson

from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.history import RunHistory, TaskHistory
from tek_runner.output_log import STREAMS, Output, follow, outputs
from tek_runner.run_directory import find_ledger
from tek_runner.task_names import find_tasks


@click.command(
    epilog=examples(
        """
        tek-runner logs last
        tek-runner logs last TASK-003 --tail 50
        tek-runner logs last 3 --stderr
        tek-runner logs last --follow
        """
    )
)
@click.argument("run", default="last", metavar="[RUN]")
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@click.option("--stdout", "only", flag_value="stdout", help="Only what went to standard output.")
@click.option("--stderr", "only", flag_value="stderr", help="Only what went to standard error.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--follow", "-f", "follows", is_flag=True, help="Wait for more while the run goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each stream of a command.")
def command(run: str, tasks: tuple[str, ...], only: str | None, tail: int | None, follows: bool, as_json: bool) -> int:
    """Print what the commands of RUN (a run's directory, its ledger, or last) wrote, or those of some TASKs of it.

    TASK is an id, its beginning, or its number. The output of a command is on record when it has ended, standard
    output first, and is checked against its digest; output that is missing or was altered ends this with 4. The
    lines of several tasks start with their names. To a pipe a single task's output goes byte by byte.
    """
    if follows and tail is not None:
        raise click.UsageError("--tail is about what is there, --follow about what is to come; say one")
    path = find_ledger(run)
    streams = STREAMS if only is None else (only,)
    told: set[tuple[int, str]] = set()
    is_whole = True
    for history in follow(path) if follows else (RunHistory.read(path),):
        chosen = _chosen(history, tasks)
        new = [one for one in outputs(history, chosen, streams) if (one.effect.line, one.stream) not in told]
        told |= {(one.effect.line, one.stream) for one in new}
        is_whole = is_whole and history.state != "damaged" and all(not one.problem or one.is_redacted for one in new)
        if as_json:
            for one in new:
                click.echo(orjson.dumps(_json(one)))
        elif len(chosen) == 1 and tail is None and not sys.stdout.isatty():
            _copy(new)
        else:
            lines = list(_lines(new, named=len(chosen) > 1))
            for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
                click.echo(printable(line))
    return Exit.OK if is_whole else Exit.LEDGER


def _chosen(history: RunHistory, names: Sequence[str]) -> list[TaskHistory]:
    if not names:
        return list(history.selected)
    found = [task for name in names for task in find_tasks(history, name)]
    return list({task.task.id: task for task in found}.values())


def _copy(new: Sequence[Output]) -> None:
    """Write output as it is. What cannot be had is told apart from it."""
    for one in new:
        if one.problem:
            click.echo(printable(_missing(one)), err=True)
        sys.stdout.buffer.write(one.data)
    sys.stdout.flush()


def _lines(new: Sequence[Output], named: bool) -> Iterator[str]:
    for one in new:
        before = f"{one.task} | " if named else ""
        if one.problem:
            yield f"{before}{_missing(one)}"
        text = one.data.decode("utf-8", "replace")
        yield from (f"{before}{line.expandtabs()}" for line in text.removesuffix("\n").split("\n") if one.data)


def _missing(one: Output) -> str:
    word = "" if one.is_redacted else ", cannot be shown"
    return f"[tek] {one.stream} of {one.effect.position}, {one.blob.size:,} bytes{word}: {one.problem}"


def _json(one: Output) -> dict[str, Any]:
    return {
        "task": one.task,
        "position": str(one.effect.position),
        "stream": one.stream,
        "sha256": one.blob.sha256,
        "size": one.blob.size,
        "text": None if one.problem else one.data.decode("utf-8", "replace"),
        "problem": one.problem or None,
        "redacted": one.is_redacted,
    }
