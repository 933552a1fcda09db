"""A bit that is flipped anywhere in a signed ledger, a blob, a checkpoint, a proof or a tombstone is found."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Codec, ExecutionPlan, Policy
from tek_kernel import (
    DiskBlobs,
    InclusionProof,
    LedgerInvalid,
    LedgerTree,
    RecordedBlobs,
    Redacted,
    SigningKey,
    Tombstone,
    TombstoneInvalid,
    Unproven,
    leaf_hash,
    open_checkpoint,
    verify,
)
from tek_kernel.ledger import TAIL, ZEROS
from tests.kernel.ledger_world import World, run, small

KEY = SigningKey("example.org/a", bytes(32))
WORLD, TINY = small(), run(ExecutionPlan(), policy=Policy("none", permits=()))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def note_of(world: World) -> bytes:
    return LedgerTree.read(world.file()).sign("run-1", world.head, KEY)


def proof_of(world: World, index: int) -> bytes:
    hashes = [leaf_hash(line) for line in world.lines]
    return InclusionProof.of(hashes, index, world.lines[index], note_of(world)).encode()


def holds(data: bytes, note: bytes, world: World) -> bool:
    """Whether a ledger verifies and is the one that a checkpoint covers."""
    try:
        verify(io.BytesIO(data), world.codec)
        LedgerTree.read(io.BytesIO(data)).hold_to(open_checkpoint(note, KEY.verifier), "example.org/a/run-1")
    except (LedgerInvalid, Unproven):
        return False
    return True


def proven(data: bytes) -> bool:
    try:
        InclusionProof.parse(data).verify(KEY.verifier)
    except Unproven:
        return False
    return True


def test_what_is_as_it_was_written_holds() -> None:
    for world in (WORLD, TINY):
        assert holds(world.data, note_of(world), world)
        assert all(proven(proof_of(world, index)) for index in range(len(world.lines)))


def test_every_bit_of_a_small_ledger() -> None:
    note = note_of(TINY)
    assert not any(holds(flipped(TINY.data, bit), note, TINY) for bit in range(8 * len(TINY.data)))


def test_every_bit_of_a_checkpoint() -> None:
    note = note_of(TINY)
    assert not any(holds(TINY.data, flipped(note, bit), TINY) for bit in range(8 * len(note)))


def test_every_bit_of_a_proof() -> None:
    proof = proof_of(TINY, 1)
    assert not any(proven(flipped(proof, bit)) for bit in range(8 * len(proof)))


@settings(deadline=None)
@given(bit=st.integers(0, 8 * len(WORLD.data) - 1))
def test_any_bit_of_a_ledger(bit: int) -> None:
    assert not holds(flipped(WORLD.data, bit), note_of(WORLD), WORLD)


@settings(deadline=None)
@given(index=st.integers(0, len(WORLD.lines) - 1), place=st.floats(0, 1, exclude_max=True))
def test_any_bit_of_any_lines_proof(index: int, place: float) -> None:
    proof = proof_of(WORLD, index)
    assert not proven(flipped(proof, int(place * 8 * len(proof))))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> RecordedBlobs:
    directory = tmp_path_factory.mktemp("blobs")
    for data in WORLD.blobs.blobs.values():
        DiskBlobs(directory).put(data)
    return RecordedBlobs(directory, "run-1", KEY.verifier)


@settings(deadline=None)
@given(which=st.integers(0, len(WORLD.blobs.blobs) - 1), place=st.floats(0, 1, exclude_max=True))
def test_any_bit_of_any_blob(blobs: RecordedBlobs, which: int, place: float) -> None:
    sha256, data = list(WORLD.blobs.blobs.items())[which]
    damaged = replaced(blobs.path(sha256), flipped(data, int(place * 8 * len(data))))
    with damaged, pytest.raises(LedgerInvalid, match=sha256):
        verify(WORLD.file(), Codec(blobs))


def test_the_blobs_as_they_were_written_hold(blobs: RecordedBlobs) -> None:
    verify(WORLD.file(), Codec(blobs))


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_every_bit_of_a_tombstone(tmp_path: Path) -> None:
    stored = RecordedBlobs(tmp_path, "run-1", KEY.verifier)
    blob = DiskBlobs(tmp_path).put(b"test")
    stored.redact(Tombstone("run-1", blob.sha256, 4, "2026-01-31T10:15:00.000000Z", "why"), KEY)
    with pytest.raises(Redacted, match="why"):
        stored.get(blob.sha256)
    path = next(path for path in tmp_path.rglob("*.redacted"))
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(TombstoneInvalid):
            stored.get(blob.sha256)


def rewritten(world: World, change: Callable[[bytes], bytes]) -> bytes:
    """A ledger whose lines were changed by somebody who then made the chain anew."""
    lines, prev = [], ZEROS
    for line in world.lines:
        head = change(line[:-TAIL])
        at = head.index(b'"prev":"') + 8
        head = head[:at] + prev.encode() + head[at + 64 :]
        prev = hashlib.sha256(head).hexdigest()
        lines.append(head + b',"hash":"%b"}\n' % prev.encode())
    return b"".join(lines)


def test_a_chain_that_was_made_anew_deceives_the_chain_and_not_the_checkpoint() -> None:
    later = rewritten(WORLD, lambda head: head.replace(b'"at":"2026-', b'"at":"2036-'))
    verify(io.BytesIO(later), WORLD.codec)
    assert not holds(later, note_of(WORLD), WORLD)
    shorter = b"".join(WORLD.lines[:-1])
    assert not holds(shorter, note_of(WORLD), WORLD)


def test_a_byte_in_a_checkpoints_place_of_another_is_found() -> None:
    """What stands in a note has one spelling: no other byte says the same."""
    dice, note = Random(5), note_of(TINY)
    for _ in range(500):
        at, byte = dice.randrange(len(note)), bytes([dice.randrange(256)])
        changed = note[:at] + byte + note[at + 1 :]
        assert holds(TINY.data, changed, TINY) == (changed == note)
