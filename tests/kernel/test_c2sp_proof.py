"""Checkpoints and inclusion proofs: the examples of c2sp.org/tlog-checkpoint and c2sp.org/tlog-proof."""

from __future__ import annotations

import io
from collections.abc import Callable

import attrs
import pytest

from tek_kernel import (
    Checkpoint,
    InclusionProof,
    LedgerInvalid,
    LedgerTree,
    SigningKey,
    Unproven,
    leaf_hash,
    open_checkpoint,
    origin_of,
)
from tek_kernel.merkle import tree_hash
from tests.kernel.ledger_world import small

SPEC_CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SPEC_PROOF = b"""c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

"""

KEY = SigningKey("example.org/a", bytes(32))
WORLD = small()
TREE = LedgerTree.read(WORLD.file())
NOTE = TREE.sign("run-1", WORLD.head, KEY)
HASHES = [leaf_hash(line) for line in WORLD.lines]


def proof_of(index: int) -> InclusionProof:
    return InclusionProof.of(HASHES, index, WORLD.lines[index], NOTE)


def test_the_checkpoint_of_the_specification() -> None:
    checkpoint = Checkpoint.parse(SPEC_CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")
    assert checkpoint.text() == SPEC_CHECKPOINT


def test_lines_after_the_third_are_left_to_others() -> None:
    assert Checkpoint.parse(SPEC_CHECKPOINT + "more\n") == Checkpoint.parse(SPEC_CHECKPOINT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "origin\n1\n",
        SPEC_CHECKPOINT[28:],
        "\n" + SPEC_CHECKPOINT[28:],
        SPEC_CHECKPOINT.replace("208", "0208"),
        SPEC_CHECKPOINT.replace("208", "+208"),
        SPEC_CHECKPOINT.replace("20852163", "99999999999999999999"),
        SPEC_CHECKPOINT.replace("20852163", "\u0662"),
        SPEC_CHECKPOINT.replace("q2I=", "q2J="),
        SPEC_CHECKPOINT.replace("CsUY", ""),
        SPEC_CHECKPOINT + "\nmore\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Unproven):
        Checkpoint.parse(text)


def test_a_ledgers_checkpoint_covers_every_line_with_its_lf() -> None:
    checkpoint = open_checkpoint(NOTE, KEY.verifier)
    assert checkpoint.origin == origin_of(KEY.name, "run-1") == "example.org/a/run-1"
    assert checkpoint.size == len(WORLD.lines)
    assert checkpoint.root == tree_hash(WORLD.lines)
    assert b"".join(WORLD.lines) == WORLD.data
    TREE.hold_to(checkpoint, "example.org/a/run-1")


def test_a_ledger_that_ends_elsewhere_is_not_signed() -> None:
    with pytest.raises(Unproven, match="was changed since"):
        TREE.sign("run-1", "0" * 64, KEY)
    with pytest.raises(LedgerInvalid):
        LedgerTree.read(io.BytesIO(WORLD.data.replace(b"busy", b"lazy", 1)))


@pytest.mark.parametrize(
    ("tree", "origin", "words"),
    [
        (TREE, "example.org/a/run-2", "is of example.org/a/run-1"),
        (attrs.evolve(TREE, size=3), "example.org/a/run-1", "lines; the ledger has 3"),
        (attrs.evolve(TREE, root=bytes(32)), "example.org/a/run-1", "was rewritten"),
    ],
)
def test_another_ledger_is_told_from_the_signed_one(tree: LedgerTree, origin: str, words: str) -> None:
    with pytest.raises(Unproven, match=words):
        tree.hold_to(open_checkpoint(NOTE, KEY.verifier), origin)


@pytest.mark.parametrize("run", ["", "a\n9\nAAAA", "a b", "a\u2028b", "\u00e9", "x" * 101])
def test_a_ledgers_own_words_write_no_lines_of_a_note(run: str) -> None:
    """CWE-93: the run's id is what the ledger says, and a ledger to be signed may be anybody's."""
    with pytest.raises(Unproven, match="an id that none can have"):
        TREE.sign(run, WORLD.head, KEY)


def test_a_note_of_the_key_for_something_else_is_no_checkpoint_of_it() -> None:
    for text in ("text\n", SPEC_CHECKPOINT, "example.org/ab/run-1\n1\n" + SPEC_CHECKPOINT[-45:]):
        with pytest.raises(Unproven):
            open_checkpoint(KEY.sign(text), KEY.verifier)


def test_the_proof_of_the_specification_is_read() -> None:
    """Its signatures are elided there, so it is parsed, not verified."""
    proof = InclusionProof.parse(SPEC_PROOF)
    assert proof.index == 73894
    assert proof.line.startswith(b"age-v1.2.1-darwin-arm64.tar.gz")
    assert [len(item) for item in proof.path] == [32] * 5
    assert proof.path[0].hex().startswith("8122b25e86195206")
    assert proof.checkpoint.startswith(b"example.com/fancylog\n109482\n")
    assert proof.encode() == SPEC_PROOF


@pytest.mark.parametrize("index", range(len(WORLD.lines)))
def test_every_line_of_a_ledger_is_proven(index: int) -> None:
    proof = InclusionProof.parse(proof_of(index).encode())
    assert proof == proof_of(index)
    assert proof.verify(KEY.verifier) == proof.verify(KEY.verifier, WORLD.lines[index])
    bare = attrs.evolve(proof, line=b"")
    assert bare.verify(KEY.verifier, WORLD.lines[index]).size == len(WORLD.lines)


def test_a_proof_holds_for_its_line_its_place_and_its_key_alone() -> None:
    proof, other = proof_of(3), SigningKey("example.org/a", bytes([1]) * 32)
    wrong = [
        (attrs.evolve(proof, index=4), KEY, None),
        (attrs.evolve(proof, index=10**9), KEY, None),
        (attrs.evolve(proof, line=WORLD.lines[4]), KEY, None),
        (attrs.evolve(proof, line=WORLD.lines[3][:-1]), KEY, None),
        (attrs.evolve(proof, line=b""), KEY, None),
        (attrs.evolve(proof, path=proof.path[1:]), KEY, None),
        (proof, KEY, WORLD.lines[4]),
        (proof, KEY, WORLD.lines[3][:-1]),
        (proof, other, None),
    ]
    for changed, key, line in wrong:
        with pytest.raises(Unproven):
            changed.verify(key.verifier, line)


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: b"",
        lambda proof: proof.replace(b"@v1", b"@v2"),
        lambda proof: proof.replace(b"index 3", b"index 03"),
        lambda proof: proof.replace(b"index 3", b"index -3"),
        lambda proof: proof.replace(b"index 3\n", b""),
        lambda proof: proof.replace(b"index 3\n", b"index 3\nindex 3\n"),
        lambda proof: proof.replace(b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n" * 65),
        lambda proof: proof.replace(b"index 3\n", b"index 3\nAAAA\n"),
        lambda proof: proof.replace(b"extra ", b"extra !"),
        lambda proof: proof.replace(b"\n\n", b"\n", 1),
        lambda proof: proof.replace(b"\n", b"\r\n"),
        lambda proof: b"\n" + proof,
    ],
)
def test_what_is_no_proof_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Unproven):
        InclusionProof.parse(change(proof_of(3).encode())).verify(KEY.verifier)
