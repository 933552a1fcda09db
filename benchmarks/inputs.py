"""The plans that are run, by size, and the two programs that run them."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import HERE, TEK, Taken, run

_QUEUES = 10
WORKERS = 4


def ids(count: int) -> list[str]:
    """Return so many ids of tasks."""
    return [f"TASK-{number:03d}" for number in range(1, count + 1)]


def legacy(folder: Path, count: int, command: Sequence[str] = ()) -> Path:
    """Write a plan of the old form with so many tasks, each with that command as its hook, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Plan", "", "### G. Execution Queue & Task Hooks", ""]
    for number, some in enumerate(_split(ids(count))):
        lines += [f"{number + 1}. **Queue {chr(65 + number)} — Work**"]
        lines += [f"   - Tasks: {', '.join(f'`{task}`' for task in some)}", ""]
    sot = folder / "sot.md"
    sot.write_text("\n".join(lines), encoding="utf-8")
    if command:
        (folder / "config").mkdir(exist_ok=True)
        hooks = {task: {"commands": [{"cmd": list(command)}]} for task in ids(count)}
        (folder / "config/hooks.json").write_text(json.dumps(hooks))
    return sot


def _split(tasks: list[str]) -> list[list[str]]:
    each = -(-len(tasks) // _QUEUES)
    return [tasks[start : start + each] for start in range(0, len(tasks), each)]


def baseline(sot: Path, what: str = "run") -> Callable[[], Taken]:
    """Return what measures the baseline on a plan."""
    return _fresh(sot, [sys.executable, str(HERE / "baseline.py"), "--workers", str(WORKERS), what, str(sot)])


def planned(sot: Path) -> Callable[[], Taken]:
    """Return what measures ``tek-runner plan`` on a plan."""
    return _fresh(sot, [TEK, "plan", str(sot), "--out"])


def tek(sot: Path, *options: str) -> Callable[[], Taken]:
    """Return what measures ``tek-runner run`` on a plan."""
    words = [TEK, "run", str(sot), "--workers", str(WORKERS), "--output", "plain", "--yes", *options, "--run-dir"]
    return _fresh(sot, words)


def _fresh(sot: Path, words: list[str]) -> Callable[[], Taken]:
    """Measure with the result in the plan's folder, as users have it, and move that away afterwards, so that each run
    finds the same folder. It is removed at the end of all: a file system that has just freed many inodes finds new ones
    slowly, and the next kind would pay for it.
    """

    def measure() -> Taken:
        out = sot.parent / "out"
        try:
            return run([*words, str(out)], sot.parent)
        finally:
            if out.exists():
                out.rename(Path(tempfile.mkdtemp("", "out-", sot.parent.parent)) / "out")

    return measure
