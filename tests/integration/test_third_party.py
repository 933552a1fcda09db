"""A third party's agent and effect are found once their package is installed; a changed agent is found by replay."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli import Answer, plan, queue, tek

AGENT = """
from tek_abi import Budget, TaskReport
from tek_agents import bounded, fs, gather, note, proc, race
import third_effects

class Counter:
    async def run(self, task):
        print("an agent talks")
        text = await fs.read_text("data.txt")
        one, two = await gather(proc.output_text("echo", "one"), proc.output_text("echo", "two"))
        await note(f"{one.strip()} {two.strip()} {len(text)}")
        await fs.write_text("out.txt", text * 2)
        await race(note("a"), note("b"))
        return TaskReport("ok")

class Thinker:
    async def run(self, task):
        for _ in range(5):
            await third_effects.Think(40)
        return TaskReport("ok")
"""
EFFECT = """
import attrs
from tek_abi import Access, Budget, Limit, Request
from tek_kernel import Applied, Cost, Effect, SideEffect

@attrs.frozen
class Think(Request[str]):
    effect = "third.think"
    output = str
    words: int

class ThinkEffect(Effect):
    request = Think
    def side_effect(self, request):
        return SideEffect.READ
    def accesses(self, request):
        return (Access("third.think", "third.think", "model"),)
    def cost(self, request):
        return Cost(Budget(ms=1, tokens=request.words), Limit(ms=1000, tokens=request.words, io=0))
    def apply(self, request, context):
        return Applied("thought", Budget(tokens=request.words))

def effects():
    return [ThinkEffect()]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory of installed packages, as ``pip install --target`` leaves one."""
    directory = tmp_path / "site"
    information = directory / "third-1.2.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.2\n")
    (information / "entry_points.txt").write_text(
        "[tek.agents]\ncounter = third_agents:Counter\nthinker = third_agents:Thinker\n"
        "[tek.effects]\nthird = third_effects:effects\n"
    )
    (directory / "third_agents.py").write_text(AGENT)
    (directory / "third_effects.py").write_text(EFFECT)
    return directory


def call(site: Path, cwd: Path, *words: str) -> Answer:
    shutil.rmtree(site / "__pycache__", ignore_errors=True)
    return tek(*words, cwd=cwd, env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"})


def counter_run(site: Path, cwd: Path) -> dict[str, Any]:
    plan(cwd, queue("### `TASK-001` Count\n\n- Agent: counter\n"))
    (cwd / "data.txt").write_text("abc")
    answer = call(site, cwd, "run", "--json")
    assert answer.code == 0, answer
    result: dict[str, Any] = answer.json
    return result


def test_an_installed_agent_is_found_and_its_version_is_on_record(site: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    result = counter_run(site, work)

    assert (work / "out.txt").read_text() == "abcabc"
    assert '["counter","third","1.2"]' in Path(result["ledger"]).read_text()
    assert "counter" in call(site, work, "list", "--agents").out
    assert call(site, work, "replay", "last", "--json").json["replay_hash"] == result["replay_hash"]


@pytest.mark.parametrize(
    ("before", "after", "field", "expected", "actual"),
    [
        ('"data.txt"', '"other.txt"', "envelope.args.path", "data.txt", "other.txt"),
        ('"echo", "two"', '"echo", "three"', "envelope.args.argv", "two", "three"),
        ("text * 2", "text * 3", "envelope.args.data", "", ""),
        ('await fs.read_text("data.txt")', 'await fs.read_text("data.txt"); await note("x")', "", "proc.exec", "note"),
        ('        await fs.write_text("out.txt", text * 2)\n', "", "", "fs.write", "note"),
        ('TaskReport("ok")', 'TaskReport("failed", "no")', "", "ok", "failed"),
    ],
)  # fmt: skip
def test_an_agent_that_asks_for_something_else_is_a_mismatch_by_field(
    site: Path, tmp_path: Path, before: str, after: str, field: str, expected: str, actual: str
) -> None:
    counter_run(site, tmp_path / "work")
    source = (site / "third_agents.py").read_text()
    assert before in source
    (site / "third_agents.py").write_text(source.replace(before, after, 1))

    answer = call(site, tmp_path / "work", "replay", "last", "--json")
    shown = call(site, tmp_path / "work", "replay", "last")

    assert (answer.code, shown.code) == (4, 4)
    assert answer.json["status"] == "mismatch"
    problem = answer.json["first_problem"]
    assert problem["task"] == "TASK-001"
    assert problem["position"].startswith("TASK-001[1]")
    assert field in problem["problem"]
    assert expected in problem["expected"]
    assert actual in problem["actual"]
    if field:
        assert problem["differences"][0]["field"].startswith(field)
        assert all(one["field"] in shown.err for one in problem["differences"])
    assert len(answer.json["ledger_head"]) == 64
    assert answer.json["entries"] > answer.json["effects"] > 0
    for text in (problem["task"], problem["position"], "expected", "actual"):
        assert text in shown.err
    assert call(site, tmp_path / "work", "replay", "last", "--verify").code == 0


def test_replay_says_where_the_agent_is_missing(site: Path, tmp_path: Path) -> None:
    counter_run(site, tmp_path / "work")

    answer = tek("replay", "last", cwd=tmp_path / "work")

    assert answer.code == 4
    assert "counter" in answer.err


def test_a_run_stops_at_its_tokens(site: Path, tmp_path: Path) -> None:
    plan(tmp_path, queue("### `TASK-001` Think\n\n- Agent: thinker\n- Budget: `tokens=100`\n"))

    without = call(site, tmp_path, "run", "--only", "TASK-001")
    answer = call(site, tmp_path, "run", "--allow", "third.think:model", "--json")

    assert without.code == 3
    assert "to grant it: --allow third.think:model" in without.out
    assert answer.code == 3
    ledger = Path(answer.json["ledger"]).read_text()
    assert len(re.findall(r'"usage":\{[^}]*"tokens":40', ledger)) == 2
    assert '"exhausted":{"dimension":"tokens","limit":100,"spent":80,"reserved":0,"requested":40}' in ledger
    assert call(site, tmp_path, "replay", "last").code == 0


def test_a_tasks_default_is_no_tokens_at_all(site: Path, tmp_path: Path) -> None:
    plan(tmp_path, queue("### `TASK-001` Think\n\n- Agent: thinker\n"))

    answer = call(site, tmp_path, "run", "--allow", "third.think:model", "--json")

    assert answer.code == 3
    assert "tokens of the task: limit 0" in answer.json["results"][0]["message"]
