"""``tek-runner keygen``: make the key that signs checkpoints."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import click
import orjson

from tek_kernel import SigningKey
from tek_kernel.note import check_key_name
from tek_kernel.storage import sync_directory
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import UnreadableInput


@click.command(
    epilog=examples(
        """
        tek-runner keygen /etc/tek/ledger.key --name example.org/ci
        tek-runner replay last --verify --key /etc/tek/ledger.key.pub
        """
    )
)
@click.argument("out", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--name", required=True, help="The key's name, best a URL without a scheme that is yours.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(out: Path, name: str, as_json: bool) -> None:
    """Write a new Ed25519 signing key to FILE, for its owner alone, and its verifier key to FILE.pub.

    Name FILE as checkpoint_key in config/manifest.json, and every run signs its ledger when it is closed. Hand out
    the verifier key. Files that are there are never overwritten.

    """
    check_key_name(name)
    key = SigningKey(name, secrets.token_bytes(32))
    public = out.with_name(out.name + ".pub")
    if os.path.lexists(public):
        raise UnreadableInput(str(public), "is there already, and a key is never overwritten")
    _write_new(out, key.text(), 0o600)
    _write_new(public, f"{key.verifier}\n", 0o644)
    if as_json:
        answer = {"name": name, "key_id": key.verifier.id.hex(), "verifier_key": str(key.verifier)}
        files = {"signing_key_file": printable(str(out)), "verifier_key_file": printable(str(public))}
        click.echo(orjson.dumps(answer | files))
        return
    click.echo(printable(f"signing key   {out}  (secret)"))
    click.echo(printable(f"verifier key  {public}"))
    click.echo(str(key.verifier))


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UnreadableInput(str(path), "is there already, and a key is never overwritten") from None
    except (OSError, ValueError) as error:
        raise UnreadableInput(str(path), f"cannot be written: {getattr(error, 'strerror', None) or error}") from None
    try:
        with open(fd, "w", encoding="utf-8") as file:
            os.fchmod(fd, mode)
            file.write(text)
            file.flush()
            os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    sync_directory(path.parent)
