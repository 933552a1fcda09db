"""``tek-runner report``: a recorded run as one page, honest about what it knows, safe to open."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import orjson
import pytest

from tek_runner.history import RunHistory
from tek_runner.reporting.page import Report, render
from tests.integration.cli import REPOSITORY, plan, queue, task, tek
from tests.integration.inprocess import call
from tests.integration.page import Page

HOSTILE = "</td></style><script>alert(1)</script><a href=//x>&amp;\"'"
TEXT = queue(
    task(1, "echo fine"),
    task(2, "seq 1 30; printf '%b\\n' '" + HOSTILE.replace("'", "") + "' '\\033[31mred' >&2; exit 3", "Retries: 1"),
    task(3, "true", "Needs: `TASK-002`"),
    task(4, "echo never", "Env: `TOKEN=secret:API_TOKEN`"),
).replace("Task 1", f"Task `{HOSTILE}`")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run in ``runs/one``: a task each that is ok, failed, skipped and denied."""
    home = tmp_path_factory.mktemp("report")
    plan(home, TEXT, manifest={"budgets": {"run": {"ms": 600000}}})
    assert tek("run", "--run-dir", "runs/one", cwd=home).code == 1
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "home"))


def page_of(home: Path, *words: str, code: int = 0) -> Page:
    answer = call("report", "runs/one", *words, cwd=home)
    assert answer.code == code, answer
    return Page((home / "runs/one/report.html").read_bytes())


def ledger(home: Path) -> Path:
    return home / "runs/one/ledger.jsonl"


def test_what_went_wrong_comes_first_with_all_that_is_needed_to_go_on(home: Path) -> None:
    text = page_of(home).text
    order = [
        "Tasks failed",
        "What was checked",
        "Failures and denials",
        "Timeline",
        "Budgets",
        "Effects",
        "Environment",
    ]
    assert [text.rindex(word) for word in order] == sorted(text.rindex(word) for word in order)
    problems = text[text.index("Failures and denials (2)") : text.index("The critical path")]
    assert "Last lines of stdout\n11\n12\n" in problems, "of the output the last 20 lines"
    assert "29\n30\n" in problems
    assert "10 lines above are in blob" in problems
    assert "Skipped because of it: TASK-003" in problems
    assert "To grant it: --allow env.get:API_TOKEN" in problems
    assert f"tek-runner run {home.parent}" not in problems
    assert "/sot.md --only TASK-002" in problems


def test_every_task_and_effect_is_there(home: Path) -> None:
    page = page_of(home)
    assert {f"task{number}" for number in range(1, 5)} <= set(page.ids)
    assert {"effects1", "effects2", "effects4", "problem2", "problem4"} <= set(page.ids)
    assert "problem1" not in page.ids
    assert "TASK-002[2].0" in page.text, "the second attempt"


def test_what_a_ledger_says_is_text(home: Path) -> None:
    page = page_of(home)
    assert HOSTILE in page.text, "it is shown as it is, and is no markup: Page finds none"
    assert "\\x1b[31mred" in page.text, "what would steer a terminal is shown"


def test_the_verdict_says_what_was_checked_and_what_was_not(home: Path) -> None:
    page = page_of(home)
    replay = call("replay", "runs/one", "--json", cwd=home).json
    assert replay["replay_hash"] in page.text
    assert replay["ledger_head"] in page.text
    assert f"Chain: each of the {replay['entries']} lines holds the hash of the line above" in page.text
    assert "left open Checkpoint: there is none" in page.text
    assert "left open Not checked here:" in page.text
    assert "| head -c -76 | sha256sum" in page.text


def test_the_answer_is_json_too(home: Path) -> None:
    answer = call("report", "runs/one", "--out", "page.html", "--json", cwd=home)
    size = (home / "page.html").stat().st_size
    told = {key: answer.json[key] for key in ("status", "report", "bytes", "problem")}
    assert told == {"status": "failed", "report": "page.html", "bytes": size, "problem": None}
    assert not (home / "runs/one/report.html").exists()
    assert call("report", "runs/one/ledger.jsonl", cwd=home).code == 0


def test_a_symlink_is_replaced_and_not_followed(home: Path) -> None:
    (home / "precious").write_text("kept")
    (home / "runs/one/report.html").symlink_to(home / "precious")
    page_of(home)
    assert (home / "precious").read_text() == "kept"
    assert not (home / "runs/one/report.html").is_symlink()


@pytest.mark.parametrize("name", ["ledger.jsonl", "checkpoint", "blobs/sha256/new"])
def test_the_record_itself_is_never_written_over(home: Path, name: str) -> None:
    before = ledger(home).read_bytes()
    for option in ("--out", "--trace"):
        answer = call("report", "runs/one", option, f"runs/one/{name}", cwd=home)
        assert (answer.code, "part of the run's record" in answer.err) == (2, True)
    assert ledger(home).read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(home: Path) -> None:
    answer = call("report", "runs/one", "--out", "nowhere/page.html", cwd=home)
    assert (answer.code, "nowhere" in answer.err) == (7, True)


