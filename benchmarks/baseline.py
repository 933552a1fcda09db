"""What the older kit did, with the standard library alone: ``baseline.py plan SOT OUT``, ``baseline.py run SOT RUN``.

Regular expressions find queues and tasks; a pool of threads runs them. A task without a hook writes one file of
evidence. A hook's commands are run with their output captured, each with its log. It has no permits, no budgets, no
ledger and no confinement, and syncs nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SECTION = re.compile(r"^### G\. Execution Queue & Task Hooks.*?$(.*?)(?=^###? |\Z)", re.M | re.S)
_QUEUE = re.compile(r"^\d+\. \*\*(Queue [A-Z] — .+?)\*\*")
_TASK = re.compile(r"`(TASK-\d{3,})`")
_LAYERS = ((21, "foundation"), (29, "orchestration"), (41, "platform"), (53, "services"), (61, "monitoring"))


def layer(task: str) -> str:
    number = int(task.split("-")[1])
    return next((name for last, name in _LAYERS if 1 <= number <= last), "execution")


def plan(sot: Path) -> dict[str, Any]:
    """Return the plan of a source of truth."""
    found = _SECTION.search(sot.read_text(encoding="utf-8"))
    queues: list[dict[str, Any]] = []
    for line in found[1].splitlines() if found else ():
        if heading := _QUEUE.match(line.strip()):
            queues.append({"name": heading[1], "tasks": []})
        elif queues and line.strip().startswith("- Tasks:"):
            tasks = _TASK.findall(line)
            queues[-1]["tasks"] += [{"id": task, "title": task, "layer": layer(task)} for task in tasks]
    return {"version": 1, "source": str(sot), "generated_at": stamp(), "queues": queues}


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%SZ")


class Run:
    """One run of a plan into a directory."""

    def __init__(self, directory: Path, hooks: dict[str, Any]) -> None:
        self.hooks = hooks
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True)
        self.started = stamp()

    def task(self, queue: str, task: dict[str, Any]) -> dict[str, Any]:
        hook = self.hooks.get(task["id"]) or self.hooks.get(queue)
        result = {"task": task["id"], "queue": queue, "agent": "shell" if hook else "noop"}
        return result | (self._shell(task["id"], hook) if hook else self._noop(task["id"], queue))

    def _noop(self, task: str, queue: str) -> dict[str, Any]:
        now = stamp()
        evidence = self.logs / f"{task}_noop_{now}.txt"
        evidence.write_text(f"NOOP: {task} in {queue} at {now}\n", encoding="utf-8")
        return {"status": "noop", "evidence": str(evidence)}

    def _shell(self, task: str, hook: dict[str, Any]) -> dict[str, Any]:
        commands = []
        for number, step in enumerate(hook["commands"], 1):
            cwd = step.get("cwd") or "."
            done = subprocess.run(step["cmd"], cwd=cwd, capture_output=True, text=True)
            log = self.logs / f"{task}_cmd{number}.log"
            log.write_text(f"$ {' '.join(step['cmd'])}\n{done.stdout}\n[stderr]\n{done.stderr}", encoding="utf-8")
            commands.append({"cmd": step["cmd"], "cwd": cwd, "rc": done.returncode, "log": str(log)})
            if done.returncode:
                break
        return {"status": "error" if commands[-1]["rc"] else "ok", "commands": commands}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("plan", "run"))
    parser.add_argument("sot", type=Path)
    parser.add_argument("out", type=Path, help="plan.json, or the directory of the run")
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    made = plan(options.sot)
    if options.what == "plan":
        options.out.write_text(json.dumps(made), encoding="utf-8")
        return
    hooks = options.sot.parent / "config/hooks.json"
    run = Run(options.out, json.loads(hooks.read_text()) if hooks.exists() else {})
    with ThreadPoolExecutor(options.workers) as pool:
        under_way = [pool.submit(run.task, queue["name"], task) for queue in made["queues"] for task in queue["tasks"]]
        results = [future.result() for future in under_way]
    status = "error" if any(result["status"] == "error" for result in results) else "ok"
    report = {"status": status, "started": run.started, "ended": stamp(), "results": results}
    (options.out / "run.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
