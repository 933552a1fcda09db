"""The schema of ``config/manifest.json``, from the classes that read it and what they read by themselves."""

from __future__ import annotations

from typing import Final

from tek_abi import LAYERS
from tek_abi.budget import DIMENSIONS, UNLIMITED
from tek_abi.policy import DEFAULT_PRESET, PRESETS
from tek_runner import config
from tools.reference.schema import NATURAL, TEXT, Definitions, Schema, document

_SOME_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_FILE: Final[Schema] = {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]*$"}
_MOMENT: Final[Schema] = {
    "description": "From this moment in UTC on the permit authorises nothing.",
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
}
_UNITS: Final = {"ms": "ms|s|m|min|h|d", "tokens": "k|M", "io": "B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB"}


def manifest_schema() -> Schema:
    """Return the schema. Whether a pattern, a file or a key can be used, only the reader can say."""
    definitions = Definitions()
    for name, kind, read_by_itself in (
        ("Permit", config._Permit, _permit()),
        ("Budgets", config._Budgets, _budgets()),
        ("Layer", config._Layer, {}),
    ):
        definitions.schemas[name] = {}
        definitions.schemas[name] = definitions.object(kind, read_by_itself)
    definitions.schemas["Amounts"] = _amounts()
    fields: dict[str, Schema] = {
        "preset": {
            "description": "What is granted to begin with; unconfined also needs --sandbox=off.",
            "enum": [*PRESETS, config.NO_PRESET],
            "default": DEFAULT_PRESET,
        },
        "layers": {
            "description": "By layer: the agent of its tasks, or an object with agent and permits.",
            "type": "object",
            "propertyNames": {"enum": list(LAYERS)},
            "additionalProperties": {"anyOf": [TEXT, {"$ref": "#/$defs/Layer"}]},
        },
        "keys": {
            "description": "Ed25519 public keys, in hex, by which permits may be signed.",
            "type": "array",
            "items": {"type": "string", "pattern": "^[0-9A-Fa-f \\t\\n\\r\\f\\v]*$", "minLength": 64},
        },
        "tls": _tls(),
        "checkpoint_key": {
            "description": "The signing key, outside of what any task may read.",
            "anyOf": [_FILE, {"type": "null"}],
        },
    }
    whole = definitions.object(config._Manifest, fields)
    text = "What the operator grants: the policy of every run. A field that is not known is refused."
    return document("manifest", "config/manifest.json", {**whole, "description": text}, definitions)


def _patterns(least: int) -> Schema:
    return {"anyOf": [_SOME_TEXT, {"type": "array", "items": _SOME_TEXT, "minItems": least}]}


def _permit() -> dict[str, Schema]:
    any_of = _patterns(1)
    return {
        "action": {
            "description": "fs.read, fs.write, proc.exec, net.http, env.get, or another effect's name.",
            **any_of,
        },
        "resource": {"description": "Patterns in the action's own namespace; any of them.", **any_of},
        "subject": {"description": "Tasks, agent:NAME, layer:NAME, queue:LETTER; any of them.", **any_of},
        "exclude": {"description": "Patterns that the permit leaves out.", **_patterns(0)},
        "expires_at": {"anyOf": [_MOMENT, {"type": "null"}]},
        "caveats": {
            "description": "Further limits: bytes a request, uses a task, methods of HTTP.",
            "type": "object",
            "properties": {
                "max_bytes": NATURAL,
                "max_uses": NATURAL,
                "methods": {"type": "array", "items": TEXT},
            },
            "additionalProperties": False,
        },
    }


def _budgets() -> dict[str, Schema]:
    amounts = {"$ref": "#/$defs/Amounts"}
    return {
        "task": {"description": "A task's default, and the most that one can ask for.", **amounts},
        "run": {"description": "What all tasks of a run share.", **amounts},
        "queues": {
            "description": "What the tasks of a queue share, by the queue's letter.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Z]+$"},
            "additionalProperties": amounts,
        },
    }


def _amounts() -> Schema:
    bounds = {
        name: {
            "anyOf": [
                NATURAL,
                {"const": UNLIMITED},
                {"type": "string", "pattern": f"^[0-9]+({_UNITS[name]})?$"},
                {"type": "null"},
            ]
        }
        for name in DIMENSIONS
    }
    limit = {"type": "object", "properties": bounds, "additionalProperties": False}
    text = {"type": "string", "pattern": "(ms|tokens|io)="}
    return {"description": "Such as ms=90s,io=64MiB.", "anyOf": [limit, text, {"type": "null"}]}


def _tls() -> Schema:
    return {
        "description": "PEM files by which servers are verified, and by which tek shows who asks.",
        "type": "object",
        "properties": {"ca_file": _FILE, "client_cert": _FILE, "client_key": _FILE},
        "dependentRequired": {"client_cert": ["client_key"], "client_key": ["client_cert"]},
        "additionalProperties": False,
    }
