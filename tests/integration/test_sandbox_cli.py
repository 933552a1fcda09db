"""Confinement as a user meets it: the level in the first line and on record, refusal, and what a task can reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, plan, queue, task, tek

LEVEL = "root-idmap" if os.getuid() == 0 else "userns"


def opened(workspace: Path) -> dict[str, object]:
    (ledger,) = workspace.glob("runs/*/ledger.jsonl")
    first: dict[str, object] = json.loads(ledger.read_bytes().splitlines()[0])
    return first


def test_the_level_stands_in_the_first_line_and_on_record(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "true")))

    answer = tek("run", cwd=tmp_path)

    assert answer.code == 0
    assert answer.out.splitlines()[0].endswith(f"commands are confined by the OS ({LEVEL})")
    assert opened(tmp_path)["level"] == LEVEL


def test_off_must_be_typed_and_is_recorded_and_repeated(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("told")
    plan(tmp_path / "ws", queue(task(1, f"cat {secret}; exit 1")))

    answer = tek("run", "--sandbox=off", cwd=tmp_path / "ws")

    assert answer.code == 1
    assert "NOT confined" in answer.out.splitlines()[0]
    assert "--sandbox=off --only TASK-001" in answer.out
    assert opened(tmp_path / "ws")["level"] == "off"


def test_a_run_without_commands_needs_no_level(tmp_path: Path) -> None:
    plan(tmp_path, queue("### `TASK-001` Nothing to do\n"))

    answer = tek("run", cwd=tmp_path)

    assert "no task runs commands" in answer.out.splitlines()[0]
    assert opened(tmp_path)["level"] == "none"


def test_a_task_finds_its_workspace_and_nothing_beside_it(tmp_path: Path) -> None:
    for name in ("ws", "ws-evil"):
        (tmp_path / name).mkdir()
    (tmp_path / "ws-evil" / "secret").write_text("told")
    script = f"""
        cat {tmp_path}/ws-evil/secret && exit 1
        ls {tmp_path}/ws-evil && exit 1
        echo x >{tmp_path}/made && exit 1
        cat /etc/shadow && exit 1
        kill -0 {os.getpid()} && exit 1
        echo kept >made-inside
    """
    plan(tmp_path / "ws", queue(task(1, script)))

    answer = tek("run", cwd=tmp_path / "ws")

    assert answer.code == 0, answer.out
    assert (tmp_path / "ws" / "made-inside").read_text() == "kept\n"
    assert (tmp_path / "ws" / "made-inside").stat().st_uid == os.getuid()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("made", [".git/hooks", "config", "sub/.git/hooks"])
def test_what_is_protected_cannot_be_made_where_it_is_missing(tmp_path: Path, made: str) -> None:
    plan(tmp_path, queue(task(1, f"mkdir -p {made}; echo evil >{made}/pre-commit; echo '{{}}' >{made}/manifest.json")))

    answer = tek("run", cwd=tmp_path)

    assert answer.code == 1
    assert "no permit lets it write" in answer.out
    assert not list(tmp_path.glob(f"{made}/*"))


def test_a_missing_tree_that_is_granted_is_made(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x >out/deep/x", "Allow: `fs.write:out/deep/**`")))

    assert tek("run", cwd=tmp_path).code == 0
    assert (tmp_path / "out" / "deep" / "x").read_text() == "x\n"


def test_a_grant_that_no_system_can_hold_a_child_to_is_refused_with_its_remedy(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x >out.txt", "Allow: `fs.write:*.txt`")))

    answer = tek("run", cwd=tmp_path)

    assert answer.code == 3
    assert "grant a tree (dir/**) or one file" in answer.out
    assert not (tmp_path / "out.txt").exists()


def test_a_program_outside_of_what_may_be_read_names_the_grant(tmp_path: Path) -> None:
    home = tmp_path / "tools" / "bin"
    home.mkdir(parents=True)
    shutil.copy("/usr/bin/true", home / "mytool")
    (tmp_path / "ws").mkdir()
    plan(tmp_path / "ws", queue("### `TASK-001` Own tool\n\n```argv\nmytool\n```\n"))
    path = {"PATH": f"{home}:{os.environ['PATH']}"}

    refused = tek("run", cwd=tmp_path / "ws", env=path)
    granted = tek("run", "--allow", f"fs.read:{tmp_path}/tools/**", cwd=tmp_path / "ws", env=path)

    assert refused.code == 3
    assert f"--allow 'fs.read:{tmp_path}/tools/**'" in refused.out
    assert granted.code == 0, granted.out


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user has no capabilities to give up")
def test_where_no_level_holds_nothing_is_run(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x >made")))
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]

    run = subprocess.run([*bare, TEK_RUNNER, "run"], cwd=tmp_path, capture_output=True, text=True, check=False)
    doctor = subprocess.run([*bare, TEK_RUNNER, "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (run.returncode, doctor.returncode) == (5, 5)
    assert "root-idmap: " in run.stderr
    assert "--sandbox=off" in run.stderr
    assert "Traceback" not in run.stderr + doctor.stderr
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "runs").exists()


def test_a_level_of_another_kind_of_user_is_refused(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x >made")))

    answer = tek("run", "--sandbox", "userns" if LEVEL == "root-idmap" else "root-idmap", cwd=tmp_path)

    assert answer.code == 5
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("script", ["head -c 5000 /dev/zero >big", "head -c 5000 /dev/zero >big; echo $?; exit 153"])
def test_a_file_that_outgrows_the_budget_is_a_spent_budget(tmp_path: Path, script: str) -> None:
    plan(tmp_path, queue(task(1, script, "Budget: `io=4KiB`")))
    answer = tek("run", cwd=tmp_path)
    assert answer.code == 3, answer
    assert "let a file grow to the 4KiB that its budget left" in answer.out
