"""docs/ledger.md: its vectors are checked byte by byte, its checker is run, its commands do what it says."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tek_kernel import InclusionProof, LedgerTree, SigningKey, Tombstone, VerifierKey, leaf_hash
from tests.integration.cli import REPOSITORY
from tests.integration.inprocess import call

DOC = (REPOSITORY / "docs" / "ledger.md").read_text()
VECTORS = {match[1]: match[2] for match in re.finditer(r"^```text (\S+)\n(.*?)^```$", DOC, re.M | re.S)}
(CHECKER,) = re.findall(r"^```python\n(.*?)^```$", DOC, re.M | re.S)
KEY = SigningKey.parse(VECTORS["signing.key"])
LINES = VECTORS["ledger.jsonl"].encode().splitlines(keepends=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, text in VECTORS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "signing.key").chmod(0o600)
    (tmp_path / "check.py").write_text(CHECKER)
    return tmp_path


def test_the_keys_belong_together() -> None:
    assert KEY.seed == bytes(range(32))
    assert f"{KEY.verifier}\n" == VECTORS["verifier.key"]


def test_each_line_ends_with_the_hash_of_what_is_before() -> None:
    for line in LINES:
        assert line[-67:-3].decode() == hashlib.sha256(line[:-76]).hexdigest()


def test_the_shell_shows_the_hash_of_a_line(home: Path) -> None:
    (command,) = re.findall(r"^```sh\n(.*?)\n```$", DOC, re.M | re.S)
    done = subprocess.run(["sh", "-c", command], cwd=home, capture_output=True, check=True)
    assert done.stdout[:64] == LINES[1][-67:-3]


def test_the_tree_is_that_of_the_lines() -> None:
    *leaves, root = VECTORS["tree"].split()
    assert [hashlib.sha256(b"\0" + line).hexdigest() for line in LINES] == leaves
    one, two, three = map(bytes.fromhex, leaves)
    pair = hashlib.sha256(b"\1" + one + two).digest()
    assert hashlib.sha256(b"\1" + pair + three).hexdigest() == root


def test_checkpoint_proof_and_tombstone_are_made_again_byte_by_byte(home: Path) -> None:
    with open(home / "ledger.jsonl", "rb") as file:
        tree = LedgerTree.read(file)
    note = tree.sign("run-1", tree.head, KEY)
    assert note.decode() == VECTORS["checkpoint"]
    proof = InclusionProof.of([leaf_hash(line) for line in LINES], 1, LINES[1], note)
    assert proof.encode().decode() == VECTORS["line-2.tlog-proof"]
    sha256 = hashlib.sha256(b"test").hexdigest()
    tombstone = Tombstone("run-1", sha256, 4, "2026-01-31T10:20:00.000000Z", "a customer asked")
    assert KEY.sign(tombstone.text()).decode() == VECTORS["tombstone"]


def test_the_commands_take_the_vectors(home: Path) -> None:
    replayed = call("replay", "ledger.jsonl", "--key", "verifier.key", "--json", cwd=home)
    assert (replayed.code, replayed.json["checkpoint"]) == (0, "verified"), replayed
    proven = call("prove", "ledger.jsonl", "--line", "2", "--key", "verifier.key", cwd=home)
    assert proven.out == VECTORS["line-2.tlog-proof"]
    checked = call("check-proof", "line-2.tlog-proof", "--key", "verifier.key", cwd=home)
    assert (checked.code, checked.out.encode()) == (0, LINES[1])


def run_checker(home: Path, proof: bytes) -> subprocess.CompletedProcess[str]:
    (home / "a.tlog-proof").write_bytes(proof)
    words = [sys.executable, "-I", "check.py", "a.tlog-proof", "verifier.key"]
    return subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)


def test_the_checker_needs_nothing_of_tek_and_agrees_with_it(home: Path) -> None:
    assert "tek" not in CHECKER.replace("c2sp.org/tlog-proof@v1", "")
    proof = VECTORS["line-2.tlog-proof"].encode()
    good = run_checker(home, proof)
    assert good.stdout.encode() == b"line 2 of 3 of example.org/vector/run-1: " + LINES[1], good
    changes = ((b"index 1", b"index 0"), (b"extra ey", b"extra ez"), (b"\n3\n", b"\n4\n"), (b"nW1l", b"nW1m"))
    for before, after in changes:
        assert run_checker(home, proof.replace(before, after, 1)).returncode != 0, before


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_the_checker_follows_every_path(size: int, tmp_path: Path) -> None:
    """It is run here in one process, over each line of ledgers of several sizes."""
    from tek_kernel.checkpoint import Checkpoint
    from tek_kernel.merkle import tree_hash

    lines = [b"%d\n" % number for number in range(size)]
    note = KEY.sign(Checkpoint("example.org/vector/run-1", size, tree_hash(lines)).text())
    (tmp_path / "key").write_text(str(VerifierKey.parse(VECTORS["verifier.key"])))
    source = compile(CHECKER.replace("sys.argv", "argv"), "check.py", "exec")
    for index, line in enumerate(lines):
        proof = InclusionProof.of([leaf_hash(one) for one in lines], index, line, note)
        (tmp_path / "proof").write_bytes(proof.encode())
        exec(source, {"argv": ["", tmp_path / "proof", tmp_path / "key"]})
        (tmp_path / "proof").write_bytes(proof.encode().replace(b"extra ", b"extra MTIz", 1))
        with pytest.raises(AssertionError):
            exec(source, {"argv": ["", tmp_path / "proof", tmp_path / "key"]})
