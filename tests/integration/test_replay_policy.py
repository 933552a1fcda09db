"""``tek-runner replay --policy``: what a recorded run would have been denied under another manifest."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli import Answer, plan, queue, task, tek
from tests.integration.inprocess import call

AGENT = """
from tek_abi import TaskReport
from tek_agents import EffectDenied, fs, gather, note

class Writer:
    async def run(self, task):
        for name in ("a", "b", "c"):
            try:
                await fs.write_text(f"{task.task.id}/{name}.txt", name * 100)
            except EffectDenied:
                await note(f"may not write {name}")
        await gather(fs.read_text("data.txt"), fs.read_text("data.txt"))
        return TaskReport("ok")
"""
PLAN = """
## Queue A — Files

### `TASK-001` First

- Agent: writer

### `TASK-002` Second

- Agent: writer
- Needs: `TASK-001`

## Queue B — Commands

### `TASK-003` Command

```sh
echo made >made.txt
cat data.txt
```
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where the agent ``writer`` is installed."""
    directory = tmp_path_factory.mktemp("site")
    information = directory / "writing-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: writing\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[tek.agents]\nwriter = writing:Writer\n")
    (directory / "writing.py").write_text(AGENT)
    return directory


def run(site: Path, home: Path, manifest: Any = None) -> Answer:
    for path in ("TASK-001", "TASK-002"):
        (home / path).mkdir(parents=True, exist_ok=True)
    (home / "data.txt").write_text("data" * 250)
    plan(home, PLAN, manifest=manifest)
    return tek("run", "--run-dir", home.with_name(f"{home.name}-run"), cwd=home, env={"PYTHONPATH": str(site)})


@pytest.fixture(scope="module")
def recorded(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under the default policy, in which everything was granted. Its workspace is gone since."""
    home = tmp_path_factory.mktemp("recorded") / "home"
    answer = run(site, home)
    assert answer.code == 0, answer
    shutil.rmtree(home)
    return home.with_name("home-run")


def judged(ledger: Path, place: Path, manifest: Any, *words: str) -> Answer:
    (place / "other.json").write_text(json.dumps(manifest))
    return call("replay", ledger, "--policy", "other.json", *words, cwd=place)


def told(ledger: Path, place: Path, manifest: Any) -> Any:
    answer = judged(ledger, place, manifest, "--json")
    assert answer.code in (0, 3), answer
    assert (answer.code == 3) == bool(answer.json["denied"]) == (answer.json["status"] == "denied")
    return answer.json


def writes_only(*paths: str, **more: Any) -> dict[str, Any]:
    return {"preset": "read-only", "permits": [{"action": "fs.write", "resource": path} for path in paths], **more}


def test_the_policy_that_the_run_had_denies_nothing(recorded: Path, tmp_path: Path) -> None:
    found = told(recorded, tmp_path, {})
    assert found["requests"] == 11
    assert (found["denied"], found["confinement"], found["not_judged"], found["uncertain"]) == ([], [], [], [])


def test_each_denial_has_its_task_place_effect_reason_and_the_line_that_grants_it(
    recorded: Path, tmp_path: Path
) -> None:
    policy = writes_only("TASK-001/a.txt", "TASK-001/c.txt", "TASK-002/**", "made.txt")
    answer = judged(recorded, tmp_path, policy)
    assert answer.code == 3
    assert "1 of 11 requests would be denied under other.json\n" in answer.out
    assert "DENIED TASK-001  TASK-001[1].1  fs.write\n" in answer.out
    assert "fs.write on $WORKSPACE/TASK-001/b.txt refused by the policy: no rule grants it" in answer.out
    granted = re.search(r"to grant it: --allow fs\.write:(\S+)\n", answer.out)
    assert granted is not None
    policy["permits"].append({"action": "fs.write", "resource": granted[1]})
    assert judged(recorded, tmp_path, policy).code == 0


def test_a_rule_of_the_other_policy_is_named_after_its_own_file(recorded: Path, tmp_path: Path) -> None:
    policy = writes_only("TASK-001/**", "TASK-002/**", "made.txt")
    policy["permits"][1]["caveats"] = {"max_uses": 2}
    denied = told(recorded, tmp_path, policy)["denied"]
    assert [(one["position"], one["rule"]) for one in denied] == [("TASK-002[1].2", "other.json permits[1]")]


