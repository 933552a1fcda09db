"""A real run, killed at any moment, comes to the same replay hash: nothing is done twice, nothing recorded is lost."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli import TEK_RUNNER, Answer, plan, tek
from tests.size import NIGHTLY

KILLS = 500 if NIGHTLY else 10
"""How often a run is killed at a random moment."""

STEPS = 4
_APPEND = "sh -c 'echo {word} >>count; sleep 0.0{pause}'"
_PLAN = (
    "## Queue A — Once\n\n### `TASK-001` Count\n\n```argv\n"
    + "\n".join(_APPEND.format(word=f"once-{n}", pause=n) for n in range(STEPS))
    + "\n```\n\n## Queue B — Again\n\n### `TASK-002` Repeat\n\n- Idempotent: yes\n\n```argv\n"
    + "\n".join(f"sh -c 'echo {n} >again-{n}; sleep 0.02'" for n in range(STEPS))
    + "\n```\n\n### `TASK-003` Last\n\n- Needs: A `TASK-002`\n\n```argv\nsh -c 'cat again-*'\n```\n"
)


def _start(cwd: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [TEK_RUNNER, *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _lines(cwd: Path) -> list[dict[str, Any]]:
    (ledger,) = cwd.glob("runs/*/ledger.jsonl")
    found = []
    for line in ledger.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break  # torn
    return found


def _done(cwd: Path) -> Counter[str]:
    path = cwd / "count"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def _recorded(lines: list[dict[str, Any]]) -> tuple[set[str], str]:
    """Return the counted steps with an outcome on record, and the one that is open."""
    asked: dict[str, str] = {}
    ended: set[str] = set()
    for line in lines:
        position = str(line.get("position"))
        if line["kind"] == "effect.intent" and "count" in str(line["envelope"]["args"]):
            asked[position] = next(f"once-{n}" for n in range(STEPS) if f"once-{n}" in str(line["envelope"]["args"]))
        elif line["kind"] == "effect.outcome" and position in asked and line["outcome"]["status"] == "ok":
            ended.add(asked.pop(position))
    return ended, next(iter(asked.values()), "")


def _finish(cwd: Path) -> Answer:
    """Resume until the run is closed, answering what is in doubt by looking."""
    answer = tek("resume", "last", "--json", cwd=cwd)
    if answer.code == 6:
        _, open_ = _recorded(_lines(cwd))
        word = "done" if _done(cwd)[open_] else "retry"
        answer = tek("resume", "last", "--json", f"--in-doubt={word}", cwd=cwd)
    assert answer.code == 0, answer
    return answer


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """The replay hash of a run that nobody touches, and how long it takes."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    plan(cwd, _PLAN)
    begun = time.monotonic()
    answer = tek("run", "--json", cwd=cwd)
    assert answer.code == 0, answer
    return str(answer.json["replay_hash"]), time.monotonic() - begun


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_at_a_random_moment(tmp_path: Path, undisturbed: tuple[str, float], kill: int) -> None:
    expected, length = undisturbed
    plan(tmp_path, _PLAN)
    moments = random.Random(kill)
    child = _start(tmp_path, "run")
    with child:
        time.sleep(moments.uniform(0.3, 1.0) * length)
        child.send_signal(signal.SIGKILL)
    if not list(tmp_path.glob("runs/*/ledger.jsonl")):
        return  # it had not begun
    before, _ = _recorded(_lines(tmp_path))
    done = _done(tmp_path)
    assert all(done[word] == 1 for word in before), "an outcome is on record of what was not done"
    if any(line["kind"] == "run.closed" for line in _lines(tmp_path)):
        return  # it was done before
    if len(_lines(tmp_path)) < 2:
        return  # nothing to resume

    answer = _finish(tmp_path)

    assert answer.json["replay_hash"] == expected
    assert _done(tmp_path) == Counter({f"once-{n}": 1 for n in range(STEPS)})
    replayed = tek("replay", "last", "--json", cwd=tmp_path)
    assert (replayed.code, replayed.json["replay_hash"]) == (0, expected)


