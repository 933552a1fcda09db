"""``plan.json`` in both versions, and ``config/hooks.json``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from tek_abi import ExecutionPlan, InvalidInput, Step
from tek_agents.testing.strategies import plans
from tek_planner import attach_hooks, plan_from_json, plan_text, plan_to_json, read_hooks

LEGACY = "### G. Execution Queue & Task Hooks\n1. **Queue A — One**\n- Tasks: `TASK-002`, `TASK-001`, `TASK-002`\n"


def legacy() -> ExecutionPlan:
    plan = plan_text(LEGACY, "sot.md", source="docs/sot.md", generated_at="2026-01-31T00:00:00Z").plan
    assert plan is not None
    return plan


def test_a_legacy_plan_is_written_as_the_older_kit_wrote_it() -> None:
    task = {"layer": "foundation"}
    assert json.loads(plan_to_json(legacy())) == {
        "version": 1,
        "source": "docs/sot.md",
        "generated_at": "2026-01-31T00:00:00Z",
        "queues": [
            {
                "name": "Queue A — One",
                "tasks": [{"id": id_, "title": id_, **task} for id_ in ("TASK-002", "TASK-001", "TASK-002")],
            }
        ],
    }


def test_a_legacy_plan_is_read_back_with_its_repeats_numbered() -> None:
    plan = plan_from_json(plan_to_json(legacy()), "plan.json")

    assert plan == legacy()
    assert [task.id for _, task in plan.tasks()] == ["TASK-002", "TASK-001", "TASK-002#2"]


def test_a_plan_that_holds_more_is_version_2() -> None:
    plan = plan_text("## Queue A — One\n### `TASK-001` First\n```sh\necho\n```\n").plan
    assert plan is not None

    data = plan_to_json(plan)

    assert json.loads(data)["version"] == 2
    assert plan_from_json(data, "plan.json") == plan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "a plan is an object"),
        (b'{"version": 3}', "reads versions 1 and 2"),
        (b'{"version": true}', "reads versions 1 and 2"),
        (b'{"version": 1, "extra": 1}', "unknown field"),
        (b'{"version": 1, "queues": {}}', "is not a list"),
        (b'{"version": 1, "queues": [{"name": 1}]}', "is not text"),
        (b'{"version": 1, "queues": [{"name": "Q", "tasks": [{"id": "x"}]}]}', "is not an id"),
        (b'{"version": 1, "queues": [{"name": "Q", "tasks": [{"id": "TASK-001", "layer": "x"}]}]}', "no layer"),
        (b'{"version": 2}', "lacks the field 'plan'"),
        (b'{"version": 2, "plan": {"queues": [{"name": "Q", "tasks": [{"id": "TASK-001"}]}]}}', ""),
        (b'{"version": 2, "plan": {"allow": [{"rules": [], "wider": 1}]}}', "unknown field"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_plan_that_cannot_be_read_is_pointed_at(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_from_json(data, "plan.json")

    assert message in str(caught.value)
    assert str(caught.value).startswith("plan.json:")


def hooks(**commands: Any) -> bytes:
    return json.dumps(commands).encode()


def test_a_tasks_hook_overrides_its_queues() -> None:
    data = json.dumps(
        {
            "Queue A — One": {"commands": [{"cmd": ["queue"]}]},
            "TASK-001": {"commands": [{"cmd": ["task"], "cwd": "sub"}]},
        }
    ).encode()

    plan, warnings = attach_hooks(legacy(), read_hooks(data, "hooks.json"))

    assert warnings == ()
    assert [task.steps[0].argv for _, task in plan.tasks()] == [("queue",), ("task",), ("queue",)]
    assert [task.steps[0].cwd for _, task in plan.tasks()] == [None, "sub", None]


def test_a_bare_id_means_every_occurrence() -> None:
    plan, _ = attach_hooks(legacy(), read_hooks(hooks(**{"TASK-002": {"commands": [{"cmd": ["x"]}]}}), "hooks.json"))

    assert [len(task.steps) for _, task in plan.tasks()] == [1, 0, 1]


def test_an_empty_command_keeps_its_place_in_the_numbering() -> None:
    data = hooks(**{"TASK-001": {"commands": [{"cmd": []}, {"cwd": "x"}, {"cmd": ["a"], "cwd": None}]}})

    plan, _ = attach_hooks(legacy(), read_hooks(data, "hooks.json"))

    assert [task.steps for _, task in plan.tasks()][1] == (Step(("a",), "hook", None, 3),)


def test_a_hook_that_names_nothing_is_a_warning() -> None:
    _, (warning,) = attach_hooks(legacy(), read_hooks(hooks(**{"TASK-999": {"commands": []}}), "config/hooks.json"))

    assert warning.render().startswith("config/hooks.json:1:")
    assert "TASK-999" in warning.message


def test_a_task_with_a_block_and_a_hook_of_its_own_is_refused() -> None:
    plan = plan_text("## Queue A — One\n### `TASK-001` First\n```sh\necho\n```\n### `TASK-002` Second\n").plan
    assert plan is not None
    queue_hook = read_hooks(hooks(**{"Queue A — One": {"commands": [{"cmd": ["q"]}]}}), "hooks.json")
    own_hook = read_hooks(hooks(**{"TASK-001": {"commands": [{"cmd": ["q"]}]}}), "hooks.json")

    hooked, _ = attach_hooks(plan, queue_hook)
    with pytest.raises(InvalidInput, match="both a block"):
        attach_hooks(plan, own_hook)

    assert [task.steps[0].argv[0] for _, task in hooked.tasks()] == ["sh", "q"]


@pytest.mark.parametrize(
    "value",
    [[], {"commands": {}}, {"commands": [[]]}, {"commands": [{"cmd": "ls"}]}, {"commands": [{"cmd": [1]}]},
     {"commands": [{"cmd": ["ls"], "cwd": 1}]}, {"commands": [{"cmd": ["ls"], "cwd": "../.."}]},
     {"commands": [{"cmd": ["ls"], "env": {}}]}, {"command": []},
     {"commands": [{"cmd": [""]}]}, {"commands": [{"cmd": ["a\0b"]}]}],
)  # fmt: skip
def test_a_hook_of_another_shape_is_pointed_at(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_hooks(hooks(**{"TASK-001": value}), "hooks.json")

    assert str(caught.value).startswith("hooks.json:1:")


@pytest.mark.parametrize("inner", ['"TASK-001": {}, "TASK-001": {}', '"TASK-001": {"commands": [], "commands": []}'])
def test_a_hook_with_a_key_that_stands_twice_is_refused(inner: str) -> None:
    with pytest.raises(InvalidInput, match="twice"):
        read_hooks(b"{%s}" % inner.encode(), "hooks.json")


@pytest.mark.parametrize("value", ["[" * 1020 + "]" * 1020, "1" * 5000])
def test_a_hook_that_no_reader_expects_is_no_traceback(value: str) -> None:
    with pytest.raises(InvalidInput):
        read_hooks(b'{"TASK-001": %s}' % value.encode(), "hooks.json")


@settings(max_examples=60, deadline=None)
@given(plans())
def test_every_plan_that_is_written_is_read_back_or_refused_whole(plan: ExecutionPlan) -> None:
    try:
        again = plan_from_json(plan_to_json(plan), "plan.json")
    except InvalidInput as refused:
        again, shown = None, str(refused)

    assert again.queues == plan.queues if again is not None else "is not an id" in shown