@pytest.mark.parametrize(
    "manifest",
    [
        {"preset": "read-only"},
        {"preset": "none"},
        writes_only("TASK-001/a.txt"),
        {"budgets": {"task": {"io": 150}}},
        {"budgets": {"queues": {"A": {"io": 1250}}}},
    ],
    ids=["read-only", "none", "one file", "a task's budget", "a queue's budget"],
)
def test_the_first_denial_of_each_task_that_is_certain_is_what_a_run_under_that_policy_meets(
    site: Path, recorded: Path, tmp_path: Path, manifest: Any
) -> None:
    run(site, tmp_path / "home", manifest)
    certain: dict[str, Any] = {}
    for one in told(recorded, tmp_path, manifest)["denied"]:
        if one["certain"]:
            certain.setdefault(one["task"], one)
    assert certain
    met: dict[str, Any] = {}
    for line in (tmp_path / "home-run" / "ledger.jsonl").read_text().splitlines():
        entry = json.loads(line)
        outcome = entry["outcome"] if entry["kind"] == "effect.outcome" else {}
        refusal = outcome.get("reason") or outcome.get("error", {})
        if "reason" in outcome or refusal.get("exhausted"):
            met.setdefault(entry["position"][0], (entry["position"], refusal))
    for one in certain.values():
        position, refusal = met[one["task"]]
        assert one["position"] == f"{position[0]}[{position[1]}].{'.'.join(map(str, position[2:]))}"
        if refusal["code"] == "permit":
            assert (one["code"], one["reason"]) == ("permit", refusal["message"])
        else:
            assert one["code"] in ("budget", "ceiling")
            assert (
                f"{refusal['exhausted']['dimension']} of the {refusal['exhausted'].get('account', 'task')}"
                in one["reason"]
            )


def test_the_amount_that_is_named_is_enough(recorded: Path, tmp_path: Path) -> None:
    amount = 150
    for _ in range(10):
        found = told(recorded, tmp_path, {"budgets": {"task": {"io": amount}}})
        grants = [re.fullmatch(r"io=(\d+) in budgets.task of other.json", one["grant"]) for one in found["denied"]]
        if not grants:
            break
        assert grants[0] is not None
        assert int(grants[0][1]) > amount
        amount = int(grants[0][1])
    assert amount == 2300, "three writes of 100 bytes, two reads of 1000"


def test_it_says_from_where_on_the_run_could_have_gone_otherwise(recorded: Path, tmp_path: Path) -> None:
    found = told(recorded, tmp_path, writes_only("TASK-002/a.txt", "made.txt"))
    places = [(one["position"], one["certain"]) for one in found["denied"]]
    assert places[0] == ("TASK-001[1].0", True)
    assert ("TASK-001[1].2", False) in places
    assert not any(certain for place, certain in places if place.startswith("TASK-002"))
    doubts = {one["task"]: (one["after"], one["why"]) for one in found["uncertain"]}
    assert doubts == {
        "TASK-001": ("TASK-001[1].0", "that request would be denied"),
        "TASK-002": (None, "it needs TASK-001, which may go differently"),
        "TASK-003": ("TASK-003[1].0", "that command would be confined otherwise"),
    }
    assert any(note.startswith("other tasks may miss what was not done there") for note in found["notes"])


def test_what_was_denied_on_record_is_marked_and_what_would_be_granted_now_is_a_doubt(
    site: Path, tmp_path: Path
) -> None:
    assert run(site, tmp_path / "home", writes_only("TASK-001/**", "TASK-002/b.txt")).code == 1, "made.txt is refused"
    ledger = tmp_path / "home-run"
    found = told(ledger, tmp_path, writes_only("TASK-001/**", "TASK-002/a.txt"))
    marks = [(one["position"], one["denied_on_record"]) for one in found["denied"]]
    assert marks == [("TASK-002[1].2", False), ("TASK-002[1].3", True)]
    assert {one["task"]: one["after"] for one in found["uncertain"] if one["task"] != "TASK-003"} == {
        "TASK-002": "TASK-002[1].0"
    }
    answer = judged(ledger, tmp_path, writes_only("TASK-001/**", "TASK-002/a.txt"))
    assert "(denied on record too; if its agent still asks for it)" in answer.out
    assert "  after TASK-002[1].0: that request would no longer be denied" in answer.out


