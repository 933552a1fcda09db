"""``tek-runner gc``: remove old run directories by a rule."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson

from tek_abi.quantity import show_size
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.retention import Rule, Run, RunsDirectory


@click.command(
    epilog=examples(
        """
        tek-runner gc --keep-last 20 --dry-run
        tek-runner gc --keep-days 30
        tek-runner gc work/runs --keep-last 5 --keep-days 7 --unfinished
        """
    )
)
@click.argument("runs", type=click.Path(path_type=Path), default=Path("runs"), metavar="[RUNS_DIR]")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep the newest N finished runs.")
@click.option("--keep-days", type=click.IntRange(0, 36_500), metavar="D", help="Keep runs of the last D days.")
@click.option("--unfinished", is_flag=True, help="Also remove runs that were cut off or paused and could be resumed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    runs: Path, keep_last: int | None, keep_days: int | None, unfinished: bool, dry_run: bool, as_json: bool
) -> int:
    """Remove old runs from RUNS_DIR (runs/ where it is left out): whole directories, ledger, blobs and logs.

    A run goes that no given rule keeps. Only directories go that run has named after the time; never one that is in
    use, nor, without --unfinished, one whose ledger is not closed. No symbolic link is followed.

    """
    if keep_last is None and keep_days is None:
        raise click.UsageError("say what to keep: --keep-last N, --keep-days D, or both")
    rule = Rule(keep_last, keep_days, unfinished)
    with closing(RunsDirectory(runs)) as directory:
        found = directory.runs()
        going = list(rule.removes(found, datetime.now(UTC)))
        removed = going if dry_run else [run for run in going if directory.remove(run)]
    kept = [run for run in found if run not in removed]
    if as_json:
        answer = {"removed": list(map(_row, removed)), "kept": list(map(_row, kept)), "dry_run": dry_run}
        click.echo(orjson.dumps({**answer, "bytes": sum(run.size for run in removed)}))
        return Exit.OK
    word = "would remove" if dry_run else "removed"
    for run in removed:
        click.echo(printable(f"{word}  {runs / run.name}  {show_size(run.size)}  {run.state}"))
    for run in kept:
        if run.state != "closed":
            click.echo(printable(f"kept  {runs / run.name}  {run.state}"))
    freed = "would be freed" if dry_run else "freed"
    click.echo(f"{show_size(sum(run.size for run in removed))} {freed}; {len(kept)} of {len(found)} runs stay")
    return Exit.OK


def _row(run: Run) -> dict[str, object]:
    return {"name": run.name, "started": f"{run.started:%FT%TZ}", "state": run.state, "size": run.size}
