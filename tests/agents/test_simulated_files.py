"""The simulated files are held against the real ones: the same requests come to the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import tek_effects_fs
from tek_abi import UNLIMITED, Assignment, Blob, ExecutionPlan, Limit, Policy, Queue, Request, Task, TaskReport
from tek_abi.vocabulary import fs
from tek_agents import EffectDenied, EffectFailed
from tek_executor.testing.faults import CALM, Weather
from tek_executor.testing.file_effects import file_effects
from tek_executor.testing.files import Files
from tek_executor.testing.ledger import Kept
from tek_executor.testing.run import NOBODY, Setting, Way, carry_out
from tests.size import examples

PATHS = st.sampled_from(["a", "b", "d", "d/a", "d/e", "d/e/a", "missing/a", "./a", "d//a"])
DATA = st.binary(max_size=4).map(Blob.of)
REQUESTS: st.SearchStrategy[Request[Any]] = st.one_of(
    st.builds(fs.Read, PATHS),
    st.builds(fs.Write, PATHS, DATA),
    st.builds(fs.Append, PATHS, DATA),
    st.builds(fs.Hash, PATHS),
    st.builds(fs.List, PATHS | st.just(".")),
    st.builds(fs.Glob, st.sampled_from(["*", "**", "d/*", "**/a", "d/e", "?", "missing/*"])),
    st.builds(fs.Stat, PATHS),
    st.builds(fs.Copy, PATHS, PATHS),
    st.builds(fs.Mkdir, PATHS),
    st.builds(fs.Remove, PATHS),
    st.builds(fs.Rename, PATHS, PATHS),
)
POLICY = Policy("unconfined", task=Limit(UNLIMITED, UNLIMITED, UNLIMITED))
KEPT = Kept()


class Asking:
    """Asks for one after the other, and keeps what came of each."""

    def __init__(self, requests: list[Request[Any]]) -> None:
        self.requests = requests
        self.came: list[Any] = []

    async def run(self, task: Assignment) -> TaskReport:
        for request in self.requests:
            try:
                self.came.append(await request)
            except EffectDenied as denied:
                self.came.append(denied.reason.code)
            except EffectFailed as failed:
                self.came.append(failed.code)
        return TaskReport()


def came_of(requests: list[Request[Any]], effects: Any) -> list[Any]:
    agent = Asking(requests)
    plan = ExecutionPlan((Queue("Queue A — Files", (Task("TASK-001", "Files", "foundation"),)),))
    carry_out(Setting(plan, {NOBODY: agent}, POLICY, {}, {}, effects, KEPT), Weather(0, CALM), Way())
    return agent.came


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(REQUESTS, max_size=25))
def test_simulated_files_answer_as_real_ones_do(requests: list[Request[Any]]) -> None:
    simulated: list[Files] = []

    def remembered(files: Files) -> Any:
        simulated.append(files)
        return file_effects(files)

    with tempfile.TemporaryDirectory() as directory:
        expected = came_of(requests, lambda files: tek_effects_fs.file_effects(directory))
        there = {
            str(path.relative_to(directory)): path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()
        }

        assert came_of(requests, remembered) == expected
    assert simulated[0].shown() == dict(sorted(there.items()))