def test_a_damaged_ledger_is_told_up_to_its_damage(home: Path) -> None:
    data = ledger(home).read_bytes()
    place = data.rindex(b"TASK-004")
    ledger(home).write_bytes(data[:place] + b"TASK-003" + data[place + 8 :])
    line = data[:place].count(b"\n") + 1
    page = page_of(home, code=4)
    assert f"The ledger is damaged at line {line}" in page.text
    assert "fails Chain and schema" in page.text
    answer = call("report", "runs/one", "--json", cwd=home)
    assert (answer.json["status"], answer.json["problem"]["line"]) == ("damaged", line)


def test_a_ledger_without_a_plan_has_no_report(home: Path) -> None:
    ledger(home).write_bytes(ledger(home).read_bytes().split(b"\n")[0] + b"\n")
    answer = call("report", "runs/one", cwd=home)
    assert (answer.code, "there is no plan on record" in answer.err) == (4, True)


@pytest.mark.parametrize("torn", [0, 40])
def test_a_run_that_was_cut_off_has_no_end_on_record(home: Path, torn: int) -> None:
    lines = ledger(home).read_bytes().splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if b'"kind":"effect.outcome"' in line)
    ledger(home).write_bytes(b"".join(lines[:end]) + lines[end][:torn])
    page = page_of(home)
    assert "No end on record" in page.text
    assert (f"Line {end + 1} is torn" in page.text) == bool(torn)
    assert "none: the run is not closed" in page.text


def test_a_redacted_blob_is_said_to_be_redacted(home: Path) -> None:
    entries = [orjson.loads(line) for line in ledger(home).read_bytes().splitlines()]
    outcomes = [
        one["outcome"]["value"] for one in entries if one["kind"] == "effect.outcome" and "value" in one["outcome"]
    ]
    blob = next(one["stderr"]["$blob"]["sha256"] for one in outcomes if one["code"] == 3)
    assert call("redact", "runs/one", "--blob", blob, "--reason", "names", cwd=home).code == 0
    page = page_of(home)
    assert "1 blob gave way to tombstones" in page.text
    assert "cannot be shown: blob" in page.text


def test_a_tombstone_that_is_none_fails(home: Path) -> None:
    folder = home / "runs/one/blobs/sha256/ab"
    folder.mkdir(exist_ok=True)
    (folder / ("c" * 62 + ".redacted")).write_text("gone")
    page = page_of(home, code=4)
    assert "Not proven: redaction" in page.text


def test_a_checkpoint_is_held_to_the_key_that_is_trusted(home: Path) -> None:
    for name in ("mine", "other"):
        assert call("keygen", name, "--name", f"example.org/{name}", cwd=home).code == 0
    assert call("checkpoint", "runs/one", "--key", "mine", cwd=home).code == 0
    assert "which was not checked" in page_of(home).text
    assert "signed by the key that was given" in page_of(home, "--key", "mine.pub").text
    assert "Not proven: checkpoint" in page_of(home, "--key", "other.pub", code=4).text


def test_the_examples_are_told(tmp_path: Path) -> None:
    for name, words in (("denied", []), ("legacy", ["--dry-run"])):
        home = Path(
            shutil.copytree(REPOSITORY / "examples" / name, tmp_path / name, ignore=shutil.ignore_patterns("runs"))
        )
        tek("run", "--run-dir", "runs/one", *words, cwd=home)
        page = page_of(home)
        assert ("Dry run: nothing was executed" in page.text) == (name == "legacy")


def test_two_thousand_tasks_with_twenty_thousand_effects_fit_on_a_page(recorded: Path) -> None:
    history = RunHistory.read(ledger(recorded))
    told, denied = history.tasks["TASK-002"], history.tasks["TASK-004"]
    effects = (denied.effects * 10)[:10]
    history.entry = attrs.evolve(history.entry, selected=()) if history.entry is not None else None
    history.tasks = {
        id_: attrs.evolve(told, task=attrs.evolve(told.task, id=id_, needs=("TASK-00001",)), effects=effects)
        for id_ in (f"TASK-{number:05d}" for number in range(1, 2001))
    }
    data = render(Report.of(history))
    page = Page(data)
    assert len(data) < 4_000_000
    assert {f"task{number}" for number in range(1, 2001)} <= set(page.ids)
    assert "The run has 20,000 effects" in page.text
    assert "19,000 more are not shown" in page.text
    assert "1,950 further tasks did not end well" in page.text


def test_help_and_wrong_words_are_answered(home: Path) -> None:
    assert "tek-runner report last" in call("report", "--help", cwd=home).out
    assert call("report", "runs/none", cwd=home).code == 2
    assert call("report", cwd=home).code == 2
