"""What tek adds to the commands of examples/quickstart: beside a pool of threads that runs them in the same order."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.harness import HERE, TEK, Comparison, Figure, Goal, Options, interleave, run, scratch
from benchmarks.inputs import WORKERS

_EXAMPLE = HERE.parent / "examples/quickstart"
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}  # so that all take the same python3


class Commands:
    """The tasks of a plan with what each waits for, without anything else of tek."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        words = [TEK, "plan", str(workspace / "sot.md"), "--json"]
        queues = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["plan"]["queues"]
        members = {queue["name"].split()[1]: [task["id"] for task in queue["tasks"]] for queue in queues}
        self.tasks: dict[str, tuple[dict[str, Any], list[str]]] = {}
        for queue in queues:
            before = [task for need in queue.get("needs", ()) for task in members[need]]
            for task in queue["tasks"]:
                self.tasks[task["id"]] = (task, [*before, *task.get("needs", ())])

    def run(self) -> float:
        """Run all of them and return the seconds."""
        slots = threading.Semaphore(WORKERS)
        ends: dict[str, Future[None]] = {}
        since = time.perf_counter()
        with ThreadPoolExecutor(len(self.tasks)) as pool:
            for id_, (task, needs) in self.tasks.items():
                ends[id_] = pool.submit(self._task, task, [ends[need] for need in needs], slots)
            for end in ends.values():
                end.result()
        return time.perf_counter() - since

    def _task(self, task: dict[str, Any], needs: list[Future[None]], slots: threading.Semaphore) -> None:
        for need in needs:
            need.result()
        env = {**_ENVIRONMENT, **dict(task.get("env", ()))}
        with slots:
            for step in task["steps"]:
                cwd = self.workspace / task.get("cwd", ".")
                subprocess.run(
                    step["argv"], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True
                )


def compare(options: Options) -> Comparison:
    with scratch() as folder:
        workspace = folder / "quickstart"
        shutil.copytree(_EXAMPLE, workspace, ignore=shutil.ignore_patterns("runs", "out"))
        commands = Commands(workspace)

        def tek(*words: str) -> float:
            shutil.rmtree(workspace / "runs", ignore_errors=True)
            return run(
                [TEK, "run", "sot.md", "--workers", str(WORKERS), "--yes", *words], workspace, env=_ENVIRONMENT
            ).seconds

        kinds: dict[str, Callable[[], float]] = {
            "its commands": commands.run,
            "tek": tek,
            "tek --sandbox off": lambda: tek("--sandbox", "off"),
        }
        for measure in kinds.values():
            measure()
        taken = interleave(kinds, options.rounds)
    base = "its commands"
    found = {name: Figure(name, "s", tuple(values), base if name != base else "") for name, values in taken.items()}
    goal = Goal("quickstart: time, of its commands'", found["tek"].of(found[base]), 1.15)
    return Comparison("The quickstart", tuple(found.values()), (goal,))


if __name__ == "__main__":
    harness.command(__doc__, compare, rounds=7)
