"""JSON Schema 2020-12 of attrs classes, as the codec reads and writes them.

As strict as the codec where a schema can say it: unknown fields are refused, fields without a default are required.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final, TypeAlias, get_args, get_origin

import attrs

from tek_abi import Blob, Budget, Outcome, Position
from tek_abi.canonical import MAX_INTEGER
from tek_abi.instant import INSTANT
from tek_abi.outcome import STATUS

Schema: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SHA256: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
MOMENT: Final[Schema] = {"type": "string", "pattern": f"^{INSTANT.pattern}$".replace(r"\d", "[0-9]")}
NATURAL: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER}
TEXT: Final[Schema] = {"type": "string"}

_INTEGER: Final[Schema] = {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}
_VALUE: Final[Schema] = {
    "description": "A value: JSON without floats, with keys in ASCII.",
    "anyOf": [
        {"type": ["null", "boolean", "string"]},
        _INTEGER,
        {"type": "array", "items": {"$ref": "#/$defs/Value"}},
        {
            "type": "object",
            "propertyNames": {"pattern": "^[\\u0000-\\u007f]*$"},
            "additionalProperties": {"$ref": "#/$defs/Value"},
        },
    ],
}
_BLOB: Final[Schema] = {
    "description": "Bytes in the content-addressed store, by their digest and size in bytes.",
    "type": "object",
    "properties": {
        "$blob": {
            "type": "object",
            "properties": {"sha256": SHA256, "size": NATURAL},
            "required": ["sha256", "size"],
            "additionalProperties": False,
        }
    },
    "required": ["$blob"],
    "additionalProperties": False,
}
_POSITION: Final[Schema] = {
    "description": "Where a request stands: its task, its attempt, then indices and branches in turn.",
    "type": "array",
    "minItems": 2,
    "prefixItems": [TEXT],
    "items": NATURAL,
}
_SPECIAL: Final[dict[type, Schema]] = {Blob: _BLOB, Position: _POSITION}

_VALIDATORS: Final[dict[str, Callable[[Schema], Schema]]] = {
    "_some": lambda kind: {"minLength": 1} if kind.get("type") == "string" else {"minItems": 1},
    "_natural": lambda _: {"minimum": 0},
    "_positive": lambda _: {"minimum": 1},
    "_bound": lambda _: {},  # the type of a bound says it
    "_fixed_width": lambda _: {"pattern": MOMENT["pattern"]},
}
"""What the validators of tek's classes mean, by their names."""


class UnknownValidator(Exception):
    """A class has a validator that no schema speaks of: teach it to ``_VALIDATORS``."""


class SameName(Exception):
    """Two classes of one schema file have one name."""


class Definitions:
    """Collects a schema a class, by the class's name."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._kinds: dict[str, Any] = {}

    def add(self, name: str, schema: Schema) -> Schema:
        """Keep a schema that no class stands for, and return the reference to it."""
        return self._named(name, name, lambda: schema)

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type, as a reference where it is a class."""
        if kind is Any:
            return self._named("Value", Any, lambda: _VALUE)
        if kind in (int, str, bool, type(None)):
            return {int: _INTEGER, str: TEXT, bool: {"type": "boolean"}, type(None): {"type": "null"}}[kind]
        if kind == Outcome:
            return self._named("Outcome", kind, self._outcome)
        origin = get_origin(kind)
        if origin is typing.Literal:
            return {"enum": list(get_args(kind))}
        if origin in (tuple, list):
            return self._sequence(origin, get_args(kind))
        if origin in (typing.Union, types.UnionType):
            return self._union(get_args(kind))
        if kind in _SPECIAL:
            return self._named(kind.__name__, kind, lambda: _SPECIAL[kind])
        return self._named(kind.__name__.lstrip("_"), kind, lambda: self.object(kind))

    def object(self, kind: type[Any], replaced: dict[str, Schema] | None = None) -> Schema:
        """Return the schema of an attrs class; ``replaced`` stands for fields that the class reads by itself."""
        hints = typing.get_type_hints(kind)
        properties: dict[str, Schema] = {}
        required = []
        for field in attrs.fields(kind):
            if replaced is not None and field.name in replaced:
                properties[field.name] = replaced[field.name]
            else:
                schema = self.of(hints[field.name])
                properties[field.name] = _narrowed(schema, field.validator)
            if kind is Budget:
                properties[field.name] = NATURAL
            if field.default is attrs.NOTHING:
                required.append(field.name)
        text = first_sentences(kind)
        return {
            **({"description": text} if text else {}),
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _named(self, name: str, kind: Any, make: Callable[[], Schema]) -> Schema:
        if self._kinds.setdefault(name, kind) != kind:
            raise SameName(f"{kind} and {self._kinds[name]}")
        if name not in self.schemas:
            self.schemas[name] = {}  # a class may hold itself
            self.schemas[name] = make()
        return {"$ref": f"#/$defs/{name}"}

    def _sequence(self, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        if origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
            return {"type": "array", "items": self.of(arguments[0])}
        items = [self.of(argument) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        if set(arguments) >= {int, type(None)} and len(arguments) == 3:  # a bound: a whole number, or unlimited
            return {"anyOf": [NATURAL, *(self.of(kind) for kind in arguments if kind is not int)]}
        return {"anyOf": [self.of(kind) for kind in arguments]}

    def _outcome(self) -> Schema:
        return {"description": "How a request ended.", "oneOf": [self._tagged(kind) for kind in STATUS]}

    def _tagged(self, kind: type[Any]) -> Schema:
        schema = self.object(kind)
        properties = {"status": {"const": STATUS[kind]}, **schema["properties"]}
        return {**schema, "properties": properties, "required": ["status", *schema.get("required", [])]}


def _narrowed(schema: Schema, validator: Any) -> Schema:
    if validator is None:
        return schema
    kind = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)
    narrower = _meaning(validator, kind)
    if "anyOf" not in schema or not narrower:
        return {**schema, **narrower}
    return {"anyOf": [{**one, **narrower} if one is kind else one for one in schema["anyOf"]]}


def _meaning(validator: Any, kind: Schema) -> Schema:
    name = type(validator).__name__
    if name == "_AndValidator":
        return {key: value for one in validator._validators for key, value in _meaning(one, kind).items()}
    if name == "_NumberValidator":
        bound = {">=": "minimum", "<=": "maximum"}.get(validator.compare_op)
        if bound is not None:
            return {bound: validator.bound}
    if name == "_MinLengthValidator":
        return {"minItems" if kind.get("type") == "array" else "minLength": validator.min_length}
    if name == "_MaxLengthValidator":
        return {"maxLength": validator.max_length}
    if name == "_MatchesReValidator":
        return {"pattern": f"^{validator.pattern.pattern}$"}
    meaning = _VALIDATORS.get(getattr(validator, "__name__", ""))
    if meaning is None:
        raise UnknownValidator(repr(validator))
    return meaning(kind)


def first_sentences(kind: type[Any]) -> str:
    """Return the first paragraph of a docstring, as plain text."""
    paragraph = (kind.__doc__ or "").strip().partition("\n\n")[0]
    return re.sub(r" \(DESIGN[^)]*\)", "", re.sub(r"\s+", " ", paragraph.replace("``", "`")))


def document(name: str, title: str, schema: Schema, definitions: Definitions | None = None) -> Schema:
    """Return a whole schema file."""
    head = {"$schema": DIALECT, "$id": f"urn:tek:schema:{name}", "title": title}
    defs = definitions.schemas if definitions is not None else {}
    return {**head, **schema, **({"$defs": dict(sorted(defs.items()))} if defs else {})}
