"""``tek-runner permits``: what the policy grants, taking it back, and policies from recorded runs."""

from __future__ import annotations

import json
from pathlib import Path

import click
import orjson

from tek_abi import Codec, Permit
from tek_abi.permit import show_path
from tek_kernel import LedgerInvalid, Unproven, needs
from tek_runner.config import load_config
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inferring import infer
from tek_runner.inputs import UnreadableInput, open_input
from tek_runner.manifest_edit import revoke
from tek_runner.proving import Held
from tek_runner.recorded import recorded_effects, recorded_keys
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_verifier_key


@click.group()
def command() -> None:
    """What the policy grants, and what a recorded run needed of it."""


_CONFIG = click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path),
    default=Path("config"),
    show_default=True,
    help="The configuration's directory.",
)


@command.command(
    "list",
    epilog=examples(
        """
        tek-runner permits list
        tek-runner permits list --config /etc/tek --json
        """
    ),
)
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(config_dir: Path, as_json: bool) -> int:
    """List what the policy grants, with where each permit stands: the preset or an entry of the manifest."""
    config = load_config(config_dir, config_dir != Path("config"))
    rows = [_row(permit) for permit in config.policy.permits]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return Exit.OK
    widths = [max(len(row[name]) for row in rows) for name in ("rule", "subject")] if rows else []
    for row in rows:
        narrowed = "".join(f"  {name} {row[name]}" for name in ("exclude", "expires_at", "caveats") if row[name])
        head = "  ".join(row[name].ljust(width) for name, width in zip(("rule", "subject"), widths, strict=True))
        click.echo(printable(f"{head}  {row['origin']}{narrowed}"))
    return Exit.OK


def _row(permit: Permit) -> dict[str, str]:
    return {
        "rule": f"{permit.action[0]}:{' & '.join(map(show_path, permit.resource))}",
        "subject": " & ".join(dict.fromkeys(permit.subject)),
        "origin": permit.rule,
        "exclude": ", ".join(map(show_path, permit.exclude)),
        "expires_at": permit.expires_at or "",
        "caveats": ", ".join(f"{caveat.name}={caveat.value}" for caveat in permit.caveats),
    }


@command.command(
    "revoke",
    epilog=examples(
        """
        tek-runner permits revoke env.get:API_TOKEN
        tek-runner permits revoke 'fs.write:out/**' --task TASK-003
        """
    ),
)
@click.argument("rule", metavar="ACTION:RESOURCE")
@click.option("--task", help="Only where it was granted to this task (or other subject) alone.")
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the entries that are gone.")
def revoke_command(rule: str, task: str | None, config_dir: Path, as_json: bool) -> int:
    """Remove the manifest's entries that grant exactly ACTION:RESOURCE, as permits list shows them.

    What a preset grants has no entry: choose a narrower preset for that. Runs that are over are not changed.
    """
    path = config_dir / "manifest.json"
    gone = revoke(path, rule, task)
    if as_json:
        click.echo(orjson.dumps({"status": "ok" if gone else "nothing", "revoked": gone}))
    for entry in gone if not as_json else ():
        click.echo(printable(f"revoked from {path}: {json.dumps(entry, ensure_ascii=False)}"))
    if not gone and not as_json:
        whom = f" for {task}" if task else ""
        problem = f"tek-runner: {path} has no entry for exactly {rule}{whom}; see tek-runner permits list"
        click.echo(printable(problem), err=True)
    return Exit.OK if gone else Exit.USAGE


@command.command(
    "infer",
    epilog=examples(
        """
        tek-runner permits infer last
        tek-runner permits infer last --out inferred.json
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
