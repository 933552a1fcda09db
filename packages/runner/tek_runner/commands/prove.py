"""``tek-runner prove``: write the proof that one line is in a signed ledger."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import orjson

from tek_kernel import (
    InclusionProof,
    StorageFailed,
    Unproven,
    VerifierKey,
    chained_lines,
    leaf_hash,
    open_checkpoint,
    write_atomically,
)
from tek_kernel.checkpoint import Checkpoint
from tek_kernel.merkle import root_of_path
from tek_kernel.note import split_note
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import open_input
from tek_runner.proving import read_checkpoint
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_verifier_key


@click.command(
    epilog=examples(
        """
        tek-runner prove last --line 12 --out line-12.tlog-proof
        tek-runner check-proof line-12.tlog-proof --key ledger.key.pub
        """
    )
)
@click.argument("ledger")
@click.option("--line", "number", type=click.IntRange(min=1), required=True, help="The line, counted from 1.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the proof, instead of printing it.")
@click.option("--key", help="The verifier key, or its file: check the checkpoint's signature too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: str, number: int, out: Path | None, key: str | None, as_json: bool) -> None:
    """Prove that a line is in LEDGER: a ledger file, a run's directory, or last, which has a checkpoint.

    The proof (c2sp.org/tlog-proof) holds the line, the way from it to the signed root, and the checkpoint. Whoever has
    the verifier key can check it, without the ledger and without tek.

    """
    path = find_ledger(ledger)
    proof, size = _prove(path, number - 1, None if key is None else read_verifier_key(key))
    data = proof.encode()
    if out is not None:
        try:
            write_atomically(out, data)
        except OSError as error:
            raise StorageFailed(error) from None
    if as_json:
        answer = {
            "line": number,
            "index": proof.index,
            "lines": size,
            "proof": data.decode(),
            "out": out and printable(str(out)),
        }
        click.echo(orjson.dumps(answer))
    elif out is not None:
        click.echo(printable(f"proof of line {number} of {size}: {out}"))
    else:
        sys.stdout.write(data.decode())


def _prove(ledger: Path, index: int, key: VerifierKey | None) -> tuple[InclusionProof, int]:
    note = read_checkpoint(ledger)
    if note is None:
        raise Unproven("ledger", f"{ledger} has no checkpoint, so there is no root to prove anything of; sign it first")
    text, _ = split_note(note, "checkpoint")
    checkpoint = Checkpoint.parse(text) if key is None else open_checkpoint(note, key)
    hashes: list[bytes] = []
    line = b""
    with open_input(ledger, "ledger") as file:
        for number, data, _ in chained_lines(file):
            hashes.append(leaf_hash(data))
            line = data if number - 1 == index else line
    if index >= len(hashes):
        raise click.BadParameter(f"the ledger has {len(hashes)} lines", param_hint="--line")
    proof = InclusionProof.of(hashes, index, line, note)
    root = root_of_path(hashes[index], index, checkpoint.size, proof.path)
    if checkpoint.size != len(hashes) or root != checkpoint.root:
        raise Unproven("ledger", f"{ledger} is not the one that its checkpoint covers: one of them was changed")
    return proof, len(hashes)
