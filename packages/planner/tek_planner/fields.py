"""Fields: ``- Key: value`` items right under a heading, read into typed values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Final

import attrs

from tek_abi import LAYERS, Allow, Limit, PatternError, QuantityError, parse_limit, parse_rule
from tek_abi.pattern import SYSTEM, canonical_path
from tek_abi.quantity import parse_duration
from tek_planner.keys import KEYS, SHOWN, split_field
from tek_planner.problems import Problems
from tek_planner.scan import Item

_SPAN: Final = re.compile(r"`([^`]+)`")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET: Final = "secret:"  # noqa: S105  # the prefix of a secret's name
_ENV: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.S)
_NEED: Final = re.compile(r"TASK-[0-9]{3,}(?:#[0-9]+)?|[A-Z]{1,8}")
MAX_RETRIES = 100


@attrs.frozen
class Need:
    """A name in ``Needs``, with its place."""

    name: str
    line: int
    column: int


@attrs.define
class Fields:
    """The fields of a document, queue or task. ``None`` and empty mean: not given here."""

    needs: list[Need] = attrs.field(factory=list)
    agent: str | None = None
    allow: list[Allow] = attrs.field(factory=list)
    budget: Limit = Limit()
    budget_line: tuple[int, int] = (0, 0)
    timeout: int | None = None
    retries: int | None = None
    env: dict[str, str] = attrs.field(factory=dict)
    cwd: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    idempotent: bool | None = None
    layer: str | None = None
    given: set[str] = attrs.field(factory=set)


class FieldReader:
    """Reads items into ``Fields``; what is wrong becomes a diagnostic at its place."""

    def __init__(self, problems: Problems, owner: str, kind: str) -> None:
        self._problems = problems
        self._owner = owner
        self._kind = kind
        self.fields = Fields()

    def read(self, item: Item) -> None:
        """Read one item."""
        if item.as_code:
            self._problems.add(
                "TEK314", item.line, item.column, "this is shown as code", "write one blank after the mark"
            )
            return
        parts = split_field(item.text)
        if parts is None:
            self._problems.add(
                "TEK301",
                item.line,
                item.column,
                "this item is not a field",
                "write - Key: value, or put text and a blank line between the fields and the list",
            )
            return
        key, value, offset = parts
        name = KEYS.get(key.lower())
        column = item.column + offset
        if name is None:
            close = difflib.get_close_matches(key.title(), SHOWN, 1)
            hint = f"did you mean {close[0]}?" if close else f"known fields are {', '.join(SHOWN)}"
            self._problems.add("TEK302", item.line, item.column, f"there is no field {key!r}", hint)
            return
        if name == "tek":
            if self._kind != "document" or value.strip() != "1":
                self._problems.add(
                    "TEK303",
                    item.line,
                    item.column,
                    "Tek: 1 stands right under the document's first heading only",
                    "remove it",
                )
            return
        if self._kind == "document" and name in ("needs", "inputs", "outputs"):
            self._problems.add(
                "TEK304",
                item.line,
                item.column,
                f"{key} has no meaning for a whole document",
                "give it to queues or tasks",
            )
            return
        if self._kind == "queue" and name in ("inputs", "outputs"):
            self._problems.add(
                "TEK304", item.line, item.column, f"{key} has no meaning for a queue", "give it to its tasks"
            )
            return
        if name in self.fields.given and name not in ("needs", "allow", "env"):
            self._problems.add("TEK305", item.line, item.column, f"{key} is given twice", "remove one of them")
            return
        self.fields.given.add(name)
        bad = next((i for i, c in enumerate(value) if not (c.isprintable() or c == "\t") or c == "\xa0"), None)
        if bad is not None:
            self._problems.add(
                "TEK105",
                item.line,
                column + bad,
                f"an invisible character U+{ord(value[bad]):04X}",
                "type a plain blank, or remove it",
            )
            return
        if not value.strip():
            self._problems.add(
                "TEK306", item.line, item.column, f"{key} has no value", "write one, or remove the field"
            )
            return
        self._value(name, value, item.line, column)

    def _value(self, name: str, value: str, line: int, column: int) -> None:
        readers: dict[str, Callable[[str, int, int], None]] = {
            "needs": self._needs,
            "allow": self._allow,
            "budget": self._budget,
            "env": self._env,
            "cwd": self._cwd,
        }
        try:
            if name in readers:
                readers[name](value, line, column)
            elif name in ("inputs", "outputs"):
                setattr(self.fields, name, self._globs(value, line, column))
            else:
                setattr(self.fields, name, self._scalar(name, value))
        except (PatternError, QuantityError, ValueError) as error:
            self._problems.add("TEK307", line, column, str(error), _HELP.get(name, ""))

    def _scalar(self, name: str, value: str) -> Any:
        text = self._one(value)
        match name:
            case "agent":
                if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", text):
                    raise ValueError(f"{text!r} is not the name of an agent")
                return text
            case "timeout":
                if not (amount := parse_duration(text)):
                    raise ValueError("a timeout is longer than nothing")
                return amount
            case "retries":
                if not text.isascii() or not text.isdecimal() or int(text) > MAX_RETRIES:
                    raise ValueError(f"{text!r} is not a number from 0 to {MAX_RETRIES}")
                return int(text)
            case "idempotent":
                if text.lower() not in ("yes", "no"):
                    raise ValueError(f"{text!r} is neither yes nor no")
                return text.lower() == "yes"
            case _:
                if text not in LAYERS:
                    raise ValueError(f"there is no layer {text!r}")
                return text

    def _one(self, value: str) -> str:
        text = value.strip()
        if len(text) > 2 and text[0] == text[-1] == "`":
            text = text[1:-1]
        if "`" in text:
            raise ValueError(f"{value.strip()!r} is not one value")
        return text

    def _cwd(self, value: str, line: int, column: int) -> None:
        text = self._one(value)
        if canonical_path(text).startswith(SYSTEM):
            self._problems.add("TEK315", line, column, f"{text!r} is outside the workspace", _HELP["cwd"])
        self.fields.cwd = text

    def _spans(self, value: str) -> list[tuple[str, int]]:
        spans = [(match[1], match.start()) for match in _SPAN.finditer(value)]
        if not spans or _SPAN.sub("", value).replace(",", " ").strip():
            raise ValueError("every part stands in a code span of its own")
        return spans

    def _globs(self, value: str, line: int, column: int) -> tuple[str, ...]:
        spans = self._spans(value)
        for text, offset in spans:
            try:
                canonical_path(text)
            except PatternError as error:
                self._problems.add("TEK307", line, column + offset, str(error), _HELP["inputs"])
        return tuple(text for text, _ in spans)

    def _needs(self, value: str, line: int, column: int) -> None:
        for match in re.finditer(
            r"[^\s,`]+", re.sub(r"\bQueue[ \t]+(?=[A-Z]{1,8}\b)", lambda m: " " * len(m[0]), value)
        ):
            if _NEED.fullmatch(match[0]):
                self.fields.needs.append(Need(match[0], line, column + match.start()))
            elif match[0].lower() != "and":
                self._problems.add(
                    "TEK308",
                    line,
                    column + match.start(),
                    f"{match[0]!r} names neither a task nor a queue",
                    _HELP["needs"],
                )

    def _allow(self, value: str, line: int, column: int) -> None:
        rules = []
        for text, offset in self._spans(value):
            try:
                rules.append(parse_rule(text, f"{self._owner} Allow `{text}`"))
            except PatternError as error:
                self._problems.add("TEK309", line, column + offset, str(error), _HELP["allow"])
        if rules:
            self.fields.allow.append(Allow(tuple(rules), line))

    def _budget(self, value: str, line: int, column: int) -> None:
        text = value.replace("`", " ")
        for part in re.finditer(r"[^ \t,]+", text):
            try:
                parse_limit(part[0])
            except QuantityError as error:
                self._problems.add("TEK307", line, column + part.start(), str(error), _HELP["budget"])
                return
        self.fields.budget = parse_limit(text)
        self.fields.budget_line = (line, column)

    def _env(self, value: str, line: int, column: int) -> None:
        for text, offset in self._spans(value):
            match = _ENV.fullmatch(text)
            if match is None:
                self._problems.add("TEK310", line, column + offset, f"{text!r} is not NAME=value", _HELP["env"])
            elif match[2].startswith(_SECRET) and not _VARIABLE.fullmatch(match[2].removeprefix(_SECRET)):
                message = f"{match[1]} takes a secret, and does not name a variable"
                self._problems.add("TEK310", line, column + offset, message, _HELP["env"])
            else:
                self.fields.env[match[1]] = match[2]


_HELP: Final = {
    "needs": "name tasks and queues: Needs: `TASK-001`, Queue A",
    "allow": "write rules in code spans: Allow: `fs.read:src/**` `proc.exec:python3`",
    "budget": "write amounts in code spans: Budget: `ms=90s` `io=64MiB`",
    "env": "write pairs in code spans: Env: `NAME=value` `TOKEN=secret:NAME`",
    "timeout": "write a duration such as 90s or 5m",
    "retries": "write how often to try again, such as 2",
    "cwd": "name a directory from the workspace",
    "layer": f"layers are {', '.join(LAYERS)}",
    "inputs": "write globs in code spans: Inputs: `src/**`",
    "outputs": "write globs in code spans: Outputs: `out/**`",
    "idempotent": "write yes or no",
    "agent": "an agent's name has letters, digits, dots, dashes and underscores",
}
