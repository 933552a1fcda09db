"""``tek-runner gc``: which runs go, and what is never touched."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.cli import plan, queue, task, tek
from tests.integration.inprocess import call


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger of a run that is over."""
    home = tmp_path_factory.mktemp("closed")
    plan(home, queue(task(1, "true")))
    assert tek("run", "--run-dir", "run", "--dry-run", cwd=home).code == 0
    return (home / "run" / "ledger.jsonl").read_bytes()


def name_of(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y%m%d_%H%M%SZ}"


def make_run(runs: Path, name: str, ledger: bytes) -> Path:
    directory = runs / name
    (directory / "logs").mkdir(parents=True)
    (directory / "logs" / "one.log").write_bytes(b"x" * 1000)
    (directory / "ledger.jsonl").write_bytes(ledger)
    return directory


@pytest.fixture
def runs(tmp_path: Path, closed: bytes) -> Path:
    """Five runs: 40, 30, 20 and 10 days old, and one of today."""
    for days in (40, 30, 20, 10, 0):
        make_run(tmp_path / "runs", name_of(days), closed)
    return tmp_path / "runs"


def left(runs: Path) -> int:
    return len(list(runs.iterdir()))


@pytest.mark.parametrize(
    ("words", "stay"),
    [
        (["--keep-last", "2"], 2),
        (["--keep-last", "0"], 0),
        (["--keep-last", "9"], 5),
        (["--keep-days", "15"], 2),
        (["--keep-days", "25", "--keep-last", "1"], 3),
        (["--keep-days", "5", "--keep-last", "4"], 4),
    ],
)
def test_what_no_rule_keeps_goes_the_oldest_first(runs: Path, words: list[str], stay: int) -> None:
    names = sorted(path.name for path in runs.iterdir())
    dry = call("gc", *words, "--dry-run", "--json", cwd=runs.parent)
    assert left(runs) == 5
    answer = call("gc", *words, "--json", cwd=runs.parent)
    assert answer.code == 0, answer
    assert [run["name"] for run in answer.json["removed"]] == names[: 5 - stay]
    assert answer.json["removed"] == dry.json["removed"]
    assert sorted(path.name for path in runs.iterdir()) == names[5 - stay :]


def test_people_are_told_what_goes_and_how_much_it_frees(runs: Path, closed: bytes) -> None:
    answer = tek("gc", "runs", "--keep-last", "4", cwd=runs.parent)
    assert answer.code == 0
    assert answer.out.startswith("removed  runs/2")
    assert "4 of 5 runs stay" in answer.out
    freed = call("gc", "--keep-last", "3", "--json", cwd=runs.parent).json["bytes"]
    assert freed == 1000 + len(closed)


def test_without_a_rule_nothing_goes(runs: Path) -> None:
    assert call("gc", cwd=runs.parent).code == 2
    assert left(runs) == 5


def test_unfinished_runs_go_only_when_it_is_said(runs: Path, closed: bytes) -> None:
    lines = closed.splitlines(keepends=True)
    damaged = closed[:-20] + bytes([closed[-20] ^ 1]) + closed[-19:]
    for number, ledger in enumerate((b"", b"".join(lines[:-1]), closed[:-1], damaged, closed + lines[0])):
        make_run(runs, f"{name_of(50 + number)}_2", ledger)
    (runs / f"{name_of(60)}" / "logs").mkdir(parents=True)
    answer = call("gc", "--keep-days", "45", cwd=runs.parent)
    assert answer.out.count("unfinished") == 6
    assert left(runs) == 11
    call("gc", "--keep-days", "45", "--unfinished", cwd=runs.parent)
    assert left(runs) == 5


@pytest.mark.parametrize("name", [".", "ledger.jsonl"])
def test_a_run_that_is_in_use_never_goes(runs: Path, name: str) -> None:
    oldest = min(runs.iterdir())
    fd = os.open(oldest / name, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        answer = call("gc", "--keep-last", "0", "--unfinished", cwd=runs.parent)
    finally:
        os.close(fd)
    assert f"kept  runs/{oldest.name}  locked" in answer.out
    assert list(runs.iterdir()) == [oldest]


def test_no_symbolic_link_is_followed(runs: Path, tmp_path: Path, closed: bytes) -> None:
    """CWE-59: a link in a run, in place of a run, of its ledger, or of the whole directory leads nowhere."""
    outside = tmp_path / "outside"
    make_run(outside, name_of(99), closed)
    oldest = min(runs.iterdir())
    (oldest / "link").symlink_to(outside)
    (runs / name_of(98)).symlink_to(outside / name_of(99))
    (make_run(runs, f"{name_of(97)}_7", b"") / "ledger.jsonl").unlink()
    (runs / f"{name_of(97)}_7" / "ledger.jsonl").symlink_to(outside / name_of(99) / "ledger.jsonl")
    call("gc", "--keep-last", "0", cwd=runs.parent)
    assert not oldest.exists()
    assert (outside / name_of(99) / "logs" / "one.log").exists()
    assert left(runs) == 2
    (tmp_path / "linked").symlink_to(runs)
    refused = call("gc", "linked", "--keep-last", "0", "--unfinished", cwd=runs.parent)
    assert refused.code == 2
    assert left(runs) == 2


def test_what_run_has_not_named_is_left_alone(runs: Path, closed: bytes) -> None:
    for name in ("important", "20260131_101500", "20261399_101500Z", "x20260131_101500Z"):
        make_run(runs, name, closed)
    call("gc", "--keep-last", "0", "--unfinished", cwd=runs.parent)
    assert left(runs) == 4


def test_a_removal_that_was_cut_off_is_finished(runs: Path) -> None:
    oldest = min(runs.iterdir())
    oldest.rename(runs / f".gc-{oldest.name}")
    answer = call("gc", "--keep-last", "9", "--json", cwd=runs.parent)
    assert [run["state"] for run in answer.json["removed"]] == ["half removed"]
    assert left(runs) == 4


def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("missing", "file", "\udcff"):
        answer = call("gc", name, "--keep-last", "1", cwd=tmp_path)
        assert answer.code == 2
        assert "is not a directory of runs" in answer.err
