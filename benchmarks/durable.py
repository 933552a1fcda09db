"""200 steps of ``true``, each on record: tek's confined steps beside DBOS on SQLite, Prefect and Dask.

DBOS records each step in SQLite, Prefect in its own server. Dask spreads them over processes and records nothing. None
of them confines a step. Four steps are under way at a time in each. What it takes to start is left out, tek's too.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from functools import partial
from pathlib import Path

from benchmarks.harness import TEK, Comparison, Figure, Goal, Options, attempt, command, run, scratch
from benchmarks.inputs import WORKERS, legacy
from benchmarks.peers import installed

_DBOS = """\
import subprocess, sys, time
from dbos import DBOS

DBOS(config={"name": "bench", "system_database_url": "sqlite:///steps.sqlite", "run_admin_server": False,
             "log_level": "CRITICAL"})

@DBOS.step()
def step():
    subprocess.run(["true"], check=True)

@DBOS.workflow()
def steps(count):
    for _ in range(count):
        step()

count, workers = map(int, sys.argv[1:])
DBOS.launch()
since = time.perf_counter()
for handle in [DBOS.start_workflow(steps, count // workers) for _ in range(workers)]:
    handle.get_result()
print("took", time.perf_counter() - since)
DBOS.destroy()
"""
_DASK = """\
import subprocess, sys, time
from distributed import Client

def step(number):
    subprocess.run(["true"], check=True)

if __name__ == "__main__":
    count, workers = map(int, sys.argv[1:])
    with Client(n_workers=2, threads_per_worker=workers // 2, dashboard_address=None) as client:
        since = time.perf_counter()
        client.gather(client.map(step, range(count), pure=False))
        print("took", time.perf_counter() - since)
"""
_PREFECT = """\
import subprocess, sys, time
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

count, workers = map(int, sys.argv[1:])

@task
def step(number):
    subprocess.run(["true"], check=True)

@flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
def steps():
    since = time.perf_counter()
    step.map(range(count)).result()
    print("took", time.perf_counter() - since)

if __name__ == "__main__":
    steps()
"""
_PEERS = {"DBOS on SQLite": ("dbos", _DBOS), "Dask": ("dask", _DASK), "Prefect": ("prefect", _PREFECT)}


def peer(folder: Path, name: str, count: int) -> float:
    """Return steps a second of a peer, in a folder of its own."""
    package, program = _PEERS[name]
    python = installed(package, "python")
    home = folder / package
    home.mkdir()
    try:
        (home / "steps.py").write_text(program)
        settings = {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "CRITICAL", "DO_NOT_TRACK": "1"}
        settings["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
        log = home / "log"
        run([python, "steps.py", str(count), str(WORKERS)], home, env=settings, limit=180, log=log)
        (line,) = (line for line in log.read_text().splitlines() if line.startswith("took "))
        return count / float(line.split()[1])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def tek(sot: Path, count: int, *options: str) -> float:
    """Return steps a second of tek: from the first task's start to the end of the run, by its ledger."""
    out = sot.parent / "out"
    words = [TEK, "run", str(sot), "--workers", str(WORKERS), "--output", "plain", "--yes", *options]
    try:
        run([*words, "--run-dir", str(out)], sot.parent)
        entries = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
        first = next(entry["at"] for entry in entries if entry["kind"] == "task.started")
        return count / (datetime.fromisoformat(entries[-1]["at"]) - datetime.fromisoformat(first)).total_seconds()
    finally:
        shutil.rmtree(out, ignore_errors=True)


def compare(options: Options) -> Comparison:
    count = 40 if options.quick else options.size
    with scratch() as folder:
        sot = legacy(folder / "tek", count, ["true"])
        kinds = {"tek, confined": partial(tek, sot, count)}
        kinds["tek, --sandbox off"] = partial(tek, sot, count, "--sandbox", "off")
        kinds |= {name: partial(peer, folder, name, count) for name in _PEERS}
        taken, notes = attempt(kinds, options.rounds)
    ours = "tek, confined"
    found = {
        name: Figure(name, "steps/s", tuple(values), ours if name != ours else "") for name, values in taken.items()
    }
    goals = [
        Goal(f"tek, confined: steps a second, of those of {name}", found[ours].of(found[name]), 1, at_least=True)
        for name in _PEERS
        if name in found
    ]
    return Comparison("Durable steps", tuple(found.values()), tuple(goals), tuple(notes))


if __name__ == "__main__":
    command(__doc__, compare, rounds=3, size=200, unit="steps")
