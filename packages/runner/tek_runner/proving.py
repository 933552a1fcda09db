"""The checkpoint beside a ledger, and what a ledger and its blobs are held to with a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import attrs

from tek_abi import CODEC, RunOpened
from tek_kernel import (
    KeyInvalid,
    LedgerInvalid,
    LedgerTree,
    RecordedBlobs,
    SigningKey,
    StorageFailed,
    Unproven,
    Verification,
    VerifierKey,
    open_checkpoint,
    origin_of,
    read_lines,
    write_atomically,
)
from tek_kernel.note import MAX_NOTE
from tek_runner.inputs import open_input
from tek_runner.run_directory import BLOBS, LEDGER

CHECKPOINT: Final = "checkpoint"
KEY_ON_RECORD: Final = "checkpoint_key"
"""The field of ``run.opened``'s ``obs`` with the verifier key of a run that is to be signed."""

Standing: TypeAlias = Literal["none", "unchecked", "on-record", "verified"]
"""How far a checkpoint was checked: there is none; with no key; with the key that the ledger itself names, which
finds damage but no forger; with a key that the user trusts."""


@attrs.frozen
class Held:
    """A ledger with the key that it is held to. ``trusted`` says that the user gave the key."""

    opened: RunOpened
    key: VerifierKey | None
    trusted: bool

    @classmethod
    def read(cls, file: BinaryIO, given: VerifierKey | None) -> Held:
        """Read a ledger's first line and go back to its start. Raises ``LedgerInvalid`` or ``Unproven``."""
        first = next(read_lines(file, CODEC), None)
        file.seek(0)
        if first is None:
            raise LedgerInvalid(1, "unfinished: the ledger is empty", "run.opened", "end of file", unfinished=True)
        if not isinstance(first.entry, RunOpened):
            raise LedgerInvalid(1, "a ledger starts with another line", "run.opened", first.entry.kind)
        return cls(first.entry, given or _key_on_record(first.entry), given is not None)

    def blobs(self, ledger: Path) -> RecordedBlobs:
        """Return the blobs beside the ledger. Tombstones count only if the key has signed them, where there is one."""
        return RecordedBlobs(ledger.parent / BLOBS, self.opened.run, self.key)

    def check(self, file: BinaryIO, ledger: Path, verified: Verification) -> Standing:
        """Hold a verified ledger to its checkpoint and look for tombstones of nothing. Raises ``Unproven``."""
        stray = next(self.blobs(ledger).tombstones(), None)
        if stray is not None and not verified.redacted:
            raise Unproven("tombstone", f"of blob {stray} stands for nothing: no line names that blob")
        return self.standing(file, ledger, verified.state, verified.ledger_head)

    def standing(self, file: BinaryIO, ledger: Path, state: str, head: str) -> Standing:
        """Hold a ledger whose chain holds and ends with ``head`` to its checkpoint. Raises ``Unproven``."""
        data = read_checkpoint(ledger)
        if state != "closed":
            if data is None and not self.trusted:
                return "none"
            raise Unproven("checkpoint", f"is of a closed run alone; this one is {state}")
        if data is None:
            return self._without()
        if self.key is None:
            return "unchecked"
        checkpoint = open_checkpoint(data, self.key)
        file.seek(0)
        tree = LedgerTree.read(file)
        if tree.head != head:
            raise Unproven("ledger", "was changed while it was read")
        tree.hold_to(checkpoint, origin_of(self.key.name, self.opened.run))
        return "verified" if self.trusted else "on-record"

    def _without(self) -> Standing:
        if self.key is None:
            return "none"
        why = "and was to be checked with one" if self.trusted else f"although line 1 names the key {self.key.name}"
        raise Unproven("ledger", f"has no checkpoint, {why}; whoever has the key makes it: tek-runner checkpoint")


def _key_on_record(opened: RunOpened) -> VerifierKey | None:
    text = opened.obs.get(KEY_ON_RECORD) if isinstance(opened.obs, dict) else None
    try:
        return VerifierKey.parse(text) if isinstance(text, str) else None
    except KeyInvalid as error:
        raise Unproven("ledger", f"names a key in line 1 that is none: {error}") from None


def proof_lines(standing: Standing, key: VerifierKey | None, result: Verification) -> Iterator[str]:
    """Yield what people are told of a ledger's checkpoint and of what is redacted."""
    name = f"{key.name}+{key.id.hex()}" if key is not None else ""
    said = {
        "none": "none: only the head, kept elsewhere, shows that nothing was rewritten",
        "unchecked": "there is one, but not checked; say --key with the verifier key that you trust",
        "on-record": f"signed by {name}, the key that the ledger names; say --key to hold it to one that you trust",
        "verified": f"signed by {name}",
    }
    yield f"checkpoint   {said[standing]}"
    for redacted in result.redacted:
        yield f"redacted     {redacted.tombstone.sha256}, {redacted.tombstone.size} bytes: {redacted.tombstone.reason}"
    for task, redacted in result.not_driven:
        yield f"not replayed {task}: it reads blob {redacted.tombstone.sha256}, which is redacted"


def proof_answer(standing: Standing, result: Verification) -> dict[str, Any]:
    """Return the same for programs."""
    redacted = [attrs.asdict(one.tombstone) | {"signature_checked": one.signed} for one in result.redacted]
    not_driven = [{"task": task, "blob": one.tombstone.sha256} for task, one in result.not_driven]
    return {"checkpoint": standing, "redacted": redacted, "not_replayed": not_driven}


def write_checkpoint(directory: Path, run: str, head: str, key: SigningKey) -> Path:
    """Sign all lines of the closed ledger in ``directory``, whose last hash is ``head``.

    Raises ``KeyInvalid`` for another key than the ledger names, ``StorageFailed``, ``Unproven`` or ``LedgerInvalid``.
    """
    path = directory / CHECKPOINT
    with open_input(directory / LEDGER, "ledger") as file:
        named = Held.read(file, None).key
        if named is not None and named != key.verifier:
            raise KeyInvalid("signing key", f"{key.name} is not the one that the ledger names: {named}")
        tree = LedgerTree.read(file)
    try:
        write_atomically(path, tree.sign(run, head, key))
    except OSError as error:
        raise StorageFailed(error) from None
    return path


def read_checkpoint(ledger: Path) -> bytes | None:
    """Return the bytes of the checkpoint beside a ledger, or ``None`` if there is none."""
    path = ledger.parent / CHECKPOINT
    if not path.exists() and not path.is_symlink():
        return None
    with open_input(path, "checkpoint") as file:
        return file.read(MAX_NOTE + 1)
