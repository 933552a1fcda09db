"""Keys, checkpoints and proofs through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import attrs
import pytest

from tests.integration.cli import TEK_RUNNER, Answer, plan, queue, task, tek
from tests.integration.inprocess import call

TEXT = queue(task(1, "echo one"), task(2, "seq 1 2000"))


@attrs.frozen
class Signed:
    """A run whose ledger was signed when it was closed. ``key`` signs, ``public`` is the file of its verifier key."""

    home: Path
    key: Path
    public: Path

    @property
    def run(self) -> Path:
        return self.home / "work" / "run"

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.run, to)
        return to


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    home = tmp_path_factory.mktemp("signed")
    key = home / "ledger.key"
    assert call("keygen", key, "--name", "example.org/ci", cwd=home).code == 0
    plan(home / "work", TEXT, manifest={"checkpoint_key": str(key)})
    answer = tek("run", "--run-dir", "run", cwd=home / "work")
    assert answer.code == 0, answer
    assert f"signed by    {key.with_name('ledger.key.pub').read_text()}" in answer.out
    return Signed(home, key, key.with_name("ledger.key.pub"))


def check(signed: Signed, run: Path, *words: str) -> Answer:
    return call("replay", run, "--verify", *words, cwd=signed.home)


def test_a_key_is_for_its_owner_alone_and_is_never_overwritten(signed: Signed) -> None:
    assert stat.S_IMODE(signed.key.stat().st_mode) == 0o600
    before = signed.key.read_bytes(), signed.public.read_bytes()
    again = call("keygen", signed.key, "--name", "example.org/ci", cwd=signed.home)
    assert again.code == 2
    assert "never overwritten" in again.err
    signed.home.joinpath("other.pub").touch()
    assert call("keygen", "other", "--name", "x", cwd=signed.home).code == 2
    assert not signed.home.joinpath("other").exists()
    assert (signed.key.read_bytes(), signed.public.read_bytes()) == before


def test_a_key_that_no_name_fits_is_not_made(signed: Signed) -> None:
    for name in ("", "a b", "a+b", "a\n"):
        assert call("keygen", "named", "--name", name, cwd=signed.home).code == 2
    assert not signed.home.joinpath("named").exists()


def test_keygen_tells_programs_the_verifier_key_and_not_the_other(tmp_path: Path) -> None:
    answer = call("keygen", "k", "--name", "example.org/a", "--json", cwd=tmp_path)
    assert answer.json["verifier_key"] + "\n" == (tmp_path / "k.pub").read_text()
    assert (tmp_path / "k").read_text().split("+", 4)[-1].strip() not in answer.out


def test_a_signed_ledger_verifies_under_its_key_and_replays(signed: Signed) -> None:
    for key in (str(signed.public), signed.public.read_text().strip()):
        answer = check(signed, signed.run, "--key", key)
        assert answer.code == 0, answer
        assert "checkpoint   signed by example.org/ci+" in answer.out
    replayed = tek("replay", signed.run, "--key", signed.public, "--json", cwd=signed.home)
    assert (replayed.code, replayed.json["checkpoint"]) == (0, "verified")
    assert check(signed, signed.run, "--json").json["checkpoint"] == "on-record"


def test_another_key_of_the_same_name_does_not_hold(signed: Signed) -> None:
    call("keygen", "namesake", "--name", "example.org/ci", cwd=signed.home)
    answer = check(signed, signed.run, "--key", "namesake.pub")
    assert answer.code == 4
    assert "is not signed by example.org/ci+" in answer.err


def test_a_ledger_without_a_checkpoint_says_so(signed: Signed, tmp_path: Path) -> None:
    plan(tmp_path, TEXT)
    tek("run", "--run-dir", "run", cwd=tmp_path)
    plain = check(signed, tmp_path / "run")
    assert plain.code == 0
    assert "checkpoint   none" in plain.out
    asked = check(signed, tmp_path / "run", "--key", str(signed.public))
    assert asked.code == 4
    assert "has no checkpoint" in asked.err


def test_a_checkpoint_that_is_gone_is_missed_even_without_a_key(signed: Signed, tmp_path: Path) -> None:
    run = signed.copy(tmp_path / "run")
    (run / "checkpoint").unlink()
    for words in ([], ["--json"], ["--key", str(signed.public)]):
        assert check(signed, run, *words).code == 4
    assert "line 1 names the key example.org/ci" in check(signed, run).err


def test_the_checkpoint_of_another_run_does_not_hold(signed: Signed, tmp_path: Path) -> None:
    run = signed.copy(tmp_path / "run")
    plan(signed.home / "work", TEXT)
    tek("run", "--run-dir", "second", cwd=signed.home / "work")
    shutil.copy(signed.home / "work" / "second" / "checkpoint", run / "checkpoint")
    answer = check(signed, run, "--key", str(signed.public))
    assert answer.code == 4
    assert "the checkpoint is of example.org/ci/" in answer.err


def test_what_was_cut_off_before_its_checkpoint_is_signed_afterwards_once(signed: Signed, tmp_path: Path) -> None:
    run = signed.copy(tmp_path / "run")
    before = (run / "checkpoint").read_bytes()
    (run / "checkpoint").unlink()
    call("keygen", "wrong", "--name", "example.org/ci2", cwd=signed.home)
    assert call("checkpoint", run, "--key", "wrong", cwd=signed.home).code == 2
    answer = call("checkpoint", run, "--key", signed.key, cwd=signed.home)
    assert answer.code == 0, answer
    assert (run / "checkpoint").read_bytes() == before
    assert call("checkpoint", run, "--key", signed.key, cwd=signed.home).code == 2


def lines_of(run: Path) -> list[bytes]:
    return (run / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def test_every_line_is_proven_and_checked_without_the_ledger(signed: Signed, tmp_path: Path) -> None:
    lines = lines_of(signed.run)
    for number in (1, 2, len(lines)):
        name = tmp_path / f"{number}.tlog-proof"
        made = tek("prove", signed.run, "--line", str(number), "--out", name, "--key", signed.public, cwd=tmp_path)
        assert made.code == 0, made
        answer = tek("check-proof", name, "--key", signed.public, cwd=tmp_path)
        assert (answer.code, answer.out.encode()) == (0, lines[number - 1])
        assert f"ok: line {number} of {len(lines)} of example.org/ci/" in answer.err
    (tmp_path / "line").write_bytes(lines[1])
    given = tek("check-proof", "2.tlog-proof", "--key", signed.public, "--line-file", "line", "--json", cwd=tmp_path)
    assert (given.json["line"], given.json["text"] + "\n") == (2, lines[1].decode())
    (tmp_path / "line").write_bytes(lines[2])
    other = tek("check-proof", "2.tlog-proof", "--key", signed.public, "--line-file", "line", cwd=tmp_path)
    assert other.code == 4
    assert "is of another line" in other.err


def test_prove_prints_the_proof_and_refuses_what_it_cannot_prove(signed: Signed, tmp_path: Path) -> None:
    printed = call("prove", signed.run, "--line", "1", cwd=tmp_path)
    assert printed.out.startswith("c2sp.org/tlog-proof@v1\n")
    assert call("prove", signed.run, "--line", "1", "--json", cwd=tmp_path).json["proof"] == printed.out
    assert "the ledger has" in call("prove", signed.run, "--line", "999", cwd=tmp_path).err
    run = signed.copy(tmp_path / "run")
    (run / "ledger.jsonl").write_bytes(b"".join(lines_of(run)[:-1]))
    assert call("prove", run, "--line", "1", cwd=tmp_path).code == 4
    (run / "checkpoint").unlink()
    assert "has no checkpoint" in call("prove", run, "--line", "1", cwd=tmp_path).err


def configured(home: Path, key: Path, **manifest: object) -> None:
    plan(home, TEXT, manifest={"checkpoint_key": str(key), **manifest})


def test_a_key_that_tasks_could_read_is_refused_before_anything_runs(signed: Signed, tmp_path: Path) -> None:
    work = tmp_path / "work"
    inside = work / "inside.key"
    (tmp_path / "link").symlink_to(signed.home)
    open_key = tmp_path / "open.key"
    shutil.copy(signed.key, open_key)
    open_key.chmod(0o644)
    twice = tmp_path / "twice.key"
    shutil.copy(signed.key, twice)
    os.link(twice, tmp_path / "again.key")
    permit = {"action": "fs.read", "resource": f"{signed.home}/**", "exclude": str(signed.key)}
    by_link = {"action": "fs.read", "resource": f"{tmp_path}/link/*"}
    configured(work, inside)
    shutil.copy(signed.key, inside)
    cases: list[tuple[Path, dict[str, object], list[str], str]] = [
        (inside, {}, [], "lies in the workspace"),
        (signed.key, {"permits": [permit]}, [], "can be reached by tasks"),
        (signed.key, {"permits": [by_link]}, [], "can be reached by tasks"),
        (signed.key, {}, ["--allow", f"fs.write:{signed.home}/**"], "can be reached by tasks: --allow"),
        (signed.key, {}, ["--sandbox=off"], "under --sandbox=off"),
        (open_key, {}, [], "is open to others"),
        (twice, {}, [], "has a second name"),
        (tmp_path / "none.key", {}, [], "there is no such signing key"),
        (signed.public, {}, [], "signing key"),
    ]
    for key, manifest, words, problem in cases:
        configured(work, key, **manifest)
        answer = call("run", *words, cwd=work)
        assert answer.code == 2, (key, answer)
        assert problem in answer.err, (key, answer)
        assert not (work / "runs").exists()


def test_check_points_at_the_key_in_the_manifest(signed: Signed, tmp_path: Path) -> None:
    configured(tmp_path, tmp_path / "ledger.key")
    answer = call("check", cwd=tmp_path)
    assert answer.code == 2
    assert "config/manifest.json:1:" in answer.out + answer.err
    assert "checkpoint_key" in answer.out + answer.err


def test_no_task_reads_the_key(signed: Signed, tmp_path: Path) -> None:
    configured(tmp_path, signed.key)
    plan(tmp_path, queue(task(1, f"cat {signed.key}")))
    answer = tek("run", "--run-dir", "run", cwd=tmp_path)
    assert answer.code == 1
    seed = signed.key.read_bytes().strip()
    assert not any(seed in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_a_run_that_is_interrupted_is_not_signed(signed: Signed, tmp_path: Path) -> None:
    configured(tmp_path, signed.key)
    plan(tmp_path, queue(task(1, "echo > started; sleep 60")))
    os.mkfifo(tmp_path / "started")
    with subprocess.Popen([TEK_RUNNER, "run", "--run-dir", "run"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        (tmp_path / "started").read_bytes()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (tmp_path / "run" / "checkpoint").exists()
    paused = check(signed, tmp_path / "run")
    assert paused.code == 0, paused
    assert check(signed, tmp_path / "run", "--key", str(signed.public)).code == 4
    assert call("checkpoint", "run", "--key", signed.key, cwd=tmp_path).code == 4


@pytest.mark.parametrize("name", ["missing", "directory", "fifo", "random", "/dev/zero", "\udcff"])
def test_whatever_is_handed_over_ends_with_a_message(signed: Signed, tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "random").write_bytes(bytes(range(256)) * 20)
    proof = tmp_path / "proof"
    call("prove", signed.run, "--line", "1", "--out", proof, cwd=tmp_path)
    for words in (
        ["check-proof", name, "--key", signed.public],
        ["check-proof", proof, "--key", name],
        ["check-proof", proof, "--key", signed.public, "--line-file", name],
        ["prove", name, "--line", "1"],
        ["checkpoint", signed.run, "--key", name],
        ["checkpoint", name, "--key", signed.key],
        ["redact", name, "--blob", "0" * 64],
        ["redact", signed.run, "--blob", "0" * 64, "--key", name],
        ["replay", signed.run, "--key", name],
        ["keygen", f"{name}/key", "--name", "x"],
        ["gc", name, "--keep-last", "1"],
    ):
        answer = call(*words, cwd=tmp_path)
        if words[:2] != ["gc", "directory"] and words[:2] != ["keygen", "directory/key"]:
            assert answer.code in (2, 4), (words, answer)
            assert answer.err.strip()


def test_verification_without_a_key_is_json_too(signed: Signed, tmp_path: Path) -> None:
    run = signed.copy(tmp_path / "run")
    (run / "checkpoint").write_text("no note\n")
    answer = check(signed, run, "--json")
    assert answer.code == 4
    assert json.loads(answer.out)["first_problem"]["problem"].startswith("the checkpoint is not a signed note")
