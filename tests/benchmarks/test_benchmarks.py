"""The benchmarks measure what they say, and the baseline does what the older kit did."""

import json
import os
import select
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks.harness import (
    HERE,
    TEK,
    Comparison,
    Failed,
    Figure,
    Goal,
    attempt,
    interleave,
    read,
    run,
    scratch,
    table,
)
from benchmarks.inputs import baseline, legacy, tek

SPENDS = "import time; block = b'x' * (64 << 20); time.sleep(0.05)"


def test_a_run_tells_the_time_and_the_memory_of_the_command_and_not_of_who_measures() -> None:
    idle, spending = run([sys.executable, "-S", "-c", "pass"]), run([sys.executable, "-S", "-c", SPENDS])
    assert spending.seconds >= 0.05
    assert 60 < spending.memory - idle.memory < 80


def test_the_memory_of_a_child_counts() -> None:
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SPENDS!r}], check=True)"
    assert run([sys.executable, "-c", starts]).memory > 64


def test_a_command_that_fails_is_refused_with_what_it_said() -> None:
    with pytest.raises(Failed, match=r"ended with 3: no luck"):
        run([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"])


def test_a_command_that_is_missing_is_refused() -> None:
    with pytest.raises(Failed):
        run(["/nowhere/to/be/found"])


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    held = tmp_path / "held"  # by whatever of it lives
    os.mkfifo(held)
    with open(os.open(held, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as reader:
        with pytest.raises(subprocess.TimeoutExpired):
            run(["sh", "-c", f"exec >{held}; echo begun; sleep 60 & wait"], limit=1)
        assert reader.read() == b"begun\n"
        assert select.select([reader], [], [], 5)[0] == [reader]
        assert reader.read() == b""


def test_kinds_take_turns() -> None:
    turns: list[str] = []
    interleave({name: partial(turns.append, name) for name in ("one", "two")}, 2)
    assert turns == ["one", "two", "one", "two"]


def test_a_kind_that_fails_is_named_with_the_reason_and_hinders_no_other() -> None:
    def fail() -> int:
        raise Failed(["peer"], 1, "no such package")

    taken, notes = attempt({"ours": lambda: 1, "peer": fail}, 2)
    assert taken == {"ours": [1, 1]}
    assert [note for note in notes if "peer" in note and "no such package" in note] == notes != []


@pytest.mark.parametrize(
    ("actual", "at_least", "verdict"),
    [(0.5, False, "met"), (1, False, "met"), (2, False, "missed: 2.00 times the limit"), (2, True, "met"),
     (0.5, True, "missed: 0.50 times the limit")],
)  # fmt: skip
def test_a_goal_says_by_how_much_it_is_missed(actual: float, at_least: bool, verdict: str) -> None:
    assert Goal("time", actual, 1, at_least).verdict() == verdict


def test_a_table_has_medians_spread_and_ratios() -> None:
    figures = Figure("theirs", "s", (2, 1, 9)), Figure("ours", "s", (1,), "theirs")
    lines = table(Comparison("Speed", figures, (Goal("time", 1, 2),), ("A note.",)))
    assert "| theirs | 2 | 1 | 9 | s |  |" in lines
    assert "| ours | 1 | 1 | 1 | s | 0.50 |" in lines
    assert "| time | <= 2 | 1 | met |" in lines
    assert lines[-1].strip() == "A note."


def test_a_comparison_is_printed_and_read_again() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.broker", "--quick", "--rounds", "1", "--size", "400", "--json"],
        cwd=HERE.parent, capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    comparison = read(done.stdout)
    assert comparison.title == "The broker"
    assert {"bare loop", "broker"} <= {figure.name for figure in comparison.figures}
    assert all(figure.median > 0 for figure in comparison.figures)


def test_the_baseline_plans_as_tek_does_and_writes_the_same_evidence(tmp_path: Path) -> None:
    sot = legacy(tmp_path, 25)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    subprocess.run([sys.executable, str(HERE / "baseline.py"), "plan", str(sot), f"{theirs}.json"], check=True)
    subprocess.run([TEK, "plan", str(sot), "--out", f"{ours}.json"], check=True, capture_output=True)
    plans = [json.loads(Path(f"{out}.json").read_text()) for out in (theirs, ours)]
    assert plans[0]["queues"] == plans[1]["queues"]

    subprocess.run([sys.executable, str(HERE / "baseline.py"), "run", str(sot), str(theirs)], check=True)
    subprocess.run([TEK, "run", str(sot), "--run-dir", str(ours), "--yes"], check=True, capture_output=True)
    evidence = [
        {path.name.split("_")[0]: path.read_text().rpartition(" at ")[0] for path in (out / "logs").iterdir()}
        for out in (theirs, ours)
    ]
    assert evidence[0] == evidence[1] != {}


def test_the_baseline_runs_a_hook_and_keeps_its_log(tmp_path: Path) -> None:
    sot = legacy(tmp_path, 3, ["echo", "done"])
    subprocess.run([sys.executable, str(HERE / "baseline.py"), "run", str(sot), str(tmp_path / "out")], check=True)
    report = json.loads((tmp_path / "out/run.json").read_text())
    assert report["status"] == "ok"
    assert [result["status"] for result in report["results"]] == ["ok"] * 3
    assert Path(report["results"][0]["commands"][0]["log"]).read_text() == "$ echo done\ndone\n\n[stderr]\n"


def test_each_run_finds_the_same_folder_and_nothing_is_left_behind() -> None:
    with scratch() as folder:
        sot = legacy(folder / "plan", 3)
        for measure in (baseline(sot), baseline(sot), tek(sot), tek(sot)):
            measure()
            assert [*sot.parent.iterdir()] == [sot]
        assert len([*folder.glob("out-*/out/run.json")]) == 4
    assert not folder.exists()
