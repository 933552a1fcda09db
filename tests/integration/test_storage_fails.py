"""A disk that is full, read-only or broken: the run stops cleanly, says what is safe, and goes on later."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, plan

needs_mount = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="a file system of one's own is for root to mount"
)
Inside = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    """Run a script in a mount namespace of its own, where ``disk`` is a file system of 160 KiB."""
    (tmp_path / "disk").mkdir()

    def run(script: str) -> subprocess.CompletedProcess[str]:
        whole = f"set -u; mount -t tmpfs -o size=160k,mode=755 tek disk; {script}"
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", whole],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


_UNTIL_BEGUN = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do [ -e a ] || sleep 0.25; done"
_TASKS = "".join(
    f"### `TASK-{number:03}` Task {number}\n\n- Idempotent: yes\n\n```argv\nhead -c 3000 /dev/urandom\n```\n\n"
    for number in range(1, 41)
)
PLAN = f"## Queue A — Many\n\n{_TASKS}"


@needs_mount
def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_room(tmp_path: Path, inside: Inside) -> None:
    plan(tmp_path, PLAN)
    done = inside(
        f"{TEK_RUNNER} run --run-dir disk/run; echo first $?; mount -o remount,size=20m disk;"
        f"{TEK_RUNNER} resume disk/run; echo second $?; {TEK_RUNNER} replay disk/run; echo third $?"
    )
    assert "first 7" in done.stdout, done
    assert "No space left on device" in done.stderr
    assert re.search(r"\d+ lines are on record", done.stderr)
    assert "resume disk/run" in done.stderr
    assert "second 0" in done.stdout, done
    assert "done: 40 ok" in done.stdout
    assert "third 0" in done.stdout
    assert "Traceback" not in done.stderr


@needs_mount
def test_a_disk_that_turns_read_only_stops_the_run(tmp_path: Path, inside: Inside) -> None:
    plan(tmp_path, "## Queue A — One\n\n### `TASK-001` First\n\n- Idempotent: yes\n\n```argv\ntouch a\nsleep 1\n```\n")
    done = inside(
        f"{TEK_RUNNER} run --run-dir disk/run & {_UNTIL_BEGUN}; mount -o remount,ro disk;"
        f"wait $!; echo first $?; mount -o remount,rw disk; {TEK_RUNNER} resume disk/run; echo second $?"
    )
    assert "Traceback" not in done.stderr
    if "first 0" not in done.stdout:  # an open file may still be written
        assert "first 7" in done.stdout, done
        assert "Read-only file system" in done.stderr
        assert "second 0" in done.stdout, done


@needs_mount
def test_nothing_is_begun_where_nothing_can_be_written(tmp_path: Path, inside: Inside) -> None:
    plan(tmp_path, PLAN)
    done = inside(f"mount -o remount,ro disk; {TEK_RUNNER} run --run-dir disk/run; echo first $?")
    assert "first 7" in done.stdout, done
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("sync", [1, 2, 3, 5, 8])
def test_a_disk_that_answers_with_an_error_stops_the_run_and_nothing_recorded_is_lost(
    tmp_path: Path, sync: int
) -> None:
    plan(tmp_path, PLAN.partition("### `TASK-009`")[0])
    assert shutil.which("strace") is not None, "this test needs strace: apt-get install strace (.ci/run does)"
    broken = f"inject=fsync,fdatasync:error=EIO:when={sync}+"
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", broken]
    first = _call([*traced, TEK_RUNNER, "run", "--run-dir", "run"], tmp_path)
    assert first.returncode == 7, first
    assert "Input/output error" in first.stderr
    assert "Traceback" not in first.stderr
    ledger = tmp_path / "run/ledger.jsonl"
    before = ledger.read_bytes() if ledger.exists() else b""
    if not before.endswith(b"\n") or b'"kind":"plan"' not in before:
        return  # it stopped before there was anything to go on with
    second = _call([TEK_RUNNER, "resume", "run"], tmp_path)
    assert second.returncode == 0, second
    assert ledger.read_bytes().startswith(before)
    assert _call([TEK_RUNNER, "replay", "run"], tmp_path).returncode == 0


def _call(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
