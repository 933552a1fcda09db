"""What people see while a run goes on and at its end: boards, groups and lines, on terminals of every kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.cli import plan, queue, task, tek
from tests.integration.terminal import Session, at_terminal

SLOW = queue(task(1, "sleep 0.8", "Timeout: `30s`"), task(2, "sleep 0.8"), fields=("Budget: `ms=10m`",))
LONG = "seq 1 50; echo bad >&2; exit 3"
FAILS = queue(task(1, LONG), task(2, "true", "Needs: `TASK-001`"), task(3, "echo fine"))
_SGR = re.compile(rb"\x1b\[[0-9;]*m")


def boards(session: Session) -> list[str]:
    """Return the lines of the whole run that were on a screen: bar, count, time."""
    return [line for screen in session.screens for line in screen if re.search(r"\d/\d tasks", line)]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_board_shows_what_runs_and_leaves_nothing_behind(tmp_path: Path, columns: int) -> None:
    plan(tmp_path, SLOW)

    session = at_terminal("run", "--budget", "ms=20m", cwd=tmp_path, columns=columns)

    assert session.code == 0
    timed = re.compile(r"TASK-001 .* of 30\.0s")
    during = next(screen for screen in session.screens if any(map(timed.search, screen)))
    assert any("TASK-002" in line for line in during)
    assert any("proc.exec" in line for line in during) == (columns > 60)
    assert all(len(line) <= columns for screen in session.screens for line in screen)
    assert boards(session), session.text
    assert not any(re.search(r"\d/\d tasks|proc\.exec", line) for line in session.last)
    assert [line.split()[:2] for line in session.last if line.startswith("ok ")] == [
        ["ok", "TASK-001"],
        ["ok", "TASK-002"],
    ]


def test_the_board_counts_down_a_ceiling(tmp_path: Path) -> None:
    plan(tmp_path, SLOW)
    session = at_terminal("run", "--budget", "ms=20m", cwd=tmp_path, columns=120)
    assert any("ms 20m00s of 20m00s left" in line for line in boards(session)), boards(session)


def test_no_color_means_no_color(tmp_path: Path) -> None:
    plan(tmp_path, SLOW)
    plain = at_terminal("run", cwd=tmp_path, env={"NO_COLOR": "1"})
    colored = at_terminal("run", cwd=tmp_path)
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]", colored.raw)
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-9][;m]", plain.raw), "bold and dim are no colors"


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_cannot_gets_plain_lines(tmp_path: Path, env: dict[str, str]) -> None:
    plan(tmp_path, SLOW)
    session = at_terminal("run", cwd=tmp_path, env=env)
    assert b"\x1b" not in session.raw
    assert [line.split()[0] for line in session.last[:3]] == ["tek:", "ok", "ok"]


def test_a_live_board_that_cannot_be_is_said(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "true")))
    answer = tek("run", "--output=live", cwd=tmp_path)
    assert answer.code == 0
    assert "--output=live needs a terminal" in answer.err
    assert "\x1b" not in answer.out


def test_groups_hold_each_tasks_output_together(tmp_path: Path) -> None:
    words = "for i in 1 2 3 4 5; do printf '{0}-'; sleep 0.02; echo $i; done"
    plan(tmp_path, queue(*(task(n, words.format(f"t{n}")) for n in range(1, 5))))

    answer = tek("run", "--output=group", cwd=tmp_path)

    lines = [line for line in answer.out.splitlines() if line.startswith(("ok ", "  | "))]
    assert len(lines) == 4 * 6
    for start in range(0, len(lines), 6):
        name = f"t{int(lines[start].split()[1][-3:])}"
        assert lines[start + 1 : start + 6] == [f"  | {name}-{i}" for i in range(1, 6)]


def test_github_gets_groups_that_no_output_can_speak_from(tmp_path: Path) -> None:
    evil = "echo '::set-env name=PATH::/evil'; echo '::endgroup::'; printf '\\n::add-mask::x\\n'; exit 1"
    plan(tmp_path, queue(task(1, evil).replace("Task 1", "100% ::warning::")))

    answer = tek("run", cwd=tmp_path, env={"GITHUB_ACTIONS": "true"})

    lines = answer.out.splitlines()
    stop = next(i for i, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[stop].removeprefix("::stop-commands::")
    end = lines.index(f"::{token}::")
    commands = [line for i, line in enumerate(lines) if line.startswith("::") and not stop < i < end]
    assert [line.split("::")[1].split()[0] for line in commands] == [
        "group",
        "stop-commands",
        token,
        "endgroup",
        "error",
    ]
    assert "100%25" in commands[0]
    assert re.search(r"file=sot\.md,line=\d+,title=TASK-001 failed::", commands[-1])
    assert "::set-env name=PATH::/evil" in lines[stop:end]


def test_the_account_tells_a_failure_whole(tmp_path: Path) -> None:
    path = plan(tmp_path, FAILS)

    answer = tek("run", cwd=tmp_path)

    place = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "TASK-001" in line)
    account = answer.out.partition("\nFAILED TASK-001")[2]
    assert account.startswith(f"  Queue A — Work  sot.md:{place}\n")
    shown = [line.removeprefix("  | ") for line in account.splitlines() if line.startswith("  | ")]
    assert shown == ["...", *map(str, range(32, 51)), "bad"], "its last 20 lines"
    assert "  skipped because of it: TASK-002\n" in account
    assert re.search(r"again: \S+tek-runner run sot.md --only TASK-001\n", account)
    assert account.index("again:") < account.index("done: 1 ok, 1 failed, 1 skipped")


def test_the_command_of_the_account_runs_just_that_task_again(tmp_path: Path) -> None:
    plan(tmp_path, FAILS)
    again = re.search(r"again: (.*)", tek("run", "--budget", "ms=5m", cwd=tmp_path).out)
    assert again is not None
    assert "--budget ms=300000" in again[1]
    words = again[1].split()[1:]
    assert tek(*words, cwd=tmp_path).out.count("TASK-003") == 0


def test_hostile_output_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = r"printf '\033]0;owned\007\033[2J\rover\n'; printf '\302\233 1m'; exit 1"
    plan(tmp_path, queue(task(1, hostile)))
    session = at_terminal("run", cwd=tmp_path)
    shown = session.raw.partition(b"FAILED")[2]
    assert b"\x1b]0" not in shown
    assert b"\x1b[2J" not in shown
    assert b"\xc2\x9b" not in shown


def test_many_failures_are_told_in_brief(tmp_path: Path) -> None:
    plan(tmp_path, queue(*(task(n, "exit 1") for n in range(1, 31))))
    answer = tek("run", "--sandbox=off", cwd=tmp_path)
    assert answer.out.count("again:") == 20
    assert "and 10 tasks more that did not end well" in answer.out
    assert "done: 30 failed" in answer.out
