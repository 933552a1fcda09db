"""The main job: plan, run, replay. The replay hash is the same for any number of workers and any directory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.cli import REPOSITORY, TEK_RUNNER, plan, queue, task, tek

EXAMPLES = REPOSITORY / "examples"


def copy_of(example: str, target: Path) -> Path:
    shutil.copytree(EXAMPLES / example, target, ignore=shutil.ignore_patterns("runs", "out", "__pycache__"))
    return target


def test_quickstart_has_one_replay_hash_for_any_workers_and_directory(tmp_path: Path) -> None:
    hashes = set()
    for index, workers in enumerate(("1", "2", "8", "3")):
        here = copy_of("quickstart", tmp_path / f"place-{index}")
        answer = tek("run", "--workers", workers, "--json", cwd=here)
        assert answer.code == 0, answer
        result = answer.json
        assert result["tasks"]["ok"] == 12
        hashes.add(result["replay_hash"])
        for how in ([], ["--verify"]):
            replay = tek("replay", result["ledger"], *how, "--json", cwd=tmp_path)
            assert replay.code == 0, replay
            assert replay.json["status"] == "ok"
            assert replay.json["replay_hash"] == result["replay_hash"]
            assert replay.json["ledger_head"] == result["ledger_head"]
            assert replay.json["first_problem"] is None
    assert len(hashes) == 1


def test_denied_ends_with_3_and_says_what_would_grant(tmp_path: Path) -> None:
    here = copy_of("denied", tmp_path / "denied")

    answer = tek("run", cwd=here)

    assert answer.code == 3
    assert "FAILED" not in answer.out
    assert "to grant it: --allow proc.exec:curl" in answer.out
    assert "BudgetExhausted: ms of the task: limit 300" in answer.out
    assert "BudgetExhausted: io of the task: limit 1024" in answer.out
    assert tek("replay", "last", cwd=here).code == 0


def test_legacy_runs_its_hooks_with_the_old_log_layout(tmp_path: Path) -> None:
    section = (
        "### G. Execution Queue & Task Hooks\n\n1. **Queue A — Old**\n"
        "   - Tasks: `TASK-002`, `TASK-001`\n   - Tasks: `TASK-003`\n"
    )
    hooks = {
        "Queue A — Old": {"commands": [{"cmd": ["sh", "-c", "echo out; echo err >&2"]}]},
        "TASK-002": {"commands": [{"cmd": ["false"]}, {"cmd": []}, {"cmd": ["pwd"], "cwd": "sub"}]},
        "TASK-003": {"commands": []},
    }
    plan(tmp_path, section, hooks=hooks)
    (tmp_path / "sub").mkdir()

    answer = tek("run", "--json", cwd=tmp_path)

    assert answer.code == 1
    run = Path(answer.json["run_dir"])
    logs = {path.name: path.read_text() for path in (run / "logs").iterdir()}
    assert logs["TASK-001_cmd1.log"] == "$ sh -c echo out; echo err >&2\nout\n\n[stderr]\nerr\n"
    assert logs["TASK-002_cmd1.log"] == "$ false\n"
    assert logs["TASK-002_cmd3.log"] == f"$ pwd\n{tmp_path}/sub\n"
    (evidence,) = [name for name in logs if name.startswith("TASK-003_noop_")]
    stamp = evidence.removeprefix("TASK-003_noop_").removesuffix(".txt")
    assert logs[evidence] == f"NOOP: TASK-003 in Queue A — Old at {stamp}\n"
    results = json.loads((run / "run.json").read_text())
    assert results["status"] == "error"
    by_task = {result["task"]: result for result in results["results"]}
    assert [by_task[id_]["status"] for id_ in ("TASK-001", "TASK-002", "TASK-003")] == ["ok", "error", "noop"]
    assert [command["rc"] for command in by_task["TASK-002"]["commands"]] == [1, 0]
    assert by_task["TASK-002"]["commands"][1]["cwd"] == "sub"


def test_the_older_kits_command_forms_keep_working(tmp_path: Path) -> None:
    plan(
        tmp_path,
        "### G. Execution Queue & Task Hooks\n1. **Queue A — Old**\n- Tasks: `TASK-001`\n",
        hooks={"TASK-001": {"commands": [{"cmd": ["touch", "done"]}]}},
    )

    (tmp_path / "state").mkdir()

    planned = tek("plan", "--sot", "sot.md", "--out", "state/plan.json", cwd=tmp_path)
    dry = tek("run", "--plan", "state/plan.json", "--max-workers", "2", "--dry-run", cwd=tmp_path)
    assert not (tmp_path / "done").exists()
    ran = tek("run", "--plan", "state/plan.json", "--max-workers", "2", cwd=tmp_path)

    assert (planned.code, dry.code, ran.code) == (0, 0, 0)
    assert (tmp_path / "done").exists()
    assert len(list((tmp_path / "state" / "runs").iterdir())) == 2


def test_runs_started_at_one_moment_never_share_a_directory(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x")))

    children = [
        subprocess.Popen([TEK_RUNNER, "run", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(8)
    ]
    directories = [json.loads(child.communicate(timeout=60)[0])["run_dir"] for child in children]

    assert len(set(directories)) == 8


def _is_running(word: str) -> bool:
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if command.read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]:
                return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_settles_records_and_pauses(tmp_path: Path, number: int) -> None:
    # The marker tells the process from others: inside, it has another id.
    marker = f"60.{os.getpid()}{number}"
    plan(tmp_path, queue(task(1, f"echo on >begun; sleep {marker}"), task(2, "echo never", "Needs: `TASK-001`")))
    child = subprocess.Popen([TEK_RUNNER, "run"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    begun = tmp_path / "begun"
    deadline = time.monotonic() + 30
    while not (begun.exists() and _is_running(marker)):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    child.send_signal(number)
    out, err = child.communicate(timeout=30)

    assert child.returncode == 130, (out, err)
    assert b"paused: 2 cancelled" in out
    assert not _is_running(marker)
    ledger = next((tmp_path / "runs").glob("*/ledger.jsonl")).read_bytes().splitlines()
    assert b'"kind":"run.paused"' in ledger[-1]
    replay = tek("replay", "last", "--json", cwd=tmp_path)
    assert (replay.code, replay.json["state"]) == (0, "paused")


def test_only_runs_a_task_alone_and_fail_fast_stops_starting(tmp_path: Path) -> None:
    plan(
        tmp_path, queue(task(1, "exit 1"), task(2, "echo 2", "Needs: `TASK-001`"), task(3, "echo 3"), task(4, "echo 4"))
    )

    alone = tek("run", "--only", "TASK-002", "--json", cwd=tmp_path)
    fast = tek("run", "--fail-fast", "--workers", "1", "--json", cwd=tmp_path)
    slow = tek("run", "--workers", "1", "--json", cwd=tmp_path)

    assert (alone.code, alone.json["tasks"]["ok"]) == (0, 1)
    assert fast.code == slow.code == 1
    assert (fast.json["tasks"]["failed"], fast.json["tasks"]["skipped"], fast.json["tasks"]["ok"]) == (1, 3, 0)
    assert (slow.json["tasks"]["failed"], slow.json["tasks"]["skipped"], slow.json["tasks"]["ok"]) == (1, 1, 2)
    skipped = {result["task"]: result for result in slow.json["results"]}["TASK-002"]
    assert skipped["because"] == "TASK-001"


def test_every_help_has_examples_and_is_instant() -> None:
    for command in ("plan", "run", "replay", "list", "doctor"):
        answer = tek(command, "--help", cwd=Path("/"))
        assert answer.code == 0
        assert "Examples:" in answer.out
        assert f"tek-runner {command}" in answer.out
    loaded = subprocess.run(
        [str(Path(TEK_RUNNER).with_name("python")), "-X", "importtime", TEK_RUNNER, "--help"],
        capture_output=True, check=True, text=True,
    ).stderr  # fmt: skip
    assert not re.search(r"\| +(?:cattrs|orjson|httpcore|tek_abi|tek_kernel)\b", loaded)


def test_a_paused_run_names_the_tasks_that_were_cut_short(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "sleep 60"), task(2, "echo never", "Needs: `TASK-001`")))
    child = subprocess.Popen(
        [TEK_RUNNER, "run", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not any(b'"effect.intent"' in path.read_bytes() for path in tmp_path.glob("runs/*/ledger.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)

    child.send_signal(signal.SIGTERM)
    answer = json.loads(child.communicate(timeout=30)[0])

    assert answer["status"] == "paused"
    assert [(r["task"], r["status"]) for r in answer["results"]] == [
        ("TASK-001", "cancelled"),
        ("TASK-002", "cancelled"),
    ]
    kept = json.loads((Path(answer["run_dir"]) / "run.json").read_text())
    assert [(r["task"], r["status"]) for r in kept["results"]] == [("TASK-001", "error"), ("TASK-002", "error")]


@pytest.mark.parametrize(("fields", "manifest", "grant"), [
    (("Budget: `io=10`",), None, "- Budget: `io=20` under TASK-001"),
    ((), {"budgets": {"task": "io=10"}}, "io=20 in budgets.task of config/manifest.json"),
    ((), {"budgets": {"queues": {"A": "io=10"}}}, "io=20 in budgets.queues.A of config/manifest.json"),
])  # fmt: skip
def test_a_spent_budget_names_what_bounds_it(
    tmp_path: Path, fields: tuple[str, ...], manifest: object, grant: str
) -> None:
    plan(tmp_path, queue(task(1, "printf 0123456789", *fields)), manifest=manifest)
    assert tek("run", cwd=tmp_path).code == 0

    plan(tmp_path, queue(task(1, "printf 0123456789x", *fields)), manifest=manifest)
    answer = tek("run", cwd=tmp_path)
    assert answer.code == 3
    assert f"to grant it: {grant}" in answer.out


@pytest.mark.parametrize("manifest", [
    {"budgets": {"queues": {"a": "io=1"}}}, {"budgets": {"queues": {"ZZ": "io=1"}}},
    '{"preset": "read-only",\n "preset": "unconfined"}',
])  # fmt: skip
def test_a_ceiling_of_nothing_and_a_repeated_key_are_refused(tmp_path: Path, manifest: object) -> None:
    plan(tmp_path, queue(task(1, "echo x >made")), manifest=manifest)

    answer = tek("run", cwd=tmp_path)

    assert answer.code == 2
    assert "manifest.json:" in answer.err
    assert not (tmp_path / "made").exists()
