"""``tek-runner diff``: in what two recorded runs differ."""

from __future__ import annotations

import click
import orjson

from tek_kernel import LedgerInvalid, Unproven
from tek_runner.comparing import compare
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import open_input
from tek_runner.proving import Held
from tek_runner.recorded import Record
from tek_runner.run_directory import find_ledger


@click.command(
    epilog=examples(
        """
        tek-runner diff runs/20260131_101500Z last
        tek-runner diff before/ledger.jsonl after/ledger.jsonl --json
        """
    )
)
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(a: str, b: str, as_json: bool) -> int:
    """Compare the runs of A and B (ledger files, run directories, or last), task by task.

    Both are verified first. Then follow the differences of their plans and policies, of each request and its outcome
    by position, of how tasks ended, and of what they used. Ends with 0 if the replay hashes are equal, else with 1.
    """
    records: list[Record] = []
    for name in (a, b):
        path = find_ledger(name)
        with open_input(path, "ledger") as file:
            try:
                held = Held.read(file, None)
                record = Record.read(file, held.blobs(path))
                held.check(file, path, record.verification)
            except (LedgerInvalid, Unproven) as problem:
                click.echo(printable(f"invalid: {path}, {problem}"), err=True)
                if as_json:
                    click.echo(orjson.dumps({"status": "invalid", "ledger": str(path), "problem": str(problem)}))
                return Exit.LEDGER
        records.append(record)
    found = compare(*records)
    if as_json:
        click.echo(orjson.dumps(found.as_json()))
    else:
        for text in found.lines():
            click.echo(printable(text))
    return Exit.OK if found.is_same else Exit.FAILED
