"""``tek-runner check-proof``: check the proof of one line, without its ledger."""

from __future__ import annotations

import sys

import click
import orjson

from tek_kernel import InclusionProof
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import read_input
from tek_runner.signing import read_verifier_key


@click.command(
    epilog=examples(
        """
        tek-runner check-proof line-12.tlog-proof --key ledger.key.pub
        sed -n 12p ledger.jsonl | tek-runner check-proof line-12.tlog-proof --key ledger.key.pub --line-file -
        """
    )
)
@click.argument("proof")
@click.option("--key", required=True, help="The verifier key that you trust, or its file.")
@click.option("--line-file", help="A file with the line, LF included, that must be the proven one; - is stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(proof: str, key: str, line_file: str | None, as_json: bool) -> None:
    """Check PROOF, a file of tek-runner prove, and print the line that it proves.

    It says that whoever has the signing key signed a ledger with this line at this place. It ends with 4 where it does
    not hold.

    """
    verifier = read_verifier_key(key)
    found = InclusionProof.parse(read_input(proof, "proof"))
    line = None if line_file is None else _line(line_file)
    checkpoint = found.verify(verifier, line)
    text = (found.line or line or b"").decode("utf-8", "replace").removesuffix("\n")
    if as_json:
        answer = {"status": "ok", "origin": checkpoint.origin, "line": found.index + 1, "lines": checkpoint.size}
        click.echo(orjson.dumps({**answer, "root": checkpoint.root.hex(), "key": str(verifier), "text": text}))
        return
    click.echo(f"ok: line {found.index + 1} of {checkpoint.size} of {checkpoint.origin}", err=True)
    click.echo(printable(text))


def _line(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else read_input(name, "line")
