"""``tek-runner show``: page through a recorded run in the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click
import orjson

from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.history import RunHistory
from tek_runner.run_directory import find_ledger
from tek_runner.showing import run_json, run_lines, task_json, task_lines
from tek_runner.task_names import find_tasks


@click.command(
    epilog=examples(
        """
        tek-runner show last
        tek-runner show last TASK-003
        tek-runner show runs/20260131_101500Z 3 --json
        """
    )
)
@click.argument("run", default="last", metavar="[RUN]")
@click.argument("task", required=False)
@click.option("--no-pager", is_flag=True, help="Write it all at once on a terminal, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: str, task: str | None, no_pager: bool, as_json: bool) -> int:
    """Tell what happened in RUN (a run's directory, its ledger, or last), or all about one TASK of it.

    TASK is an id, its beginning, or its number. The chain and the schema of every line are checked, no more:
    tek-runner replay proves the rest. A run that is under way, was cut off or is damaged is told up to there; a
    damaged one ends with 4.
    """
    history = RunHistory.read(find_ledger(run))
    tasks = None if task is None else find_tasks(history, task)
    if as_json:
        answer = run_json(history) if tasks is None else {"tasks": [task_json(history, one) for one in tasks]}
        click.echo(orjson.dumps(answer))
    else:
        lines = run_lines(history) if tasks is None else (text for one in tasks for text in task_lines(history, one))
        page(lines, no_pager)
    return Exit.LEDGER if history.state == "damaged" else Exit.OK


def page(lines: Iterator[str], no_pager: bool) -> None:
    """Write lines, on a terminal through the user's pager."""
    texts = (printable(line) + "\n" for line in lines)
    if no_pager or not sys.stdout.isatty():
        for text in texts:
            click.echo(text, nl=False)
        return
    os.environ.setdefault("LESS", "FRX")  # what fits on the screen needs no key to leave it
    click.echo_via_pager(texts)
