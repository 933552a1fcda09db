"""A full disk, a read-only one: the run stops cleanly, says what is safe, and goes on later."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, plan

pytestmark = pytest.mark.skipif(
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


def test_nothing_is_begun_where_nothing_can_be_written(tmp_path: Path, inside: Inside) -> None:
    plan(tmp_path, PLAN)
    done = inside(f"mount -o remount,ro disk; {TEK_RUNNER} run --run-dir disk/run; echo first $?")
    assert "first 7" in done.stdout, done
    assert "Read-only file system" in done.stderr
