"""``tek-runner redact``: let a blob of a closed run give way to a tombstone."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import click
import orjson

from tek_abi import Codec
from tek_kernel import (
    Checker,
    KeyInvalid,
    RecordedBlobs,
    SigningKey,
    StorageFailed,
    Tombstone,
    Unproven,
    open_checkpoint,
    read_lines,
    utc_now,
)
from tek_kernel.redaction import MAX_REASON
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import open_input
from tek_runner.proving import Held, read_checkpoint
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_signing_key

_DIGEST = re.compile(r"[0-9a-f]{64}")


@click.command(
    epilog=examples(
        """
        tek-runner redact last --blob 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        tek-runner redact last --blob 9f86...0a08 --reason 'a customer asked' --key /etc/tek/ledger.key
        """
    )
)
@click.argument("ledger")
@click.option("--blob", required=True, help="The blob's SHA-256, as the ledger names it.")
@click.option("--reason", default="not given", help="Why, on one line; it stands in the tombstone.")
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), help="The signing key; a signed ledger needs its own."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: str, blob: str, reason: str, key_file: Path | None, as_json: bool) -> None:
    """Remove a blob of LEDGER (a ledger file, a run's directory, or last) for good, and say so in its place.

    The ledger stays as it is and still verifies. Tasks that read the blob can no longer be driven again; all others
    can. Logs that hold the same bytes are removed with it. Copies elsewhere and the disk's own traces are yours.

    """
    if not _DIGEST.fullmatch(blob):
        raise click.BadParameter("a digest has 64 hex digits; replay and the ledger name it", param_hint="--blob")
    if not reason.isprintable() or not 0 < len(reason) <= MAX_REASON:
        raise click.BadParameter(f"is one line of at most {MAX_REASON} characters", param_hint="--reason")
    path = find_ledger(ledger)
    key = None if key_file is None else read_signing_key(key_file)
    redaction = _prepare(path, blob, reason, key)
    logs = list(_logs_with(path.parent / "logs", redaction.bytes))
    redaction.blobs.redact(redaction.tombstone, key)
    try:
        for log in logs:
            log.unlink()
    except OSError as error:
        raise StorageFailed(error) from None
    if as_json:
        answer = {
            "blob": blob,
            "size": redaction.tombstone.size,
            "signed": key is not None,
            "logs": [printable(str(log)) for log in logs],
        }
        click.echo(orjson.dumps(answer))
        return
    click.echo(f"redacted {blob}, {redaction.tombstone.size} bytes{'' if key else ', by an unsigned tombstone'}")
    for log in logs:
        click.echo(printable(f"removed  {log}, which held them"))


@attrs.frozen
class _Redaction:
    tombstone: Tombstone
    bytes: bytes
    blobs: RecordedBlobs


def _prepare(path: Path, sha256: str, reason: str, key: SigningKey | None) -> _Redaction:
    """Return what is to be done, once the ledger has been verified and names the blob."""
    with open_input(path, "ledger") as file:
        held = Held.read(file, None)
        _check_key(held, path, key)
        blobs = attrs.evolve(held, key=None if key is None else key.verifier).blobs(path)
        found = blobs.tombstone(sha256)
        if found is not None and blobs.path(sha256).exists():
            return _Redaction(found.tombstone, b"", blobs)  # an earlier call was cut off between its two steps
        checker = Checker(Codec(blobs))
        for line in read_lines(file, Codec(blobs)):
            checker.take(line)
        if checker.finish().state != "closed":
            raise Unproven("ledger", "is of a paused run, which still needs its blobs")
    if sha256 in checker.redacted:
        raise click.BadParameter(f"{checker.redacted[sha256]}", param_hint="--blob")
    if sha256 not in checker.blobs:
        raise click.BadParameter("no line of the ledger names it", param_hint="--blob")
    if sha256 in orjson.dumps([checker.plan_entry.plan, checker.plan_entry.policy]).decode():
        raise click.BadParameter("is the plan or the policy, without which nothing verifies", param_hint="--blob")
    data = blobs.get(sha256)
    return _Redaction(Tombstone(held.opened.run, sha256, len(data), utc_now(), reason), data, blobs)


def _check_key(held: Held, path: Path, key: SigningKey | None) -> None:
    """Refuse another key than the one that signs this ledger, or none."""
    note = read_checkpoint(path)
    if key is None:
        if held.key is not None or note is not None:
            raise KeyInvalid(
                "signing key", "is missing: this ledger is signed, and so are its tombstones; say --key FILE"
            )
        return
    if held.key is not None and held.key != key.verifier:
        raise KeyInvalid("signing key", f"{key.name} is not the one that the ledger names: {held.key}")
    if note is not None:
        open_checkpoint(note, key.verifier)


def _logs_with(directory: Path, data: bytes) -> Iterator[Path]:
    """Yield the run's logs that hold these bytes."""
    if not data or directory.is_symlink() or not directory.is_dir():
        return
    for entry in sorted(os.scandir(directory), key=lambda one: one.name):
        if not entry.is_file(follow_symlinks=False) or entry.stat().st_size < len(data):
            continue
        with open(entry.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if text.find(data) >= 0:
                yield Path(entry.path)
