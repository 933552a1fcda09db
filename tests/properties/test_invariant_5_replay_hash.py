"""Invariant 5: the replay hash is the same for every number of workers, order of completion, clock, run directory
and process, given the same outcomes and decisions.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import orjson
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tek_abi import ExecutionPlan
from tek_executor import Options
from tek_kernel import LedgerFile, utc_now
from tests.executor.bench import BLOBS, Bench, Ran, plan, task, ticking
from tests.executor.scripted_plans import Script, Shuffled, body, plans
from tests.size import NIGHTLY, examples

_ROOT = Path(__file__).parents[2]


class _OnDisk(LedgerFile):
    """A ledger's file in a run directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path

    @property
    def data(self) -> bytes:
        return self._path.read_bytes()


def _winners(ran: Ran) -> dict[str, Any]:
    """Return who won each race, by position: the decisions that one hash stands for."""
    decisions = (line for line in map(orjson.loads, ran.ledger.splitlines()) if line["kind"] == "decision")
    return {str(line["position"]): line["value"] for line in decisions if line["subject"] == "race"}


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.integers(0, 2**32 - 1))
def test_workers_completion_order_and_clock_leave_no_trace(
    made: tuple[ExecutionPlan, dict[str, Script]], seed: int
) -> None:
    todo, scripts = made
    hashes, ends, winners = set(), [], []
    for workers, clock in ((1, utc_now), (2, ticking()), (8, utc_now)):
        options = Options(workers=workers, backoff=1)
        bench = Bench(todo, body(scripts), act=Shuffled(seed + workers), options=options, clock=clock)
        ran = bench.run(f"run-{workers}")
        hashes.add(ran.replay_hash)
        ends.append(ran.end.statuses)
        winners.append(_winners(ran))
    event(f"races: {min(len(winners[0]), 3)}")
    assert ends[0] == ends[1] == ends[2]
    assert winners[0] == winners[1] == winners[2]
    assert len(hashes) == 1


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.integers(0, 2**32 - 1))
def test_the_run_directory_leaves_no_trace(made: tuple[ExecutionPlan, dict[str, Script]], seed: int) -> None:
    todo, scripts = made
    hashes = set()
    for name in ("2026-01-01T00-00-00Z", "elsewhere"):
        with tempfile.TemporaryDirectory(prefix=name) as directory:
            storage = _OnDisk(Path(directory, "ledger.jsonl"))
            try:
                there = attrs.evolve(todo, source=f"{directory}/sot.md", generated_at=utc_now())
                protected = (f"{directory}/**",)
                bench = Bench(there, body(scripts), act=Shuffled(seed), storage=storage, protected=protected)
                ran = bench.run(name)
            finally:
                storage.close()
            assert directory in ran.text
            hashes.add(ran.replay_hash)
    assert len(hashes) == 1


_FRESH = """
import base64, json, sys
from tek_abi import Codec, MemoryBlobs
from tests.executor.bench import Bench, plan
from tests.executor.scripted_plans import body

for line in sys.stdin:
    given = json.loads(line)
    blobs = MemoryBlobs()
    for blob in given["blobs"]:
        blobs.put(base64.b64decode(blob))
    bench = Bench(plan(), body(given["scripts"]))
    print(bench.redrive(given["ledger"].encode(), Codec(blobs)).replay_hash)
"""


@settings(
    max_examples=examples(3), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(plans(), min_size=3, max_size=6), st.integers(0, 2**32 - 1))
def test_a_fresh_process_decides_the_same(made: list[tuple[ExecutionPlan, dict[str, Script]]], seed: int) -> None:
    hashes, lines = [], []
    for todo, scripts in made:
        ran = Bench(todo, body(scripts), act=Shuffled(seed)).run()
        hashes.append(ran.replay_hash)
        blobs = [base64.b64encode(blob).decode() for name, blob in BLOBS.blobs.items() if name in ran.text]
        lines.append(orjson.dumps({"ledger": ran.text, "scripts": scripts, "blobs": blobs}))
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(_ROOT)}
    fresh = subprocess.run(
        [sys.executable, "-c", _FRESH], input=b"\n".join(lines), capture_output=True, env=environment, timeout=60
    )
    assert (fresh.returncode, fresh.stdout.decode().split()) == (0, hashes), fresh.stderr.decode()


def test_ten_thousand_schedules_of_one_plan_give_one_hash() -> None:
    """With gathers, races, retries and denials. Ten thousand at night, some of them at every change."""
    several = ["gather", [["look", "a"], ["act", "b"], ["look", "forbidden"], ["glance", "a"]]]
    raced = ["race", 1, [["look", "hold"], ["act", "b"]]]
    todo = plan(task(1), task(2, retries=1), task(3, "TASK-001"))
    scripts: dict[str, Script] = {
        "TASK-001": ["seq", [raced, several]],
        "TASK-002": ["seq", [several, ["look", "fail"]]],
        "TASK-003": several,
    }
    hashes, orders = set(), set()
    for seed in range(10_000 if NIGHTLY else 500):
        options = Options(workers=1 + seed % 8, backoff=1)
        ran = Bench(todo, body(scripts), act=Shuffled(seed), options=options, group=seed % 2 > 0).run()
        hashes.add(ran.replay_hash)
        orders.add(_order(ran))
    assert len(hashes) == 1
    assert len(orders) > 20, "hardly a schedule differed from another, so nothing was tested"


def _order(ran: Ran) -> tuple[str, ...]:
    """Return the positions of a run's outcomes in the order in which they came."""
    lines = map(orjson.loads, ran.ledger.splitlines())
    return tuple(str(line["position"]) for line in lines if line["kind"] == "effect.outcome")
