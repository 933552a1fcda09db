"""The schema of each file format, by the name of its file in ``schemas/``."""

from __future__ import annotations

from typing import Any, get_args

import attrs

from tek_abi import KINDS, LAYERS, TASK_STATUSES, ExecutionPlan, RunSummary
from tek_abi.task import TASK_ID
from tek_kernel.differences import Difference
from tek_kernel.redaction import Tombstone
from tek_runner.proving import Standing
from tools.reference.manifest import manifest_schema
from tools.reference.schema import MOMENT, NATURAL, SHA256, TEXT, Definitions, Schema, document

_NO_NUL = "^[^\\u0000]*$"


def schemas() -> dict[str, Schema]:
    """Return every schema, by its file's name."""
    return {
        "manifest.schema.json": manifest_schema(),
        "hooks.schema.json": _hooks(),
        "plan.schema.json": _plan(),
        "run.schema.json": _run(),
        "ledger-line.schema.json": _ledger_line(),
        "run-answer.schema.json": _run_answer(),
        "replay-answer.schema.json": _replay_answer(),
    }


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        **({"required": list(required)} if required else {}),
        "additionalProperties": False,
        **more,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _hooks() -> Schema:
    word = {"type": "string", "pattern": _NO_NUL}
    argv = {"type": "array", "prefixItems": [{**word, "minLength": 1}], "items": word}
    command = _object(
        {},
        {
            "cmd": _or_null(argv) | {"description": "Program and arguments; an empty one keeps its number."},
            "cwd": _or_null({**word, "minLength": 1}) | {"description": "A directory, from the workspace."},
        },
    )
    definitions = Definitions()
    hook = _object({}, {"commands": _list(definitions.add("Command", command))})
    text = "Commands by task id or a queue's full name. A task's hook overrides its queue's."
    return document(
        "hooks",
        "config/hooks.json",
        {"description": text, "type": "object", "additionalProperties": definitions.add("Hook", hook)},
        definitions,
    )


def _plan() -> Schema:
    task_id = {"type": "string", "pattern": f"^{TASK_ID.pattern}$"}
    task = _object({"id": task_id}, {"title": TEXT, "layer": {"enum": list(LAYERS)}})
    definitions = Definitions()
    queue = _object({"name": TEXT}, {"tasks": _list(definitions.add("LegacyTask", task))})
    queues = _list(definitions.add("LegacyQueue", queue))
    first = _object({"version": {"const": 1}}, {"source": TEXT, "generated_at": TEXT, "queues": queues})
    second = _object({"version": {"const": 2}, "plan": definitions.of(ExecutionPlan)})
    numbered = {"type": "string", "pattern": f"^{TASK_ID.pattern}(#[1-9][0-9]*)?$"}
    definitions.schemas["Task"]["properties"]["id"] = numbered
    text = "Version 1 where the plan holds nothing more than the older kit knew, else version 2."
    return document("plan", "plan.json", {"description": text, "oneOf": [first, second]}, definitions)


def _command(definitions: Definitions) -> Schema:
    ended = {"rc": {"description": "The exit code; of a signal its number below zero.", "type": "integer"}}
    failed = {"error": {"description": "Why the command has no exit code.", "type": "string"}}
    start: dict[str, Schema] = {"cmd": _list(TEXT), "cwd": _or_null(TEXT), "log": TEXT}
    one_of = [{"required": ["rc"]}, {"required": ["error"]}]
    return definitions.add("Command", _object(start, {**ended, **failed}, oneOf=one_of))


def _run() -> Schema:
    definitions = Definitions()
    named = {"task": TEXT, "queue": TEXT, "agent": TEXT, "status": {"enum": ["ok", "noop", "error"]}}
    bad = [status for status in TASK_STATUSES if status not in ("ok", "noop")]
    result = _object(
        named,
        {
            "evidence": TEXT,
            "commands": _list(_command(definitions)),
            "detail": {"description": "What kind of error.", "enum": bad},
        },
    )
    run = _object(
        {
            "status": {"enum": ["ok", "error"]},
            "started": MOMENT,
            "ended": MOMENT,
            "results": _list(definitions.add("Result", result)),
        }
    )
    text = "A projection of the ledger, in the form of the older kit."
    return document("run", "run.json", {"description": text, **run}, definitions)


def _ledger_line() -> Schema:
    definitions = Definitions()
    lines = [_line(definitions, kind, entry) for kind, entry in KINDS.items()]
    text = "The order of fields, the chain and the hash are what a schema cannot see: replay --verify looks at them."
    return document("ledger-line", "A line of ledger.jsonl", {"description": text, "oneOf": lines}, definitions)


def _line(definitions: Definitions, kind: str, entry: type[Any]) -> Schema:
    body = definitions.object(entry)
    frame = {
        "seq": NATURAL,
        "synced": {**NATURAL, "minimum": -1},
        "prev": SHA256,
        "kind": {"const": kind},
        "at": MOMENT,
    }
    properties = {**frame, **body["properties"], "hash": SHA256}
    return {**body, "properties": properties, "required": [*frame, *body.get("required", []), "hash"]}


def _run_answer() -> Schema:
    definitions = Definitions()
    result = _object(
        {
            "task": TEXT,
            "queue": TEXT,
            "agent": TEXT,
            "status": {"enum": list(TASK_STATUSES)},
            "message": TEXT,
            "because": TEXT,
            "attempts": NATURAL,
        },
        {"commands": _list(_command(definitions)), "evidence": TEXT},
    )
    statuses = ["ok", "failed", "denied", "cancelled", "in_doubt", "paused"]
    counts = _object(dict.fromkeys((field.name for field in attrs.fields(RunSummary)), NATURAL))
    answer = _object(
        {
            "status": {"enum": statuses},
            "run_dir": TEXT,
            "ledger": TEXT,
            "ledger_head": _or_null(SHA256),
            "replay_hash": _or_null(SHA256),
            "signed_by": _or_null(TEXT),
            "level": TEXT,
            "tasks": definitions.add("Counts", {"description": "How many tasks ended in each status.", **counts}),
            "results": _list(definitions.add("Result", result)),
        }
    )
    return document("run-answer", "The answer of tek-runner run --json and resume --json", answer, definitions)


def _replay_answer() -> Schema:
    place = dict.fromkeys(("task", "position", "expected", "actual"), _or_null(TEXT))
    definitions = Definitions()
    problem = _object(
        {"line": _or_null(NATURAL), **place, "problem": TEXT}, {"differences": _list(definitions.of(Difference))}
    )
    tombstone = definitions.object(Tombstone)
    tombstone["properties"]["signature_checked"] = {"type": "boolean"}
    dropped = _object({"task": TEXT, "blob": SHA256})
    answer = _object(
        {
            "status": {"enum": ["ok", "partial", "invalid", "mismatch"]},
            "replay_hash": _or_null(SHA256),
            "ledger_head": _or_null(SHA256),
            "entries": _or_null(NATURAL),
            "effects": _or_null(NATURAL),
            "state": _or_null({"enum": ["closed", "paused"]}),
            "first_problem": _or_null(definitions.add("Problem", problem)),
        },
        {
            "checkpoint": {"enum": list(get_args(Standing))},
            "redacted": _list(definitions.add("Redacted", tombstone)),
            "not_replayed": _list(definitions.add("NotReplayed", dropped)),
        },
    )
    return document(
        "replay-answer", "The answer of tek-runner replay --json, with or without --verify", answer, definitions
    )
