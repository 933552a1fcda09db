"""A task that asks for more than the policy grants is one question on a terminal, and a denial anywhere else."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli import TEK_RUNNER, plan, queue, task, tek
from tests.integration.terminal import at_terminal

SECRET = {"API_TOKEN": "a-long-secret"}
ASKS = task(1, 'test -n "$TOKEN"', "Env: `TOKEN=secret:API_TOKEN`")
MODEST = task(2, "true")


def decisions(cwd: Path) -> list[dict[str, Any]]:
    ledgers = sorted(cwd.glob("runs/*/ledger.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    lines = map(json.loads, ledgers[-1].read_text().splitlines())
    return [line for line in lines if line["kind"] == "decision" and line["subject"] == "approval"]


def test_once_grants_for_this_run_and_is_on_record(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS, MODEST))

    session = at_terminal("run", cwd=tmp_path, answers=["o\n"], env=SECRET)

    assert session.code == 0, session.text
    (decision,) = decisions(tmp_path)
    assert decision["position"] == ["TASK-001", 0]
    assert decision["value"] == {"answer": "once", "rules": ["env.get:API_TOKEN"]}
    assert not (tmp_path / "config").exists()
    assert tek("replay", "last", cwd=tmp_path).code == 0
    assert tek("replay", "last", "--verify", cwd=tmp_path).code == 0
    assert tek("run", cwd=tmp_path, env=SECRET).code == 3


def test_the_question_names_task_place_and_each_rule_and_no_other_task(tmp_path: Path) -> None:
    asks = task(1, "true", "Allow: `net.http:GET https://example.org/**` `fs.read:/srv/data/**` `fs.write:out/**`")
    plan(tmp_path, queue(asks, MODEST))

    session = at_terminal("run", cwd=tmp_path, answers=["n\n"])

    assert session.raw.count(b"Grant it?") == 1
    asked = session.raw.decode().partition("Grant it?")[0]
    assert "TASK-001  Task 1" in asked
    assert "sot.md:" in asked
    assert "net.http:GET https://example.org/**" in asked
    assert "fs.read:/srv/data/**" in asked
    assert "fs.write:out/**" not in asked, "the policy grants that"
    assert "TASK-002" not in asked


def test_always_writes_the_manifest_and_is_not_asked_again(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS), manifest={"preset": "workspace-write", "budgets": {"run": "ms=5m"}})

    first = at_terminal("run", cwd=tmp_path, answers=["always\n"], env=SECRET)
    second = at_terminal("run", cwd=tmp_path, env=SECRET)

    assert (first.code, second.code) == (0, 0)
    assert b"Grant it?" not in second.raw
    manifest = json.loads((tmp_path / "config" / "manifest.json").read_text())
    assert manifest["permits"] == [{"action": "env.get", "resource": "API_TOKEN", "subject": "TASK-001"}]
    assert manifest["budgets"] == {"run": "ms=5m"}, "what stood there still stands"


def test_what_was_granted_for_always_is_listed_and_revoked(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS))
    at_terminal("run", cwd=tmp_path, answers=["a\n"], env=SECRET)

    listed = tek("permits", "list", "--json", cwd=tmp_path).json
    other = tek("permits", "revoke", "env.get:API_TOKEN", "--task", "TASK-002", cwd=tmp_path)
    gone = tek("permits", "revoke", "env.get:API_TOKEN", cwd=tmp_path)

    assert {"rule": "env.get:API_TOKEN", "subject": "TASK-001"}.items() <= listed[-1].items()
    assert (other.code, gone.code) == (2, 0)
    assert tek("run", cwd=tmp_path, env=SECRET).code == 3


@pytest.mark.parametrize("answer", ["n\n", "\n", "q\n", "\x04", "what?\nn\n"])
def test_no_is_denied_with_the_line_to_add(tmp_path: Path, answer: str) -> None:
    plan(tmp_path, queue(ASKS))

    session = at_terminal("run", cwd=tmp_path, answers=[answer], env=SECRET)

    assert session.code == 3
    assert "to grant it: --allow env.get:API_TOKEN" in session.text
    (decision,) = decisions(tmp_path)
    assert decision["value"]["answer"] == "no"
    assert not (tmp_path / "config").exists()


def test_q_is_a_no_to_all_that_follow(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS, ASKS.replace("001", "002"), ASKS.replace("001", "003")))

    session = at_terminal("run", cwd=tmp_path, answers=["o\n", "q\n"], env=SECRET)

    assert session.raw.count(b"Grant it?") == 2
    assert [one["value"]["answer"] for one in decisions(tmp_path)] == ["once", "no", "no"]


@pytest.mark.parametrize("words", [("--yes",), ("--json",), ("--dry-run",)])
def test_nothing_is_asked_nor_granted(tmp_path: Path, words: tuple[str, ...]) -> None:
    plan(tmp_path, queue(ASKS))

    session = at_terminal("run", *words, cwd=tmp_path, env=SECRET)

    assert b"Grant it?" not in session.raw
    assert decisions(tmp_path) == []
    assert session.code == (0 if "--dry-run" in words else 3)


def test_a_pipe_on_either_side_is_nobody_to_ask(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS))

    session = at_terminal("-c", f"{TEK_RUNNER} run </dev/null", cwd=tmp_path, env=SECRET, program=("sh",))

    assert session.code == 3
    assert b"Grant it?" not in session.raw


def test_nobody_is_asked_for_what_nobody_can_grant(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x >.git/hooks/post-commit", "Allow: `fs.write:.git/hooks/**`")))
    (tmp_path / ".git" / "hooks").mkdir(parents=True)

    session = at_terminal("run", cwd=tmp_path)

    assert b"Grant it?" not in session.raw
    assert session.code != 0
    assert not (tmp_path / ".git" / "hooks" / "post-commit").exists()


def test_an_interrupt_at_the_question_runs_nothing(tmp_path: Path) -> None:
    plan(tmp_path, queue(ASKS))

    session = at_terminal("run", cwd=tmp_path, answers=["\x03"], env=SECRET)

    assert session.code in (130, -signal.SIGINT)
    assert not list(tmp_path.glob("runs/*/ledger.jsonl"))


def test_a_grant_covers_its_own_task_alone(tmp_path: Path) -> None:
    other = task(2, 'test -n "$TOKEN"', "Env: `TOKEN=secret:API_TOKEN`")
    plan(tmp_path, queue(ASKS, other))

    session = at_terminal("run", cwd=tmp_path, answers=["o\n", "n\n"], env=SECRET)

    assert session.code == 3
    results = json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())["results"]
    statuses = {one["task"]: one["status"] for one in results}
    assert statuses == {"TASK-001": "ok", "TASK-002": "error"}


def test_a_resumed_run_keeps_its_answers(tmp_path: Path) -> None:
    script = 'if [ ! -e started ]; then touch started; sleep 60; fi; test -n "$TOKEN"'
    plan(tmp_path, queue(task(1, script, "Env: `TOKEN=secret:API_TOKEN`", "Idempotent: yes")))

    def kill_once_started(child: subprocess.Popen[bytes]) -> None:
        while not (tmp_path / "started").exists() and child.poll() is None:
            time.sleep(0.02)
        child.kill()

    killed = at_terminal("run", cwd=tmp_path, answers=["o\n"], env=SECRET, beside=kill_once_started)
    resumed = tek("resume", "last", cwd=tmp_path, env=SECRET)

    assert killed.code == -signal.SIGKILL
    assert resumed.code == 0, resumed.out
    assert len(decisions(tmp_path)) == 1
    assert tek("replay", "last", cwd=tmp_path).code == 0
