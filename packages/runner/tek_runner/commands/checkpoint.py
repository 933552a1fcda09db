"""``tek-runner checkpoint``: sign a closed ledger that has no checkpoint yet."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from tek_abi import Codec
from tek_kernel import Unproven, verify
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import UnreadableInput, open_input
from tek_runner.proving import CHECKPOINT, Held, read_checkpoint, write_checkpoint
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_signing_key


@click.command(
    epilog=examples(
        """
        tek-runner checkpoint last --key /etc/tek/ledger.key
        tek-runner checkpoint runs/20260131_101500Z --key ledger.key --json
        """
    )
)
@click.argument("ledger")
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), required=True, help="The signing key, as keygen wrote it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: str, key_file: Path, as_json: bool) -> None:
    """Sign LEDGER: a ledger file, a run's directory, or last.

    For a run that was cut off between its last line and its checkpoint, and for those who keep the key elsewhere. The
    ledger is verified first; what the signature then says is that it was as it is when you signed it.

    """
    path = find_ledger(ledger)
    key = read_signing_key(key_file)
    if read_checkpoint(path) is not None:
        raise UnreadableInput(str(path.parent / CHECKPOINT), "is there already; a ledger is signed once")
    with open_input(path, "ledger") as file:
        held = Held.read(file, None)
        verified = verify(file, Codec(held.blobs(path)))
    if verified.state != "closed":
        raise Unproven("ledger", "is of a paused run, which more lines may follow; only a closed one is signed")
    written = write_checkpoint(path.parent, held.opened.run, verified.ledger_head, key)
    if as_json:
        answer = {"checkpoint": printable(str(written)), "key": str(key.verifier), "lines": verified.entries}
        click.echo(orjson.dumps(answer))
    else:
        click.echo(printable(f"signed {verified.entries} lines by {key.verifier}\ncheckpoint   {written}"))
