"""``tek-runner replay --live``: a recorded plan run again in a fresh copy of its workspace, and how it drifts."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli import Answer, plan, queue, task, tek
from tests.integration.inprocess import call

TEXT = queue(
    task(1, "cat data.txt; echo made >made.txt"),
    task(2, "test ! -e other.txt", "Needs: `TASK-001`"),
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one run in it, of which the other tests take copies."""
    home = tmp_path_factory.mktemp("first")
    (home / "data.txt").write_text("data\n")
    plan(home, TEXT, manifest={})
    assert tek("run", cwd=home).code == 0
    (home / "made.txt").unlink()
    return home


def snapshot(*places: Path) -> dict[str, tuple[int, int, str]]:
    found = {}
    for path in (each for place in places for each in (place, *place.rglob("*"))):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[str(path)] = status.st_mode, status.st_mtime_ns, content
    return found


def live(home: Path, copy: Path, *words: str) -> Answer:
    return tek("replay", "last", "--live", copy, *words, cwd=home)


def refused(home: Path, copy: Path) -> Answer:
    """Ask for what must not come to a run."""
    return call("replay", "last", "--live", copy, cwd=home)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace of the test's own with a run in it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "data.txt").write_text("data\n")
    plan(home, TEXT, manifest={})
    assert tek("run", cwd=home).code == 0
    return home


def test_it_runs_for_real_in_the_copy_and_touches_nothing_else(first: Path, tmp_path: Path) -> None:
    before = snapshot(first)
    copy = tmp_path / "copy"
    answer = live(first, copy, "--json")
    assert (answer.code, answer.json["status"], answer.json["drift"]) == (0, "ok", [])
    assert answer.json["live"]["replay_hash"] == answer.json["recorded"]["replay_hash"]
    assert answer.json["live"]["ledger_head"] != answer.json["recorded"]["ledger_head"]
    assert (copy / "made.txt").read_text() == "made\n"
    assert snapshot(first) == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert Path(answer.json["ledger"]).is_relative_to(copy / "runs")
    replayed = tek("replay", "last", cwd=copy)
    assert (replayed.code, answer.json["live"]["replay_hash"] in replayed.out) == (0, True)


def test_what_comes_out_otherwise_is_told_effect_by_effect(home: Path, tmp_path: Path) -> None:
    (home / "data.txt").write_text("other data\n")
    (home / "other.txt").write_text("")
    answer = live(home, tmp_path / "one", "--json")
    assert (answer.code, answer.json["status"]) == (4, "drift")
    found = [(one["task"], one["position"], one["effect"], one["field"]) for one in answer.json["drift"]]
    assert found == [
        ("TASK-001", "TASK-001[1].0", "proc.exec", "value.stdout"),
        ("TASK-002", "TASK-002[1].0", "proc.exec", "value.code"),
        ("TASK-002", None, "", "status"),
    ]
    assert [(one["recorded"], one["live"]) for one in answer.json["drift"][1:]] == [("0", "1"), ("ok", "failed")]
    assert answer.json["drift"][0]["recorded"].endswith(" (5 bytes)")
    told = live(home, tmp_path / "two")
    assert told.code == 4
    assert "DRIFT TASK-002  TASK-002[1].0  proc.exec  value.code\n  recorded  0\n  live      1\n" in told.out
    assert "  live      failed: step 1 of 1 (line " in told.out
    assert "drift: 3 differences in 2 tasks" in told.out
    assert "as it is now is copied" in told.out


def test_what_the_policy_denied_on_record_it_denies_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rule = {"action": "proc.exec", "resource": "false"}
    plan(home, queue("### `TASK-001` Denied\n\n```argv\ntrue\n```\n\n"), manifest={"preset": "none", "permits": [rule]})
    assert tek("run", cwd=home).code == 3
    (home / "config" / "manifest.json").write_text("{}")
    answer = live(home, tmp_path / "copy", "--json")
    assert (answer.code, answer.json["drift"]) == (0, [])


def test_links_are_copied_as_links_and_lead_to_the_copy(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (home / "relative").symlink_to("data.txt")
    (home / "absolute").symlink_to(home / "data.txt")
    (home / "out").symlink_to(outside)
    (home / "loop").symlink_to("loop")
    answer = live(home, tmp_path / "copy")
    assert answer.code == 0, answer
    copied = {name: os.readlink(tmp_path / "copy" / name) for name in ("relative", "absolute", "out", "loop")}
    assert copied == {
        "relative": "data.txt",
        "absolute": str(tmp_path / "copy" / "data.txt"),
        "out": str(outside),
        "loop": "loop",
    }


def test_modes_and_times_are_kept_and_set_id_bits_are_not(home: Path, tmp_path: Path) -> None:
    tool, closed = home / "tool", home / "closed"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o4755)
    os.utime(tool, ns=(10**18, 10**18))
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0o500)
    os.utime(closed, ns=(10**18, 10**18))
    try:
        assert live(home, tmp_path / "copy").code == 0
        status, directory = (os.stat(tmp_path / "copy" / name) for name in ("tool", "closed"))
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o755, 10**18)
        assert (stat.S_IMODE(directory.st_mode), directory.st_mtime_ns) == (0o500, 10**18)
        assert (tmp_path / "copy" / "closed" / "file").read_text() == "x"
    finally:
        for place in (closed, tmp_path / "copy" / "closed"):
            place.chmod(0o700)


