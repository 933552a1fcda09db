"""``tek-runner redact``: what it removes, what it leaves, and what it refuses."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from tests.integration.cli import plan, queue, task, tek
from tests.integration.inprocess import call

SECRET = b"".join(b"%d\n" % number for number in range(1, 2001))
NAMES = ("plain-run", "signed-run")
DIGEST = hashlib.sha256(SECRET).hexdigest()
TEXT = queue(task(1, "seq 1 2000"), task(2, "echo two"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two runs of one plan, ``plain`` and ``signed``, and the key of the latter."""
    home = tmp_path_factory.mktemp("recorded")
    call("keygen", "ledger.key", "--name", "example.org/ci", cwd=home)
    for name, manifest in (("plain", {}), ("signed", {"checkpoint_key": str(home / "ledger.key")})):
        plan(home / name, TEXT, manifest=manifest)
        assert tek("run", "--run-dir", home / f"{name}-run", cwd=home / name).code == 0
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    for name in NAMES:
        shutil.copytree(recorded / name, tmp_path / name)
    for name in ("ledger.key", "ledger.key.pub"):
        shutil.copy(recorded / name, tmp_path)
    return tmp_path


def holders(run: Path) -> list[Path]:
    return [path for path in run.rglob("*") if path.is_file() and SECRET in path.read_bytes()]


def test_every_copy_in_the_run_goes_and_the_rest_verifies(home: Path) -> None:
    before = (home / "plain-run" / "ledger.jsonl").read_bytes()
    assert len(holders(home / "plain-run")) == 2
    answer = tek("redact", "plain-run", "--blob", DIGEST, "--reason", "asked for", cwd=home)
    assert answer.code == 0, answer
    assert "logs/TASK-001_cmd1.log, which held them" in answer.out
    assert holders(home / "plain-run") == []
    assert (home / "plain-run" / "ledger.jsonl").read_bytes() == before
    for words in (["--verify"], []):
        replayed = call("replay", "plain-run", *words, cwd=home)
        assert replayed.code == 0, replayed
        assert f"redacted     {DIGEST}, {len(SECRET)} bytes: asked for" in replayed.out


def test_a_signed_ledgers_tombstone_is_signed(home: Path) -> None:
    refused = call("redact", "signed-run", "--blob", DIGEST, cwd=home)
    assert refused.code == 2
    assert "say --key FILE" in refused.err
    assert len(holders(home / "signed-run")) == 2
    call("keygen", "wrong.key", "--name", "example.org/ci", cwd=home)
    assert call("redact", "signed-run", "--blob", DIGEST, "--key", "wrong.key", cwd=home).code == 2
    done = call("redact", "signed-run", "--blob", DIGEST, "--key", "ledger.key", "--json", cwd=home)
    assert done.json["signed"]
    verified = call("replay", "signed-run", "--key", "ledger.key.pub", "--json", cwd=home)
    assert (verified.code, verified.json["checkpoint"]) == (0, "verified")
    assert [one["signature_checked"] for one in verified.json["redacted"]] == [True]


def test_an_unsigned_tombstone_in_a_signed_run_is_refused(home: Path) -> None:
    """CWE-345: whoever removes a blob says that the operator did."""
    call("redact", "plain-run", "--blob", DIGEST, cwd=home)
    tombstone = next((home / "plain-run").rglob("*.redacted"))
    place = home / "signed-run" / tombstone.relative_to(home / "plain-run")
    run_of = re.compile(rb'"run":"([^"]+)"')
    plain, signed = (run_of.findall((home / name / "ledger.jsonl").read_bytes())[0] for name in NAMES)
    place.write_bytes(tombstone.read_bytes().replace(plain, signed))
    place.with_name(place.name.removesuffix(".redacted")).unlink()
    for words in ([], ["--verify"], ["--key", "ledger.key.pub"]):
        answer = call("replay", "signed-run", *words, cwd=home)
        assert answer.code == 4
        assert f"the tombstone of blob {DIGEST}" in answer.err


def test_a_tombstone_of_what_the_ledger_never_names_is_refused(home: Path) -> None:
    never = hashlib.sha256(b"never").hexdigest()
    answer = call("redact", "plain-run", "--blob", never, cwd=home)
    assert answer.code == 2
    assert "no line of the ledger names it" in answer.err
    folder = home / "plain-run" / "blobs" / "sha256" / never[:2]
    folder.mkdir(exist_ok=True)
    (folder / f"{never[2:]}.redacted").write_text("anything")
    found = call("replay", "plain-run", "--verify", cwd=home)
    assert found.code == 4
    assert never in found.err


def test_what_cannot_be_redacted_is_said(home: Path) -> None:
    for words, problem in (
        (["--blob", DIGEST[:8]], "64 hex digits"),
        (["--blob", DIGEST, "--reason", "two\nlines"], "one line"),
        (["--blob", DIGEST, "--reason", ""], "one line"),
        (["--blob", DIGEST, "--key", "none.key"], "no such signing key"),
    ):
        answer = call("redact", "plain-run", *words, cwd=home)
        assert answer.code == 2
        assert problem in answer.err
    call("redact", "plain-run", "--blob", DIGEST, cwd=home)
    assert "was redacted" in call("redact", "plain-run", "--blob", DIGEST, cwd=home).err


def test_the_plan_cannot_be_redacted(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo one\n" + "# a long script\n" * 400)))
    tek("run", "--run-dir", "run", cwd=tmp_path)
    reference = re.search(
        rb'"plan":\{"\$ref":\{"sha256":"([0-9a-f]{64})"', (tmp_path / "run/ledger.jsonl").read_bytes()
    )
    assert reference is not None
    answer = call("redact", "run", "--blob", reference[1].decode(), cwd=tmp_path)
    assert answer.code == 2
    assert "is the plan or the policy" in answer.err


def test_a_redaction_that_was_cut_off_is_finished_by_another(home: Path) -> None:
    blob = home / "plain-run" / "blobs" / "sha256" / DIGEST[:2] / DIGEST[2:]
    call("redact", "plain-run", "--blob", DIGEST, cwd=home)
    blob.write_bytes(SECRET)
    found = call("replay", "plain-run", cwd=home)
    assert found.code == 4
    assert "redact it again to finish" in found.err
    assert call("redact", "plain-run", "--blob", DIGEST, cwd=home).code == 0
    assert not blob.exists()
    assert call("replay", "plain-run", cwd=home).code == 0
