"""examples/nightly_data: one host is reached, bad data is refused, and the report says which of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.cli import REPOSITORY, tek
from tests.integration.example import copy, ended, plain, served, shown

PAGE = (REPOSITORY / "examples/nightly_data/README.md").read_text()
DONE = {f"TASK-{number:03d}": "ok" for number in range(1, 7)}
WITHOUT_DATA = {"TASK-001": "ok", **{f"TASK-{number:03d}": "skipped" for number in range(4, 7)}}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the example, in which a report of last night stands."""
    home = copy("nightly_data", tmp_path / "nightly")
    (home / "out/report").mkdir(parents=True)
    (home / "out/report/report.md").write_text("last night's")
    return home


def test_a_good_night_ends_as_the_page_shows_and_replays(home: Path) -> None:
    with served(home):
        answer = tek("run", "sot.md", cwd=home)
    good, _ = shown(PAGE, "tek-runner run sot.md")

    assert answer.code == 0
    assert good <= plain(answer.out)
    summary = json.loads((home / "out/report/summary.json").read_text())
    assert (summary["status"], summary["readings"], summary["problems"]) == ("done", 72, [])
    assert [row["station"] for row in summary["stations"]] == ["alp", "hav", "val"]
    (unusual,) = summary["unusual"]
    report = (home / "out/report/report.md").read_text()
    assert unusual in report
    assert "| hav | Havneby | 24 | 5.4 | 8.1 | 19.8 |" in report
    replay_hash = re.findall(r"replay hash +(\w+)", answer.out)
    assert [tek("replay", "last", "--json", cwd=home).json["replay_hash"]] == replay_hash


def test_a_bad_night_fails_with_its_lines_and_the_report_says_so(home: Path) -> None:
    with served(home, "bad"):
        answer = tek("run", "sot.md", cwd=home)
    _, bad = shown(PAGE, "tek-runner run sot.md")

    assert answer.code == 1
    assert bad <= plain(answer.out)
    report = (home / "out/report/report.md").read_text()
    problems = {line.removeprefix("  | ") for line in bad if line.startswith("  | readings.csv")}
    assert len(problems) == 7
    assert problems <= {line.removeprefix("- ") for line in report.splitlines()}
    assert "**refused**" in report
    assert not (home / "out/daily/daily.csv").exists()
    assert json.loads((home / "out/report/summary.json").read_text())["status"] == "refused"


def test_a_busy_source_is_asked_again(home: Path) -> None:
    with served(home, "--busy", "2"):
        answer = tek("run", "sot.md", "--json", cwd=home)
    assert (answer.code, ended(answer)) == (0, DONE)
    assert '"attempt":2' in Path(answer.json["ledger"]).read_text()


def test_without_the_source_last_nights_report_is_not_taken_for_tonights(home: Path) -> None:
    with served(home):
        pass

    answer = tek("run", "sot.md", "--json", cwd=home)

    assert (answer.code, ended(answer)) == (1, {**WITHOUT_DATA, "TASK-002": "failed", "TASK-003": "failed"})
    assert not list((home / "out/report").iterdir())


def test_without_its_permit_nothing_is_reached_though_the_plan_asks(home: Path) -> None:
    with served(home):
        manifest = home / "config/manifest.json"
        policy = json.loads(manifest.read_text())
        wanted = policy["permits"].pop(0)["resource"]
        manifest.write_text(json.dumps(policy))
        plan = home / "sot.md"
        plan.write_text(plan.read_text().replace("- Retries: 2\n", ""))
        answer = tek("run", "sot.md", "--json", cwd=home)

    assert (answer.code, ended(answer)) == (1, {**WITHOUT_DATA, "TASK-002": "failed", "TASK-003": "failed"})
    (log,) = home.glob("runs/*/logs/TASK-002_cmd1.log")
    assert f"is there a permit for it (net.http:{wanted})?" in log.read_text()


def test_a_run_that_was_cut_off_goes_on_by_itself_for_every_task_may_be_done_again(home: Path) -> None:
    tasks = [task for queue in tek("plan", "--json", cwd=home).json["plan"]["queues"] for task in queue["tasks"]]
    assert [task["id"] for task in tasks if task["idempotent"]] == list(DONE)


def test_a_file_that_has_grown_ends_at_its_budget(home: Path) -> None:
    with (home / "server/good/readings.csv").open("a") as file:
        file.write("x" * 300_000)
    with served(home):
        answer = tek("run", "sot.md", "--json", cwd=home)

    assert (answer.code, ended(answer)) == (3, {**WITHOUT_DATA, "TASK-002": "ok", "TASK-003": "denied"})


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("readings.csv", b"", "readings.csv: the columns should be station, time,"),
        (
            "readings.csv",
            b"station,time,temperature_c,humidity_pct\nalp,2026-11-22T00:00Z,NaN,1\n",
            ":2: temperature_c",
        ),
        ("readings.csv", b"station,time,temperature_c,humidity_pct\n\xff\n", "cannot be read: 'utf-8' codec"),
        ("stations.csv", b"id,name,elevation_m\nalp\n", "stations.csv:2: 1 fields"),
    ],
)
def test_whatever_comes_in_is_refused_with_its_place(home: Path, name: str, data: bytes, problem: str) -> None:
    raw = home / "server/good"
    (raw / name).write_bytes(data)
    command = "### `TASK-001` Validate\n\n```argv\npython3 tools/validate.py server/good out/report\n```\n"
    (home / "one.md").write_text(f"## Queue A — One\n\n{command}")

    answer = tek("run", "one.md", "--json", "--allow", "fs.write:out/report/**", cwd=home)

    assert answer.code == 1
    assert problem in (home / "out/report/report.md").read_text()
