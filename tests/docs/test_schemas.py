"""The schemas say what tek reads and writes: real files fit, what the decoders refuse does not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tek_abi import CODEC, KINDS, DecodeError, ExecutionPlan, InvalidInput, Outcome
from tek_agents.testing.strategies import ENCODABLE, ENTRIES, json_values, outcomes
from tek_planner import plan_from_json, plan_to_json, read_hooks
from tek_runner.config import read_manifest
from tests.integration.cli import REPOSITORY, plan, queue, task, tek
from tests.integration.inprocess import call
from tests.size import examples
from tools.reference.formats import schemas
from tools.reference.schema import Definitions, document

quick = settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))

EXAMPLES = sorted(path.parent for path in (REPOSITORY / "examples").glob("*/sot.md"))
ALL = schemas()
CLASSES = Definitions()
KIND_SCHEMAS = {kind: CLASSES.of(kind) for kind in (*ENCODABLE, Outcome)}

REQUIRED = {name: schema.get("required", ()) for name, schema in CLASSES.schemas.items()}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(ALL[f"{name}.schema.json"])


def class_validator(kind: Any) -> Draft202012Validator:
    return Draft202012Validator(document("class", "class", KIND_SCHEMAS[kind], CLASSES))


def problems(name: str, value: Any) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message}"[:300] for error in validator(name).iter_errors(value)]


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_is_a_schema_of_2020_12(name: str) -> None:
    Draft202012Validator.check_schema(ALL[name])


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.name)
def example_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run an example for real, in a copy; return the copy."""
    copy: Path = tmp_path_factory.mktemp("example") / request.param.name
    shutil.copytree(request.param, copy, ignore=shutil.ignore_patterns("runs", "out", "__pycache__"))
    answer = tek("run", "--json", "--yes", "--run-dir", "../run", cwd=copy)
    if answer.code == 2:  # an agent that is not installed here: its plan is run as noop
        answer = tek("run", "--json", "--dry-run", "--run-dir", "../run", cwd=copy)
    (copy / "answer.json").write_text(answer.out)
    return copy


def test_real_runs_fit_from_their_first_line_to_their_answers(example_run: Path) -> None:
    run = example_run.parent / "run"
    lines = (run / "ledger.jsonl").read_bytes().splitlines()
    assert len(lines) > 3
    assert [found for line in lines for found in problems("ledger-line", json.loads(line))] == []
    assert problems("run", json.loads((run / "run.json").read_bytes())) == []
    assert problems("run-answer", json.loads((example_run / "answer.json").read_bytes())) == []
    for options in ((), ("--verify",)):
        answer = call("replay", run, "--json", *options, cwd=example_run)
        assert problems("replay-answer", answer.json) == []
    written = call("plan", "--out", "../plan.json", cwd=example_run)
    assert written.code == 0, written
    assert problems("plan", json.loads((example_run.parent / "plan.json").read_bytes())) == []


def test_the_answer_about_a_changed_ledger_fits(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo one")))
    assert tek("run", "--run-dir", "run", cwd=tmp_path).code == 0
    ledger = tmp_path / "run" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"echo one", b"echo two", 1))
    answer = call("replay", "run", "--json", cwd=tmp_path)
    assert answer.code == 4
    assert problems("replay-answer", answer.json) == []


def configurations(name: str) -> list[Any]:
    found = sorted((REPOSITORY / "examples").glob(f"*/config/{name}.json"))
    return [pytest.param(path, id=path.parent.parent.name) for path in found]


@pytest.mark.parametrize("path", configurations("manifest"))
def test_manifests_of_the_examples_fit(path: Path) -> None:
    assert problems("manifest", json.loads(path.read_bytes())) == []


@pytest.mark.parametrize("path", configurations("hooks"))
def test_hooks_of_the_examples_fit(path: Path) -> None:
    assert problems("hooks", json.loads(path.read_bytes())) == []


def test_manifests_that_the_documentation_shows_fit() -> None:
    shown = re.findall(r"^```json\n(.*?)^```", (REPOSITORY / "docs" / "manifest.md").read_text(), re.M | re.S)
    assert len(shown) >= 3
    for text in shown:
        assert problems("manifest", json.loads(text)) == []


PERMIT: dict[str, Any] = {"action": "fs.read", "resource": "src/**"}


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"preset": "all"},
        {"premits": []},
        {"permits": {}},
        {"permits": [{"action": "fs.read"}]},
        {"permits": [{**PERMIT, "exept": "x"}]},
        {"permits": [{**PERMIT, "resource": []}]},
        {"permits": [{**PERMIT, "action": ""}]},
        {"permits": [{**PERMIT, "subject": 7}]},
        {"permits": [{**PERMIT, "expires_at": "tomorrow"}]},
        {"permits": [{**PERMIT, "caveats": {"max_size": 1}}]},
        {"permits": [{**PERMIT, "caveats": {"max_bytes": -1}}]},
        {"permits": [{**PERMIT, "caveats": {"max_uses": True}}]},
        {"permits": [{**PERMIT, "caveats": {"methods": "GET"}}]},
        {"budgets": {"tasks": {}}},
        {"budgets": {"task": {"ms": -1}}},
        {"budgets": {"task": {"ms": "90 parsecs"}}},
        {"budgets": {"task": {"time": 1}}},
        {"budgets": {"task": {"io": 1.5}}},
        {"budgets": {"queues": {"a": {"ms": 1}}}},
        {"layers": {"kitchen": "shell"}},
        {"layers": {"platform": {"agents": "shell"}}},
        {"keys": ["00"]},
        {"keys": "00" * 32},
        {"tls": {"ca": "x"}},
        {"tls": {"client_cert": "x"}},
        {"checkpoint_key": ""},
        {"checkpoint_key": 1},
    ],
    ids=str,
)
def test_manifests_that_tek_refuses_are_refused_by_the_schema(broken: Any) -> None:
    with pytest.raises(InvalidInput):
        read_manifest(json.dumps(broken).encode(), "manifest.json")
    assert problems("manifest", broken) != []


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"TASK-001": []},
        {"TASK-001": {"command": []}},
        {"TASK-001": {"commands": {}}},
        {"TASK-001": {"commands": ["make"]}},
        {"TASK-001": {"commands": [{"cmd": "make"}]}},
        {"TASK-001": {"commands": [{"cmd": ["make", 1]}]}},
        {"TASK-001": {"commands": [{"cmd": [""]}]}},
        {"TASK-001": {"commands": [{"cmd": ["a\0b"]}]}},
        {"TASK-001": {"commands": [{"cmd": ["make"], "cwd": ""}]}},
        {"TASK-001": {"commands": [{"cmd": ["make"], "dir": "x"}]}},
    ],
    ids=str,
)
def test_hooks_that_tek_refuses_are_refused_by_the_schema(broken: Any) -> None:
    with pytest.raises(InvalidInput):
        read_hooks(json.dumps(broken).encode(), "hooks.json")
    assert problems("hooks", broken) != []