def _interrupted(cwd: Path, *words: str) -> None:
    child = _start(cwd, "run", *words)
    with child:
        deadline = time.monotonic() + 20
        while not (cwd / "begun").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
    assert child.returncode == 130


_LONG = (
    "## Queue A — One\n\n### `TASK-001` First\n\n{fields}"
    "```argv\nsh -c 'echo x >>first'\nsh -c 'echo y >begun; sleep {pause}'\n```\n"
)


def test_an_interrupted_run_goes_on_at_the_step_that_was_cut_off(tmp_path: Path) -> None:
    plan(tmp_path / "a", _LONG.format(fields="- Idempotent: yes\n\n", pause=1))
    plan(tmp_path / "b", _LONG.format(fields="- Idempotent: yes\n\n", pause=1))
    whole = tek("run", "--json", cwd=tmp_path / "a").json["replay_hash"]
    _interrupted(tmp_path / "b")

    answer = tek("resume", "last", "--json", cwd=tmp_path / "b")

    assert (answer.code, answer.json["replay_hash"]) == (0, whole)
    assert (tmp_path / "b" / "first").read_text() == "x\n"
    assert tek("replay", "last", cwd=tmp_path / "b").code == 0


def test_what_is_in_doubt_waits_and_says_how_to_answer(tmp_path: Path) -> None:
    plan(tmp_path, _LONG.format(fields="", pause=2))
    _interrupted(tmp_path)
    waiting = tek("resume", "last", cwd=tmp_path)
    assert waiting.code == 6
    assert "IN DOUBT TASK-001" in waiting.out
    told = next(block for block in waiting.out.split("\n\n") if block.startswith("IN DOUBT TASK-001"))
    assert re.search(r"TASK-001\[1\]\.1  proc\.exec  sh -c ", told)
    assert "run sot.md" not in told, "that would do it all again"
    for answer in ("done", "retry", "fail"):
        assert re.search(rf"resume runs/\w+ --in-doubt={answer}  ", waiting.out)
    wrong = tek("resume", "last", "--in-doubt=maybe", cwd=tmp_path)
    assert (wrong.code, "write retry, done or fail" in wrong.err) == (2, True)
    done = tek("resume", "last", "--in-doubt=TASK-001=done", cwd=tmp_path)
    assert done.code == 0
    decisions = [line for line in _lines(tmp_path) if line["kind"] == "decision" and line["subject"] == "in-doubt"]
    assert [line["value"] for line in decisions] == ["done"]


_TWO_AT_ONCE = """\
## Queue A — One

### `TASK-001` First

```sh
echo first >>count; sleep 5
```

### `TASK-002` Second

```sh
echo second >>count; sleep 5
```
"""


class TestAnswers:
    @pytest.fixture
    def doubtful(self, tmp_path: Path) -> Path:
        """A run whose two tasks were both cut off, after a resume that asks about them."""
        plan(tmp_path, _TWO_AT_ONCE)
        process = _start(tmp_path, "run")
        while not (tmp_path / "count").exists() or len((tmp_path / "count").read_text().split()) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=60)
        assert tek("resume", "last", cwd=tmp_path).code == 6
        return tmp_path

    def test_each_position_has_its_own(self, doubtful: Path) -> None:
        asked = tek("resume", "last", "--json", cwd=doubtful)
        positions = [one["position"] for result in asked.json["results"] for one in result.get("in_doubt", ())]
        assert positions == ["TASK-001[1].0", "TASK-002[1].0"]
        assert all(one["answers"] == ["done", "retry", "fail"] for r in asked.json["results"] for one in r["in_doubt"])

        words = ("--in-doubt=TASK-001[1].0=done", "--in-doubt=TASK-002[1].0=fail")
        answer = tek("resume", "last", "--json", *words, cwd=doubtful)

        assert {r["task"]: r["status"] for r in answer.json["results"]} == {"TASK-001": "ok", "TASK-002": "failed"}
        assert _done(doubtful) == Counter(first=1, second=1)

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["--in-doubt=TASK-009=done"], "TASK-009: nothing of this name is in doubt; in doubt is TASK-001[1].0, "),
            (["--in-doubt=TASK-001[1].4=done"], "TASK-001[1].4: nothing of this name is in doubt"),
            (["--in-doubt=done", "--in-doubt=fail"], "says both done and fail of all"),
            (["--in-doubt=TASK-001=done", "--in-doubt=TASK-001=fail"], "says both done and fail of TASK-001"),
        ],
    )
    def test_one_that_means_nothing_is_refused_and_nothing_done(
        self, doubtful: Path, words: list[str], problem: str
    ) -> None:
        before = _lines(doubtful)
        answer = tek("resume", "last", *words, cwd=doubtful)
        assert (answer.code, problem in answer.err) == (2, True), answer
        assert _lines(doubtful) == before


