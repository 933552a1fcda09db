"""``tek-runner show`` and ``logs``: a recorded run in the terminal, whatever stands in it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, plan, queue, task, tek
from tests.integration.terminal import at_terminal

HOSTILE = r"printf 'one\033]0;stolen\007two\033[2J\nthree\n'; printf 'oops\n' >&2"
TASKS = queue(
    task(1, "echo first"),
    task(2, "echo to-stdout; echo to-stderr >&2; exit 3", "Retries: 1"),
    task(3, "echo never", "Needs: `TASK-002`"),
    task(4, "true", "Env: `TOKEN=secret:API_TOKEN`"),
    task(5, HOSTILE),
    task(60, "true"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one run in which tasks ended in every way."""
    home = tmp_path_factory.mktemp("shown")
    plan(home, TASKS)
    assert tek("run", "--json", cwd=home).code == 1
    return home


class TestShow:
    def test_a_line_for_each_task_and_those_that_went_wrong_whole_at_the_end(self, home: Path) -> None:
        answer = tek("show", "last", cwd=home)

        assert answer.code == 0
        heads = re.findall(r"^(\S+) +(TASK-\d+)  ", answer.out, re.M)
        assert heads[:6] == [
            ("ok", "TASK-001"), ("FAILED", "TASK-002"), ("skipped", "TASK-003"), ("DENIED", "TASK-004"),
            ("ok", "TASK-005"), ("ok", "TASK-060"),
        ]  # fmt: skip
        told = answer.out.split("\n\n")
        failed = next(block for block in told if block.startswith("FAILED TASK-002"))
        assert "sot.md:" in failed
        assert "stderr | to-stderr" in failed
        assert "skipped because of it: TASK-003" in failed
        assert re.search(r"again: tek-runner run \S+/sot.md --only TASK-002", failed)
        assert "--allow env.get:API_TOKEN" in answer.out
        assert re.search(r"^replay hash  [0-9a-f]{64}$", answer.out, re.M)

    @pytest.mark.parametrize("name", ["TASK-002", "2", "002", "task-002"])
    def test_one_task_with_each_attempt_and_request(self, home: Path, name: str) -> None:
        answer = tek("show", "last", name, cwd=home)

        assert answer.code == 0
        assert len(re.findall(r"^TASK-002\[[12]\]\.0  proc\.exec  sh -eu -c", answer.out, re.M)) == 2
        assert answer.out.count("exit 3") >= 2
        assert "decided by preset workspace-write" in answer.out
        assert "stdout | to-stdout" in answer.out
        assert "TASK-001" not in answer.out

    def test_json_says_the_same(self, home: Path) -> None:
        run = tek("show", "last", "--json", cwd=home).json
        assert [one["status"] for one in run["tasks"]] == ["ok", "failed", "skipped", "denied", "ok", "ok"]
        (one,) = tek("show", "last", "2", "--json", cwd=home).json["tasks"]
        assert [effect["exit"] for effect in one["effects"]] == ["3", "3"]
        assert one["effects"][0]["args"]["argv"][0] == "sh"

    def test_a_name_that_is_none_gets_a_hint(self, home: Path) -> None:
        answer = tek("show", "last", "TASK-0601", cwd=home)
        assert (answer.code, "did you mean TASK-060" in answer.err) == (2, True), answer.err
        several = tek("show", "last", "TASK-00", cwd=home)
        assert (several.code, "may be TASK-001, TASK-002, TASK-003" in several.err) == (2, True), several.err

    @pytest.mark.parametrize("columns", [80, 200])
    def test_nothing_of_a_run_steers_the_terminal(self, home: Path, columns: int) -> None:
        for words in (("show", "last", "5"), ("show", "last"), ("logs", "last"), ("logs", "last", "5")):
            session = at_terminal(*words, cwd=home, columns=columns, env={"PAGER": "cat"})
            assert session.code == 0
            assert b"\x1b]0" not in session.raw
            assert b"\x1b[2J" not in session.raw
        assert "one\\x1b]0;stolen\\x07two\\x1b[2J" in session.text

    def test_a_terminal_gets_a_pager_and_a_pipe_none(self, home: Path) -> None:
        paged = at_terminal("show", "last", cwd=home, env={"PAGER": "sed s/^/paged:/"})
        assert "paged:" in paged.text
        assert (
            "paged:" not in at_terminal("show", "last", "--no-pager", cwd=home, env={"PAGER": "sed s/^/paged:/"}).text
        )

    def test_what_was_cut_off_is_to_be_resumed_and_not_run_again(self, tmp_path: Path) -> None:
        plan(tmp_path, queue(task(1, "echo x >>count; sleep 60")))
        run = subprocess.Popen([TEK_RUNNER, "run"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not (tmp_path / "count").exists():
            time.sleep(0.02)
        run.kill()
        run.wait(30)
        for words in (("show", "last"), ("show", "last", "1")):
            answer = tek(*words, cwd=tmp_path)
            assert "--only" not in answer.out
            assert re.search(r"go on with: \S*tek-runner resume runs/", answer.out)

    def test_a_damaged_ledger_is_told_up_to_there(self, home: Path, tmp_path: Path) -> None:
        (ledger,) = home.glob("runs/*/ledger.jsonl")
        lines = ledger.read_bytes().splitlines(keepends=True)
        lines[5] = lines[5].replace(b"TASK", b"TSAK", 1)
        (tmp_path / "ledger.jsonl").write_bytes(b"".join(lines))
        answer = tek("show", tmp_path / "ledger.jsonl", cwd=home)
        assert (answer.code, "damaged at line 6" in answer.out) == (4, True), answer


class TestLogs:
    def test_lines_of_several_tasks_bear_their_names(self, home: Path) -> None:
        answer = tek("logs", "last", cwd=home)
        assert answer.code == 0
        assert "TASK-001 | first\n" in answer.out
        assert answer.out.count("TASK-002 | to-stdout\nTASK-002 | to-stderr\n") == 2

    def test_one_task_comes_byte_by_byte(self, home: Path) -> None:
        done = subprocess.run([TEK_RUNNER, "logs", "last", "5", "--stdout"], cwd=home, capture_output=True, check=True)
        assert done.stdout == b"one\x1b]0;stolen\x07two\x1b[2J\nthree\n"
        assert tek("logs", "last", "5", "--stderr", cwd=home).out == "oops\n"

    def test_the_last_lines(self, home: Path) -> None:
        assert tek("logs", "last", "5", "--tail", "2", cwd=home).out == "three\noops\n"
        assert tek("logs", "last", "5", "--tail", "0", cwd=home).out == ""

    def test_json_is_an_object_a_stream(self, home: Path) -> None:
        found = [json.loads(line) for line in tek("logs", "last", "2", "--json", cwd=home).out.splitlines()]
        assert [(one["position"], one["stream"], one["text"]) for one in found] == [
            (f"TASK-002[{attempt}].0", stream, f"to-{stream}\n")
            for attempt in (1, 2)
            for stream in ("stdout", "stderr")
        ]

    def test_output_that_was_altered_is_not_shown(self, tmp_path: Path) -> None:
        plan(tmp_path, queue(task(1, "echo sound")))
        tek("run", cwd=tmp_path)
        for blob in tmp_path.glob("runs/*/blobs/**/*"):
            if blob.is_file() and blob.read_bytes() == b"sound\n":
                blob.write_bytes(b"bound\n")
        answer = tek("logs", "last", "1", cwd=tmp_path)
        assert (answer.code, "bound" in answer.out, "cannot be shown" in answer.err) == (4, False, True), answer

    def test_output_that_was_redacted_says_so(self, tmp_path: Path) -> None:
        plan(tmp_path, queue(task(1, "echo secret-thing")))
        tek("run", cwd=tmp_path)
        (one,) = [json.loads(line) for line in tek("logs", "last", "--json", cwd=tmp_path).out.splitlines()]
        assert tek("redact", "last", "--blob", one["sha256"], "--reason", "test", cwd=tmp_path).code == 0
        answer = tek("logs", "last", cwd=tmp_path)
        assert (answer.code, "was redacted at" in answer.err, "secret-thing" in answer.out) == (0, True, False), answer

    def test_following_a_run_ends_with_it(self, tmp_path: Path) -> None:
        plan(tmp_path, queue(task(1, "echo early"), task(2, "sleep 1.5; echo late", "Needs: `TASK-001`")))
        run = subprocess.Popen([TEK_RUNNER, "run"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not list(tmp_path.glob("runs/*/ledger.jsonl")):
            time.sleep(0.02)
        answer = tek("logs", "last", "--follow", cwd=tmp_path)
        assert run.wait(30) == 0
        assert (answer.code, answer.out) == (0, "TASK-001 | early\nTASK-002 | late\n")

    def test_following_a_run_that_was_killed_ends_too(self, tmp_path: Path) -> None:
        plan(tmp_path, queue(task(1, "echo early"), task(2, "sleep 60", "Needs: `TASK-001`")))
        run = subprocess.Popen([TEK_RUNNER, "run"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not any(b"early" in blob.read_bytes() for blob in tmp_path.glob("runs/*/blobs/**/*") if blob.is_file()):
            time.sleep(0.02)
        follower = subprocess.Popen([TEK_RUNNER, "logs", "last", "-f"], cwd=tmp_path, stdout=subprocess.PIPE)
        time.sleep(0.5)
        assert follower.poll() is None
        run.kill()
        run.wait(30)
        out, _ = follower.communicate(timeout=30)
        assert (follower.returncode, out) == (0, b"TASK-001 | early\n")
