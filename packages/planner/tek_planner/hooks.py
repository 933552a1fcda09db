"""``config/hooks.json``: commands for tasks and queues, as the older kit read them (DESIGN section 7)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from tek_abi import DecodeError, Diagnostic, ExecutionPlan, InvalidInput, PatternError, Step, place_in_json
from tek_abi.pattern import canonical_path


@attrs.frozen
class Hooks:
    """Commands by task id or full queue name. ``data`` and ``path`` are kept for messages that point at a place."""

    commands: Mapping[str, tuple[Step, ...]]
    path: str
    data: bytes = attrs.field(repr=False)

    def diagnostic(self, code: str, key: str, message: str, help_: str) -> Diagnostic:
        """Return a problem with the hook of ``key``, at its place in the file."""
        line, column, text = place_in_json(self.data, key)
        return Diagnostic(self.path, line, column, message, help_, text, code)


def read_hooks(data: bytes, path: str) -> Hooks:
    """Read the file. Raises ``InvalidInput`` that points at the first problem."""
    try:
        return Hooks(_read(data), path, data)
    except DecodeError as error:
        line, column, text = place_in_json(data, error.where)
        message = f"{error.where}: {error.problem}" if error.where else error.problem
        help_ = 'a hook is {"commands": [{"cmd": ["program", "argument"], "cwd": "directory"}]}'
        raise InvalidInput((Diagnostic(path, line, column, message, help_, text, "TEK701"),)) from None


def _read(data: bytes) -> dict[str, tuple[Step, ...]]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError("", f"this is not JSON: {error}") from None
    try:
        json.loads(data, object_pairs_hook=_once, parse_int=str)
    except RecursionError:
        raise DecodeError("", "this is nested too deeply") from None
    if not isinstance(body, dict):
        raise DecodeError("", "hooks are an object: a task id or a queue's full name, and its commands")
    return {key: _commands(value, key) for key, value in body.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice: readers differ on which one counts."""
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise DecodeError(key, "this key stands twice in one object")
    return dict(pairs)


def _commands(hook: Any, where: str) -> tuple[Step, ...]:
    if not isinstance(hook, dict):
        raise DecodeError(where, "is not an object")
    _only(hook, ("commands",), where)
    specs = hook.get("commands", [])
    if not isinstance(specs, list):
        raise DecodeError(f"{where}.commands", "is not a list")
    steps = (_step(spec, f"{where}.commands[{i}]", i + 1) for i, spec in enumerate(specs))
    return tuple(step for step in steps if step is not None)


def _step(spec: Any, where: str, number: int) -> Step | None:
    """Return one command with its number, or ``None`` for an empty one, which keeps its place in the numbering."""
    if not isinstance(spec, dict):
        raise DecodeError(where, "is not an object")
    _only(spec, ("cmd", "cwd"), where)
    argv, cwd = spec.get("cmd") or [], spec.get("cwd")
    if not isinstance(argv, list) or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise DecodeError(f"{where}.cmd", "is not a list of texts")
    if cwd is not None and (not isinstance(cwd, str) or not cwd or "\0" in cwd):
        raise DecodeError(f"{where}.cwd", "is not a directory's name")
    if cwd is not None:
        _check_directory(cwd, f"{where}.cwd")
    if not argv:
        return None
    if not argv[0]:
        raise DecodeError(f"{where}.cmd[0]", "names no program")
    return Step(tuple(argv), "hook", cwd, number)


def _check_directory(cwd: str, where: str) -> None:
    try:
        canonical_path(cwd)
    except PatternError as error:
        raise DecodeError(where, str(error)) from None


def _only(value: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(value.keys() - set(known))
    if unknown:
        raise DecodeError(where, f"has an unknown field {unknown[0]!r}")


def attach_hooks(plan: ExecutionPlan, hooks: Hooks) -> tuple[ExecutionPlan, tuple[Diagnostic, ...]]:
    """Return the plan with the hooks' commands on its tasks, and a warning for each hook that names nothing.

    A task's hook overrides its queue's; a block overrides its queue's hook. Raises ``InvalidInput`` for a task with
    both a block and a hook of its own.
    """
    commands, used, clashes = hooks.commands, set[str](), []
    queues = []
    for queue in plan.queues:
        tasks = []
        for task in queue.tasks:
            key = next((k for k in (task.id, task.id.partition("#")[0]) if k in commands), None)
            if key is not None:
                used.add(key)
                if task.steps:
                    message = f"{task.id} has both a block in its source and this hook of its own"
                    clashes.append(hooks.diagnostic("TEK702", key, message, "remove one of the two"))
                tasks.append(attrs.evolve(task, steps=commands[key]))
            elif queue.name in commands and not task.steps:
                tasks.append(attrs.evolve(task, steps=commands[queue.name]))
            else:
                tasks.append(task)
        used.update({queue.name} & commands.keys())
        queues.append(attrs.evolve(queue, tasks=tuple(tasks)))
    if clashes:
        raise InvalidInput.of(clashes)
    warnings = tuple(
        hooks.diagnostic(
            "TEK703",
            key,
            f"this hook names no task or queue of the plan: {key!r}",
            "check the id, or the queue's full name",
        )
        for key in commands
        if key not in used
    )
    return attrs.evolve(plan, queues=tuple(queues)), warnings