class TestRefusals:
    @pytest.fixture
    def paused(self, tmp_path: Path) -> Path:
        plan(tmp_path, _LONG.format(fields="", pause=2), manifest={"preset": "workspace-write"})
        _interrupted(tmp_path)
        return tmp_path

    def test_a_changed_plan_is_refused_and_the_difference_shown(self, paused: Path) -> None:
        plan(paused, _LONG.format(fields="- Timeout: 5m\n\n", pause=2))
        answer = tek("resume", "last", cwd=paused)
        assert answer.code == 2
        assert "the plan has changed" in answer.err
        assert "TASK-001 differs in timeout" in answer.err

    def test_a_changed_policy_is_refused_and_the_difference_shown(self, paused: Path) -> None:
        manifest = {"permits": [{"action": "fs.read", "resource": "/opt/x/**"}]}
        (paused / "config" / "manifest.json").write_text(json.dumps(manifest))
        answer = tek("resume", "last", cwd=paused)
        assert answer.code == 2
        assert "it now grants fs.read:$SYSTEM/opt/x/**" in answer.err

    @pytest.mark.parametrize("write", ["preset", "budget"])
    def test_a_policy_that_came_after_the_start_is_refused(self, tmp_path: Path, write: str) -> None:
        plan(tmp_path, _LONG.format(fields="", pause=2))
        _interrupted(tmp_path)
        (tmp_path / "config").mkdir()
        manifest = {"preset": "read-only"} if write == "preset" else {"budgets": {"run": "ms=5m"}}
        (tmp_path / "config" / "manifest.json").write_text(json.dumps(manifest))

        answer = tek("resume", "last", "--in-doubt=done", cwd=tmp_path)

        assert answer.code == 2
        expected = {"preset": "differs in preset: workspace-write then, read-only now", "budget": "ms=300000"}
        assert expected[write] in answer.err

    def test_the_ceiling_of_the_command_line_is_no_change_and_another_in_the_manifest_is(self, tmp_path: Path) -> None:
        budgets = {"run": {"ms": "10m", "io": "64MiB"}}
        plan(tmp_path, _LONG.format(fields="", pause=2), manifest={"budgets": budgets})
        _interrupted(tmp_path, "--budget", "ms=5m")
        (tmp_path / "config" / "manifest.json").write_text(
            json.dumps({"budgets": {"run": {**budgets["run"], "io": 1}}})
        )
        refused = tek("resume", "last", "--in-doubt=done", cwd=tmp_path)
        assert (refused.code, "differs in run: ms=300000, " in refused.err) == (2, True), refused.err

        (tmp_path / "config" / "manifest.json").write_text(json.dumps({"budgets": budgets}))
        assert tek("resume", "last", "--in-doubt=done", cwd=tmp_path).code == 0

    def test_run_with_resume_refuses_another_allow_and_another_plan(self, tmp_path: Path) -> None:
        plan(tmp_path, _LONG.format(fields="- Idempotent: yes\n\n", pause=2))
        _interrupted(tmp_path, "--allow", "env.get:WORD")

        fewer = tek("run", "--resume", cwd=tmp_path)
        assert (fewer.code, "no longer grants env.get:WORD" in fewer.err) == (2, True), fewer.err
        (tmp_path / "other.md").write_text(_TWO_AT_ONCE)
        other = tek("run", "other.md", "--resume", "--allow", "env.get:WORD", cwd=tmp_path)
        assert (other.code, "the plan has changed" in other.err) == (2, True), other.err
        assert tek("run", "--resume", "--allow", "env.get:WORD", cwd=tmp_path).code == 0

    def test_what_was_given_by_allow_is_told_again(self, tmp_path: Path) -> None:
        plan(tmp_path, _LONG.format(fields="", pause=2), manifest={})
        _interrupted(tmp_path, "--allow", "env.get:WORD")
        answer = tek("resume", "last", "--in-doubt=done", cwd=tmp_path)
        assert answer.code == 0
        assert "env.get:WORD was granted by --allow when the run was started" in answer.err

    def test_another_signing_key_than_that_of_the_start_is_refused(self, tmp_path: Path) -> None:
        home = tmp_path / "work"
        for name in ("one", "other"):
            assert tek("keygen", name, "--name", f"example.org/{name}", cwd=tmp_path).code == 0
        plan(home, _LONG.format(fields="", pause=2), manifest={"checkpoint_key": str(tmp_path / "one")})
        _interrupted(home)
        for manifest in ({"checkpoint_key": str(tmp_path / "other")}, {}):
            (home / "config" / "manifest.json").write_text(json.dumps(manifest))
            answer = tek("resume", "last", "--in-doubt=done", cwd=home)
            assert (answer.code, "the run was started with example.org/one" in answer.err) == (2, True), answer
        (home / "config" / "manifest.json").write_text(json.dumps({"checkpoint_key": str(tmp_path / "one")}))
        assert tek("resume", "last", "--in-doubt=done", cwd=home).code == 0
        assert tek("replay", "last", "--key", tmp_path / "one.pub", cwd=home).code == 0

    def test_a_run_that_began_without_a_key_ends_without_a_signature(self, tmp_path: Path) -> None:
        home = tmp_path / "work"
        assert tek("keygen", "one", "--name", "example.org/one", cwd=tmp_path).code == 0
        plan(home, _LONG.format(fields="", pause=2), manifest={})
        _interrupted(home, "--sandbox=off")
        (home / "config" / "manifest.json").write_text(json.dumps({"checkpoint_key": str(tmp_path / "one")}))
        assert tek("resume", "last", "--in-doubt=done", cwd=home).code == 0
        assert not list(home.glob("runs/*/checkpoint"))

    @pytest.mark.parametrize("name", ["logs", "blobs"])
    def test_nothing_is_written_through_a_link_in_the_run_directory(
        self, paused: Path, tmp_path_factory: pytest.TempPathFactory, name: str
    ) -> None:
        (run,) = paused.glob("runs/*Z*")
        outside = tmp_path_factory.mktemp("outside")
        (run / name).rename(run / "aside")
        (run / name).symlink_to(outside)
        answer = tek("resume", "last", "--in-doubt=done", cwd=paused)
        assert (answer.code, f"{name}: is not the directory" in answer.err) == (2, True), answer
        assert not list(outside.iterdir())

    def test_a_ledger_that_is_no_file_is_named(self, paused: Path) -> None:
        (ledger,) = paused.glob("runs/*/ledger.jsonl")
        ledger.unlink()
        os.mkfifo(ledger)
        answer = tek("resume", ledger.parent, cwd=paused)
        assert (answer.code, f"{ledger}: is no regular file" in answer.err) == (2, True), answer

    def test_a_copy_is_not_resumed_beside_the_original(self, paused: Path, tmp_path: Path) -> None:
        (original,) = paused.glob("runs/*Z*")
        copy = tmp_path / "copy"
        shutil.copytree(original, copy)

        beside = tek("resume", copy, "--in-doubt=done", cwd=paused)
        assert (beside.code, f"is a copy of {original}" in beside.err) == (2, True), beside.err

        shutil.rmtree(original)
        assert tek("resume", copy, "--in-doubt=done", cwd=paused).code == 0

    def test_a_run_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        answer = tek("resume", "nope", cwd=tmp_path)
        assert (answer.code, "nope: there is no such run" in answer.err) == (2, True), answer.err

    def test_a_finished_run_is_not_resumed(self, paused: Path) -> None:
        assert tek("resume", "last", "--in-doubt=done", cwd=paused).code == 0
        again = tek("resume", "last", cwd=paused)
        assert (again.code, "nothing to resume" in again.err) == (2, True)

    def test_two_runners_cannot_write_one_ledger(self, paused: Path) -> None:
        first = _start(paused, "resume", "last", "--in-doubt=retry")
        with first:
            deadline = time.monotonic() + 20
            while not any(line["kind"] == "run.resumed" for line in _lines(paused)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            second = tek("resume", "last", cwd=paused)
        assert first.returncode == 0
        assert (second.code, "another tek-runner is writing" in second.err) == (2, True)

    def test_a_damaged_ledger_is_refused_at_its_line(self, paused: Path) -> None:
        (ledger,) = paused.glob("runs/*/ledger.jsonl")
        data = ledger.read_bytes()
        ledger.write_bytes(data.replace(b"task.started", b"Task.started", 1))
        before = ledger.read_bytes()
        answer = tek("resume", "last", cwd=paused)
        assert answer.code == 4
        assert ledger.read_bytes() == before

    def test_a_torn_end_is_kept_beside_the_ledger(self, paused: Path) -> None:
        (ledger,) = paused.glob("runs/*/ledger.jsonl")
        with ledger.open("ab") as file:
            file.write(b'{"seq":99,"torn')
        answer = tek("resume", "last", "--in-doubt=done", cwd=paused)
        assert answer.code == 0, answer
        assert (ledger.parent / "recovered-1.bin").read_bytes() == b'{"seq":99,"torn'
        recovered = next(line for line in _lines(paused) if line["kind"] == "recovered")
        assert recovered["length"] == 15
        assert tek("replay", "last", cwd=paused).code == 0


def test_run_with_resume_goes_on_with_a_run_that_was_cut_off_and_else_starts_one(tmp_path: Path) -> None:
    plan(tmp_path, _LONG.format(fields="- Idempotent: yes\n\n", pause=1))
    _interrupted(tmp_path)
    answer = tek("run", "--resume", "--json", cwd=tmp_path)
    assert answer.code == 0
    assert len(list(tmp_path.glob("runs/*/ledger.jsonl"))) == 1
    assert tek("run", "--resume", cwd=tmp_path).code == 0
    assert len(list(tmp_path.glob("runs/*/ledger.jsonl"))) == 2


def test_with_durability_process_nothing_waits_for_the_disk(tmp_path: Path) -> None:
    plan(tmp_path, "## Queue A — One\n\n### `TASK-001` First\n\n```argv\ntrue\n```\n")
    counts = []
    for durability in ("process", "full"):
        calls = tmp_path / f"{durability}.calls"
        subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-e",
                "trace=fdatasync",
                "-o",
                calls,
                TEK_RUNNER,
                "run",
                f"--durability={durability}",
            ],
            cwd=tmp_path,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        counts.append(calls.read_text().count("fdatasync("))
    assert counts[0] == 0
    assert counts[1] > 0
    assert _lines_of(tmp_path, 0)[0]["obs"]["durability"] == "process"


def _lines_of(cwd: Path, number: int) -> list[dict[str, Any]]:
    ledger = sorted(cwd.glob("runs/*/ledger.jsonl"))[number]
    return [json.loads(line) for line in ledger.read_bytes().splitlines()]
