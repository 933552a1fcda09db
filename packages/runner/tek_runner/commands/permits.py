"""``tek-runner permits``: policies from recorded runs."""

from __future__ import annotations

import json
from pathlib import Path

import click
import orjson

from tek_abi import Codec
from tek_kernel import LedgerInvalid, Unproven, needs
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inferring import infer
from tek_runner.inputs import UnreadableInput, open_input
from tek_runner.proving import Held
from tek_runner.recorded import recorded_effects, recorded_keys
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_verifier_key


@click.group()
def command() -> None:
    """Policies from recorded runs."""


@command.command(
    "infer",
    epilog=examples(
        """
        tek-runner permits infer last
        tek-runner permits infer last --out config/manifest.json
        tek-runner permits infer runs/20260131_101500Z --json
        """
    ),
)
@click.argument("ledger")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the manifest to a new file instead of standard output."
)
@click.option("--key", help="The verifier key that you trust, or its file: the checkpoint must be signed by it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the manifest and notes on it.")
def infer_command(ledger: str, out: Path | None, key: str | None, as_json: bool) -> int:
    """Print the smallest manifest that the run of LEDGER (a ledger file, a run's directory, or last) needed.

    A run of the same plan under it is granted what this one was granted, and nothing that was denied. What requests
    named themselves is taken word by word (? stands for a character that no pattern can hold, such as a line's end):
    files, programs with their arguments, hosts, variables. What commands read and
    wrote is not on record; they keep what their tasks held, less what is surely not needed. Nothing is changed.
    """
    path = find_ledger(ledger)
    trusted = None if key is None else read_verifier_key(key)
    with open_input(path, "ledger") as file:
        try:
            held = Held.read(file, trusted)
            needed = needs(file, Codec(held.blobs(path)), recorded_effects, recorded_keys)
            held.check(file, path, needed.verification)
        except (LedgerInvalid, Unproven) as problem:
            click.echo(printable(f"invalid: {path}, {problem}"), err=True)
            if as_json:
                click.echo(orjson.dumps({"status": "invalid", "problem": str(problem)}))
            return Exit.LEDGER
    answer = infer(needed)
    text = json.dumps(answer.manifest, indent=2, ensure_ascii=False)
    if out is not None:
        _write_new(out, text + "\n")
    if as_json:
        head = needed.verification.ledger_head
        click.echo(
            orjson.dumps({"status": "ok", "ledger_head": head, "notes": answer.notes, "manifest": answer.manifest})
        )
        return Exit.OK
    click.echo(f"written to {out}" if out is not None else text)
    for note in answer.notes:
        click.echo(printable(f"note: {note}"), err=True)
    return Exit.OK


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UnreadableInput(str(path), "is there already; name a new file, and compare the two") from None
    except OSError as error:
        raise UnreadableInput(str(path), f"cannot be written: {error.strerror}") from None
