"""A hundred thousand tasks: in one process, with flat memory, and no file left open."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.integration.cli import TEK_RUNNER, tek

TASKS = 100_000
MIB = 1024
AT_EXIT = """
import atexit, json, os, re

def look():
    # Not getrusage's peak: that of a child starts with what its parent held when it forked.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    seen = {"peak_kib": peak, "open_files": len(os.listdir("/proc/self/fd"))}
    open(os.environ["TEK_SEEN"], "w").write(json.dumps(seen))

atexit.register(look)
"""


def write_plan(directory: Path) -> None:
    lines = ["### G. Execution Queue & Task Hooks"]
    for queue in range(20):
        lines.append(f"{queue + 1}. **Queue {chr(65 + queue)} — Part {queue}**")
        lines += [f"- Tasks: `TASK-{queue * TASKS // 20 + number:06d}`" for number in range(TASKS // 20)]
    (directory / "sot.md").write_text("\n".join(lines))


def test_a_hundred_thousand_noop_tasks_stay_under_160_mib(tmp_path: Path) -> None:
    write_plan(tmp_path)
    watch = tmp_path / "site"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(AT_EXIT)
    environment = {**os.environ, "PYTHONPATH": str(watch), "TEK_SEEN": str(tmp_path / "seen")}

    subprocess.run([TEK_RUNNER, "run"], cwd=tmp_path, stdout=subprocess.DEVNULL, env=environment, check=True)

    seen = json.loads((tmp_path / "seen").read_bytes())
    assert seen["peak_kib"] < 160 * MIB
    assert seen["open_files"] <= 6, "stdin, stdout, stderr, and what counting them opens"
    (run,) = (tmp_path / "runs").iterdir()
    assert len(json.loads((run / "run.json").read_bytes())["results"]) == TASKS
    assert sum(1 for _ in os.scandir(run / "logs")) == TASKS
    assert tek("replay", "last", "--verify", cwd=tmp_path).code == 0


def test_a_hundred_thousand_tasks_are_planned(tmp_path: Path) -> None:
    write_plan(tmp_path)

    answer = tek("plan", "--sot", "sot.md", "--out", "plan.json", cwd=tmp_path)

    assert answer.code == 0
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    assert plan["version"] == 1
    assert sum(len(queue["tasks"]) for queue in plan["queues"]) == TASKS
