"""The pages of ``docs/reference/``."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tek_planner import Explanation, explanations
from tools.reference.cli import Command, commands, exit_codes
from tools.reference.diagnosed import rendered
from tools.reference.schema import Schema


def cli_page() -> str:
    """Return the page of every command."""
    program, *others = commands()
    lines = ["# Command line", "", *_paragraphs(program.paragraphs)]
    lines += ["| exit code | means |", "| --- | --- |", *(f"| {code} | {text} |" for code, text in exit_codes()), ""]
    lines += ["Where several hold, the first of 130, 4, 7, 5, 2, 6, 1, 3 counts.", ""]
    lines += _examples(program.examples)
    for command in others:
        lines += _command(command)
    return _joined(lines)


def _command(command: Command) -> Iterator[str]:
    yield f"## {command.path}"
    yield ""
    yield from ("```text", command.usage, "```", "")
    yield from _paragraphs(command.paragraphs)
    if command.commands:
        yield from table(("command", "does"), ((f"`{name}`", cell(text)) for name, text in command.commands))
    yield from table(("option", "means"), ((code(name), cell(text)) for name, text in command.options))
    yield from _examples(command.examples)


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if not text.startswith("Exit codes: "):
            yield from (_plain(text), "")


def _examples(listed: tuple[str, ...]) -> Iterator[str]:
    if listed:
        yield from ("```sh", *listed, "```", "")


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield a table's lines, or none where it has no rows."""
    listed = list(rows)
    if listed:
        yield f"| {' | '.join(heads)} |"
        yield f"| {' | '.join('---' for _ in heads)} |"
        yield from (f"| {' | '.join(row)} |" for row in listed)
        yield ""


def code(text: str) -> str:
    """Return text as code in a table's cell, where a bar would end the cell to some readers of Markdown."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _plain(text: str, *, in_cell: bool = False) -> str:
    """Escape what Markdown would take for markup, leaving code spans alone."""
    parts = re.split(r"`([^`]*)`", text)
    spans = (code(part) if in_cell else f"`{part}`" for part in parts[1::2])
    texts = (re.sub(r"([|<*_\[\]])" if in_cell else r"([<*_\[\]])", r"\\\1", part) for part in parts[::2])
    return "".join(text + span for text, span in itertools.zip_longest(texts, spans, fillvalue=""))


def cell(text: str) -> str:
    """Return text for a table's cell."""
    return _plain(text, in_cell=True)


def diagnostics_page() -> str:
    """Return the page of every diagnostic, with an anchor a code."""
    pages = explanations()
    lines = [
        "# Diagnostics",
        "",
        "What `tek-runner check` says about a file, by code. `tek-runner explain CODE` shows one.",
        "",
    ]
    lines += table(
        ("code", "means"),
        ((f"[{page.code}](#{_anchor(page)})", cell(page.title)) for page in pages.values()),
    )
    for page in pages.values():
        lines += [f"## {page.code} {_plain(page.title)}", "", page.text, ""]
        if told := rendered(page):
            lines += ["The wrong one is told as", "", "`````text", told, "`````", ""]
    return _joined(lines)


def _anchor(page: Explanation) -> str:
    words = re.sub(r"[^\w\s-]", "", f"{page.code} {page.title}".lower())
    return re.sub(r"[-\s]+", "-", words.strip())


def formats_page(schemas: dict[str, Schema]) -> str:
    """Return the page of every file format: its fields, and where its schema is."""
    lines = [
        "# File formats",
        "",
        "Each has a JSON Schema (2020-12) in `schemas/`, as strict as tek's own reading where one can be.",
    ]
    lines += [
        "What a schema cannot say is checked by tek alone: that an object names no key twice, that a pattern can be",
        "read, that a file is there, that a ledger's lines follow one another. [The ledger](../ledger.md),",
        "[the manifest](../manifest.md) and [the grammar of plans](../grammar.md) say what the fields are for.",
        "",
    ]
    for name, schema in schemas.items():
        lines += [f"## {schema['title']}", "", f"Schema: `schemas/{name}`", ""]
        if "description" in schema:
            lines += [_plain(schema["description"]), ""]
        for title, one in _objects(schema):
            lines += [*([f"### {title}", ""] if title else []), *_fields(one)]
    return _joined(lines)


def _objects(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield each object of a format with its heading: the whole, its alternatives, its definitions."""
    if schema.get("properties"):
        yield "", schema
    for one in schema.get("oneOf", []):
        yield _constants(one), one
    for name, one in schema.get("$defs", {}).items():
        if one.get("properties"):
            yield f"`{name}`", one
        for alternative in (each for each in one.get("oneOf", []) if "properties" in each):
            yield f"`{name}`, {_constants(alternative)}", alternative


def _constants(schema: Schema) -> str:
    fixed = {name: one["const"] for name, one in schema["properties"].items() if "const" in one}
    return ", ".join(f"`{name}` `{value}`" for name, value in fixed.items())


def _fields(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    if "description" in schema and "$schema" not in schema:
        yield from (_plain(schema["description"]), "")
    yield from table(
        ("field", "holds", "needed"),
        (
            (f"`{name}`", cell(_kind(one) + _about(one)), "yes" if name in required else "")
            for name, one in schema["properties"].items()
        ),
    )


def _about(schema: Schema) -> str:
    return f": {schema['description']}" if "description" in schema else ""


def _kind(schema: Schema) -> str:
    """Name the kind of a value in a few words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema.get("anyOf") or schema["oneOf"])))
    if schema["type"] == "array":
        return _list(schema)
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']}" if schema.get("minimum", -1) >= 0 else "a whole number"
    if schema.get("pattern") == "^[0-9a-f]{64}$":
        return "a SHA-256 in hex"
    names: dict[Any, str] = {"string": "text", "boolean": "true or false", "null": "null", "object": "an object"}
    return names[schema["type"]]


def _list(schema: Schema) -> str:
    items = [_kind(one) for one in schema.get("prefixItems", [])]
    if schema.get("items") is False:
        return f"a list of {', '.join(items)}"
    return f"a list of {_kind(schema['items'])}"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"
