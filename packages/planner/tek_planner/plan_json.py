"""``plan.json``: version 1 as the older kit wrote it, version 2 for plans that hold more (DESIGN section 7)."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import orjson

from tek_abi import (
    CODEC,
    DecodeError,
    Diagnostic,
    ExecutionPlan,
    InvalidInput,
    Limit,
    Queue,
    Task,
    Value,
    place_in_json,
)
from tek_abi.task import LAYERS, TASK_ID, layer_of
from tek_planner.legacy import numbered

_FIELDS: Final = ("version", "source", "generated_at", "queues")
_QUEUE: Final = re.compile(r"Queue [A-Z] — .*", re.S)


def plan_to_json(plan: ExecutionPlan) -> bytes:
    """Return a plan as ``plan.json``: version 1 where it holds nothing more than that version can say."""
    if not _is_plain(plan):
        body = {"version": 2, "plan": CODEC.encode(plan)}
        return orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n"
    queues: list[Value] = [
        {
            "name": queue.name,
            "tasks": [
                {"id": task.id.partition("#")[0], "title": task.title, "layer": task.layer} for task in queue.tasks
            ],
        }
        for queue in plan.queues
    ]
    body = {"version": 1, "source": plan.source, "generated_at": plan.generated_at, "queues": queues}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _is_plain(plan: ExecutionPlan) -> bool:
    if plan.allow or plan.budget != Limit():
        return False
    seen: dict[str, int] = {}
    for queue in plan.queues:
        if attrs.evolve(queue, tasks=(), line=None) != Queue(queue.name) or not _QUEUE.fullmatch(queue.name):
            return False
        for task in queue.tasks:
            bare = task.id.partition("#")[0]
            if task != Task(numbered(bare, seen), task.title, task.layer, line=task.line):
                return False
    return True


def plan_from_json(data: bytes, path: str) -> ExecutionPlan:
    """Read ``plan.json``. Raises ``InvalidInput`` that points at the first problem."""
    try:
        return _read(data)
    except DecodeError as error:
        problem, where = error.problem, error.where
    line, column, text = place_in_json(data, where)
    message = f"{where}: {problem}" if where else problem
    help_ = "make the plan again with: tek-runner plan sot.md --out plan.json"
    raise InvalidInput((Diagnostic(path, line, column, message, help_, text[:1000], "TEK711"),))


def _read(data: bytes) -> ExecutionPlan:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError("", f"this is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise DecodeError("", "a plan is an object")
    version = body.get("version")
    if version == 1 and type(version) is int:
        return _version_1(body)
    if version == 2 and type(version) is int:
        _only(body, ("version", "plan"), "")
        if "plan" not in body:
            raise DecodeError("", "lacks the field 'plan'")
        plan = CODEC.decode(body["plan"], ExecutionPlan, "plan")
        _check_ids(plan)
        return plan
    raise DecodeError("version", f"is {version!r}; this tek reads versions 1 and 2")


def _only(value: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(map(str, value.keys() - set(known)))
    if unknown:
        raise DecodeError(where, f"has an unknown field {unknown[0]!r}")


def _check_ids(plan: ExecutionPlan) -> None:
    seen: dict[str, int] = {}
    for q, queue in enumerate(plan.queues):
        for t, task in enumerate(queue.tasks):
            where = f"plan.queues[{q}].tasks[{t}].id"
            bare = task.id.partition("#")[0]
            if not TASK_ID.fullmatch(bare) or numbered(bare, seen) != task.id:
                raise DecodeError(where, f"{task.id!r} is not an id, or not in its turn")


def _version_1(body: dict[str, Any]) -> ExecutionPlan:
    _only(body, _FIELDS, "")
    seen: dict[str, int] = {}
    queues: list[Queue] = []
    for q, queue in enumerate(_list(body.get("queues", []), "queues")):
        where = f"queues[{q}]"
        if not isinstance(queue, dict):
            raise DecodeError(where, "is not an object")
        _only(queue, ("name", "tasks"), where)
        name = _text(queue.get("name"), f"{where}.name")
        tasks = [
            _task(task, f"{where}.tasks[{t}]", seen)
            for t, task in enumerate(_list(queue.get("tasks", []), f"{where}.tasks"))
        ]
        queues.append(Queue(name, tuple(tasks)))
    source, made = body.get("source", ""), body.get("generated_at", "")
    return ExecutionPlan(tuple(queues), source=_text(source, "source"), generated_at=_text(made, "generated_at"))


def _task(value: Any, where: str, seen: dict[str, int]) -> Task:
    if not isinstance(value, dict):
        raise DecodeError(where, "is not an object")
    _only(value, ("id", "title", "layer"), where)
    bare = _text(value.get("id"), f"{where}.id")
    if not TASK_ID.fullmatch(bare):
        raise DecodeError(f"{where}.id", f"{bare!r} is not an id such as TASK-001")
    layer = _text(value.get("layer", layer_of(bare)), f"{where}.layer")
    if layer not in LAYERS:
        raise DecodeError(f"{where}.layer", f"there is no layer {layer!r}")
    return Task(numbered(bare, seen), _text(value.get("title", bare), f"{where}.title"), layer)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DecodeError(where, "is not a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DecodeError(where, "is not text")
    return value
