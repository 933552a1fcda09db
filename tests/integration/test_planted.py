"""What runs code later or steers tek is planted by no task, nor by two that help each other (CWE-367)."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli import plan, queue, tek

_ALL = ("--allow", "fs.write:**")
_WAIT = "for i in $(seq 100); do [ -e {} ] && break; sleep 0.05; done"
_FIRST = (
    "cd sub; mkdir .git; printf '[core]\\n\\tfsmonitor = touch ../PWNED; false\\n' >payload; ln payload .git/config; "
    f"touch a1; {_WAIT.format('b1')}; rm -r .git; touch a2"
)
_SECOND = (
    f"cd sub; {_WAIT.format('a1')}; touch b1; {_WAIT.format('a2')}; sleep 0.3; "
    "mkdir -p .git/objects .git/refs; ln payload .git/config"
)
_STEP = "### `TASK-{:03}` {}\n\n{}```argv\nsh -c {}\n```\n\n"


def _task(number: int, script: str, fields: str = "") -> str:
    quoted = "'" + script.replace("'", "'\"'\"'") + "'"
    return _STEP.format(number, number, fields, quoted)


def test_two_tasks_cannot_vouch_for_each_other_s_repository(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    gate = _task(3, _WAIT.format("sub/a1"), "- Allow: `fs.write:gate/**`\n\n")
    second = _task(2, _SECOND, "- Needs: `TASK-003`\n\n")
    text = f"## Queue A — A\n\n{_task(1, _FIRST)}## Queue B — B\n\n{second}"
    plan(tmp_path, f"{text}## Queue C — Gate\n\n{gate}")
    answer = tek("run", *_ALL, cwd=tmp_path)
    assert answer.code in (1, 3), answer
    assert "which no permit lets" in answer.out
    assert not (tmp_path / "sub/.git/config").exists()


def test_no_task_writes_a_run_that_another_would_resume(tmp_path: Path) -> None:
    script = "mkdir -p runs/20991231_000000Z && echo forged >runs/20991231_000000Z/ledger.jsonl"
    plan(tmp_path, queue(_task(1, script)))
    answer = tek("run", *_ALL, cwd=tmp_path)
    assert answer.code == 1, answer
    assert not list(tmp_path.glob("runs/2099*"))
    elsewhere = tek("run", *_ALL, "--run-dir", tmp_path.parent / f"{tmp_path.name}-run", cwd=tmp_path)
    assert elsewhere.code == 1, elsewhere
    assert not list(tmp_path.glob("runs/2099*"))
