"""``tek-runner diff``: two recorded runs, task by task."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli import plan, queue, task, tek
from tests.integration.inprocess import call

TEXT = queue(task(1, "cat data.txt"), task(2, "test -e flag"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "data.txt").write_text("one\n")
    (tmp_path / "flag").write_text("")
    plan(tmp_path, TEXT, manifest={})
    assert tek("run", "--run-dir", "runs/a", cwd=tmp_path).code == 0
    return tmp_path


def test_runs_that_did_the_same_are_the_same(home: Path) -> None:
    assert tek("run", "--run-dir", "runs/b", cwd=home).code == 0
    answer = call("diff", "runs/a", "runs/b", "--json", cwd=home)
    assert (answer.code, answer.json["status"], answer.json["effects"]) == (0, "same", [])
    assert answer.json["a"]["replay_hash"] == answer.json["b"]["replay_hash"]
    assert "\nsame\n" in call("diff", "runs/a", "runs/b/ledger.jsonl", cwd=home).out


def test_what_came_out_otherwise_has_its_place(home: Path) -> None:
    (home / "data.txt").write_text("other\n")
    (home / "flag").unlink()
    assert tek("run", "--run-dir", "runs/b", cwd=home).code == 1
    answer = call("diff", "runs/a", "runs/b", "--json", cwd=home)
    assert (answer.code, answer.json["status"]) == (1, "different")
    found = [(one["task"], one["position"], one["field"]) for one in answer.json["effects"]]
    assert found == [
        ("TASK-001", "TASK-001[1].0", "value.stdout"),
        ("TASK-002", "TASK-002[1].0", "value.code"),
        ("TASK-002", None, "status"),
    ]
    assert {"task": "TASK-001", "io": [4, 6]} in answer.json["used"]
    told = call("diff", "runs/a", "runs/b", cwd=home)
    assert "TASK-002  TASK-002[1].0  proc.exec  value.code\n  A  0\n  B  1\n" in told.out


def test_another_plan_and_policy_are_named(home: Path) -> None:
    plan(home, TEXT.replace("cat data.txt", "cat flag"), manifest={"budgets": {"task": {"io": 5000}}, "permits": [
        {"action": "env.get", "resource": "WORD"}]})  # fmt: skip
    assert tek("run", "--run-dir", "runs/b", cwd=home).code == 0
    answer = call("diff", "runs/a", "runs/b", "--json", cwd=home)
    assert answer.code == 1
    assert any(text.startswith("TASK-001 differs in") for text in answer.json["plan"])
    assert any("env.get" in text for text in answer.json["policy"])


def test_a_ledger_that_does_not_hold_is_not_compared(home: Path) -> None:
    ledger = home / "runs/a/ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    answer = call("diff", "runs/a", "runs/a", cwd=home)
    assert (answer.code, answer.out) == (4, "")
    missing = call("diff", "runs/a", "runs/none", cwd=home)
    assert missing.code in (2, 4)