def test_run_directories_and_special_files_stay_behind(home: Path, tmp_path: Path) -> None:
    shutil.copytree(next((home / "runs").iterdir()), home / "elsewhere" / "kept")
    (home / "elsewhere" / "ledger.jsonl").write_text("accounts, not ours\n")
    os.mkfifo(home / "pipe")
    answer = live(home, tmp_path / "copy", "--json")
    assert answer.code == 0, answer
    recorded = next((home / "runs").iterdir()).name
    assert sorted(answer.json["copy"]["left_out"]) == ["elsewhere/kept", "pipe", f"runs/{recorded}"]
    assert (tmp_path / "copy" / "elsewhere" / "ledger.jsonl").read_text() == "accounts, not ours\n"
    assert len(list((tmp_path / "copy" / "runs").iterdir())) == 1


def test_a_place_that_is_not_new_or_lies_in_the_workspace_is_refused(first: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(first)
    before = snapshot(first, tmp_path)
    for place, why in (
        (tmp_path / "full", "is not empty"),
        (tmp_path / "file", "is not empty"),
        (first / "copy", "apart from the workspace"),
        (tmp_path / "link" / "copy", "apart from the workspace"),
        (first, "apart from the workspace"),
        (Path("/"), "apart from the workspace"),
    ):
        answer = refused(first, place)
        assert (answer.code, why in answer.err) == (2, True), answer
    assert snapshot(first, tmp_path) == before


def test_a_link_in_the_place_of_the_runs_does_not_lead_the_new_run_out(home: Path, tmp_path: Path) -> None:
    (home / "runs").rename(tmp_path / "runs")
    (home / "runs").symlink_to(tmp_path / "runs")
    before = snapshot(tmp_path / "runs")
    answer = live(home, tmp_path / "copy", "--json")
    assert (answer.code, answer.json["copy"]["left_out"]) == (0, ["runs"])
    assert Path(answer.json["ledger"]).resolve().is_relative_to(tmp_path / "copy")
    assert snapshot(tmp_path / "runs") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory that belongs to somebody else")
def test_a_directory_of_somebody_else_is_refused(first: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    answer = refused(first, tmp_path / "theirs")
    assert (answer.code, "belongs to somebody else" in answer.err) == (2, True)


def test_an_empty_directory_will_do(first: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert live(first, tmp_path / "empty").code == 0


@pytest.mark.parametrize(
    ("manifest", "words", "rule"),
    [
        ({"permits": [{"action": "fs.write", "resource": "/srv/data/**"}]}, (), "config/manifest.json permits[0]"),
        ({"permits": [{"action": "fs.remove", "resource": "/srv/old"}]}, (), "config/manifest.json permits[0]"),
        ({}, ("--allow", "fs.write:/srv/**"), "--allow fs.write:/srv/**"),
        ({"preset": "unconfined"}, ("--sandbox=off",), "preset unconfined"),
    ],
)
def test_a_policy_that_lets_tasks_write_outside_the_workspace_is_refused(
    manifest: Any, words: tuple[str, ...], rule: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    plan(home, "## Queue A — Work\n\n### `TASK-001` Nothing\n", manifest=manifest)
    assert tek("run", *words, cwd=home).code == 0
    answer = refused(home, tmp_path / "copy")
    assert answer.code == 2
    assert "lets tasks write outside the workspace" in answer.err
    assert f"({rule})" in answer.err
    assert not (tmp_path / "copy").exists()


def test_a_run_without_end_or_workspace_is_refused(home: Path, tmp_path: Path) -> None:
    shutil.copytree(next((home / "runs").iterdir()), tmp_path / "run")
    moved = home.rename(tmp_path / "moved")
    answer = call("replay", tmp_path / "run", "--live", tmp_path / "copy", cwd=moved)
    assert (answer.code, "is not there any more" in answer.err) == (2, True)
    ledger = tmp_path / "run" / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-1]))
    unfinished = call("replay", tmp_path / "run", "--live", tmp_path / "copy", "--json", cwd=moved)
    assert (unfinished.code, unfinished.json["status"]) == (4, "invalid")
    assert not (tmp_path / "copy").exists()


def test_a_damaged_ledger_is_not_run(first: Path, tmp_path: Path) -> None:
    shutil.copytree(next((first / "runs").iterdir()), tmp_path / "run")
    ledger = tmp_path / "run" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"TASK-002", b"TASK-003", 1))
    answer = call("replay", tmp_path / "run", "--live", tmp_path / "copy", cwd=tmp_path)
    assert (answer.code, (tmp_path / "copy").exists()) == (4, False)


def test_only_a_live_replay_takes_a_sandbox(first: Path, tmp_path: Path) -> None:
    answer = call("replay", "last", "--sandbox=off", cwd=first)
    assert (answer.code, "--sandbox is for --live" in answer.err) == (2, True)
    off = live(first, tmp_path / "copy", "--sandbox=off", "--json")
    assert (off.code, off.json["live"]["level"], off.json["recorded"]["level"] != "off") == (0, "off", True)


def test_what_was_granted_by_a_flag_is_granted_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    manifest = {"preset": "read-only"}
    plan(home, queue(task(1, "echo x >out.txt")), manifest=manifest)
    (home / "out.txt").write_text("")
    assert tek("run", "--allow", "fs.write:out.txt", cwd=home).code == 0
    answer = live(home, tmp_path / "copy")
    assert (answer.code, (tmp_path / "copy" / "out.txt").read_text()) == (0, "x\n"), answer
    assert json.loads((tmp_path / "copy" / "config" / "manifest.json").read_text()) == manifest