QUEUE: dict[str, Any] = {"name": "Queue A — One", "tasks": [{"id": "TASK-001"}]}


@pytest.mark.parametrize(
    "broken",
    [
        {"queues": []},
        {"version": 3},
        {"version": True},
        {"version": 1, "queue": []},
        {"version": 1, "queues": [{"tasks": []}]},
        {"version": 1, "queues": [{**QUEUE, "needs": []}]},
        {"version": 1, "queues": [{**QUEUE, "tasks": [{"id": "TASK-1"}]}]},
        {"version": 1, "queues": [{**QUEUE, "tasks": [{"id": "TASK-001", "layer": "kitchen"}]}]},
        {"version": 1, "queues": [{**QUEUE, "tasks": [{"id": "TASK-001", "steps": []}]}]},
        {"version": 2},
        {"version": 2, "plan": {"queues": [QUEUE]}},
        {"version": 2, "plan": {"queues": [], "extra": 1}},
        {"version": 2, "plan": {"budget": {"ms": -1}}},
    ],
    ids=str,
)
def test_plans_that_tek_refuses_are_refused_by_the_schema(broken: Any) -> None:
    with pytest.raises(InvalidInput):
        plan_from_json(json.dumps(broken).encode(), "plan.json")
    assert problems("plan", broken) != []


each_class = pytest.mark.parametrize("kind", sorted(ENCODABLE, key=repr), ids=lambda kind: kind.__name__)


def encoded(kind: Any, data: st.DataObject) -> Any:
    return json.loads(json.dumps(CODEC.encode(data.draw(ENCODABLE[kind]()))))


@each_class
@quick
@given(data=st.data())
def test_what_is_encoded_fits(kind: Any, data: st.DataObject) -> None:
    assert list(class_validator(kind).iter_errors(encoded(kind, data))) == []


@quick
@given(outcomes())
def test_outcomes_fit(outcome: Outcome) -> None:
    value = CODEC.encode(outcome, Outcome)
    assert list(class_validator(Outcome).iter_errors(json.loads(json.dumps(value)))) == []


@each_class
@quick
@given(data=st.data())
def test_whatever_the_codec_takes_fits(kind: Any, data: st.DataObject) -> None:
    value = encoded(kind, data)
    if not isinstance(value, dict) or not value:
        return
    broken = {**value, data.draw(st.sampled_from(sorted(value))): data.draw(json_values())}
    try:
        CODEC.decode(broken, kind)
    except DecodeError:
        return
    assert list(class_validator(kind).iter_errors(broken)) == []


@each_class
@quick
@given(data=st.data())
def test_unknown_and_missing_fields_are_refused_by_both(kind: Any, data: st.DataObject) -> None:
    value = encoded(kind, data)
    if not isinstance(value, dict):
        return
    required = REQUIRED[kind.__name__]
    name = data.draw(st.sampled_from([*required, "no_such_field"]))
    broken = {key: one for key, one in value.items() if key != name} if name in value else {**value, name: 1}
    with pytest.raises(DecodeError):
        CODEC.decode(broken, kind)
    assert list(class_validator(kind).iter_errors(broken)) != []


def test_every_kind_of_line_is_in_the_schema_of_lines() -> None:
    kinds = {one["properties"]["kind"]["const"] for one in ALL["ledger-line.schema.json"]["oneOf"]}
    assert kinds == set(KINDS) == {kind.kind for kind in ENTRIES}


FRAME = {"seq": 0, "synced": -1, "prev": "0" * 64, "at": "2026-01-31T10:15:00.000000Z", "hash": "f" * 64}


@quick
@given(st.data())
@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_line_of_each_kind_fits_and_no_other_does(kind: Any, data: st.DataObject) -> None:
    line = {**FRAME, "kind": kind.kind, **encoded(kind, data)}
    assert problems("ledger-line", line) == []
    lacking = data.draw(st.sampled_from(["kind", *FRAME]))
    assert problems("ledger-line", {name: value for name, value in line.items() if name != lacking}) != []
    assert problems("ledger-line", {**line, "no_such_field": 1}) != []
    assert problems("ledger-line", {**line, "kind": "no.such.kind"}) != []


@quick
@given(st.data())
def test_written_plans_of_both_versions_fit(data: st.DataObject) -> None:
    made = data.draw(ENCODABLE[ExecutionPlan]())
    assert problems("plan", json.loads(plan_to_json(made))) == []