def test_of_commands_the_confinement_is_compared_and_it_says_why(recorded: Path, tmp_path: Path) -> None:
    found = told(recorded, tmp_path, writes_only("TASK-001/**", "TASK-002/**"))
    assert found["denied"] == []
    assert [(one["task"], one["from"], one["lost"]) for one in found["confinement"]] == [
        ("TASK-003", "TASK-003[1].0", ["write **"])
    ]
    assert found["uncertain"] == [
        {"task": "TASK-003", "after": "TASK-003[1].0", "why": "that command would be confined otherwise"}
    ]
    assert any(note.startswith("what commands themselves read, wrote and reached") for note in found["notes"])
    wider = {"permits": [{"action": "fs.read", "resource": "/srv/**"}, {"action": "net", "resource": "* https://*/**"}]}
    gained = told(recorded, tmp_path, wider)["confinement"][0]
    assert (gained["lost"], gained["gained"][0]) == ([], "read /srv/**")
    assert gained["gained"][1].startswith("reach * https://")


def test_a_command_that_no_system_could_hold_to_its_permits_would_be_denied(recorded: Path, tmp_path: Path) -> None:
    found = told(recorded, tmp_path, writes_only("TASK-001/**", "TASK-002/**", "made.*"))
    assert [(one["position"], one["code"]) for one in found["denied"]] == [("TASK-003[1].0", "unenforceable")]
    assert "grant a tree (dir/**) or one file" in found["denied"][0]["grant"]


def test_another_agent_for_a_layer_is_a_doubt(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "true")))
    assert tek("run", cwd=tmp_path).code == 0
    found = told(Path("last"), tmp_path, {"layers": {"execution": {"agent": "noop"}, "foundation": {"agent": "noop"}}})
    assert [one["why"] for one in found["uncertain"]] == ["the agent noop would carry it out, not shell"]


def test_a_request_whose_arguments_are_redacted_is_not_judged(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, f": {'x' * 5000}"), task(2, "true")))
    assert tek("run", "--run-dir", "run", cwd=tmp_path).code == 0
    intents = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    kept = next(one["envelope"]["args"]["$ref"] for one in intents if "$ref" in one.get("envelope", {}).get("args", {}))
    assert call("redact", "run", "--blob", kept["sha256"], "--reason", "asked for", cwd=tmp_path).code == 0
    found = told(tmp_path / "run", tmp_path, {"preset": "none"})
    assert [one["task"] for one in found["denied"]] == ["TASK-002"]
    assert [(one["task"], "was redacted" in one["why"]) for one in found["not_judged"]] == [("TASK-001", True)]
    assert found["uncertain"][0]["after"] == "TASK-001[1].0"


def test_nothing_is_written(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for place in (recorded, tmp_path) for path in (place, *place.rglob("*"))}
    assert judged_again(recorded, tmp_path).code == 0
    after = {path: path.stat().st_mtime_ns for place in (recorded, tmp_path) for path in (place, *place.rglob("*"))}
    assert before == after


def judged_again(ledger: Path, place: Path) -> Answer:
    return call("replay", ledger, "--policy", "other.json", cwd=place)


def test_a_damaged_ledger_is_judged_by_nothing(recorded: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(recorded, tmp_path / "run"))
    data = (copy / "ledger.jsonl").read_bytes()
    (copy / "ledger.jsonl").write_bytes(data.replace(b"TASK-002/b.txt", b"TASK-002/x.txt", 1))
    answer = judged(copy, tmp_path, {}, "--json")
    assert (answer.code, answer.json["status"]) == (4, "invalid")


def test_bad_input_is_told(recorded: Path, tmp_path: Path) -> None:
    assert call("replay", recorded, "--policy", "none.json", cwd=tmp_path).err.startswith(
        "tek-runner: none.json: there is no such manifest"
    )
    misspelt = judged(recorded, tmp_path, {"presett": "none"})
    assert (misspelt.code, "other.json:1:1" in misspelt.err) == (2, True)
    both = judged(recorded, tmp_path, {}, "--verify")
    assert (both.code, "say one of --verify, --policy and --live" in both.err) == (2, True)
