"""The page of the effects: what each takes and answers, how it repeats, and which permit it needs."""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path
from typing import Any, Final

import attrs

from tek_abi import Blob, Request
from tek_abi.permit import show_rule
from tek_abi.vocabulary import core, fs, net, proc
from tek_kernel import Effect
from tek_runner.effects import make_registry
from tools.reference.pages import code, table

_SAMPLES: Final[tuple[Request[Any], ...]] = (
    core.Now(),
    core.RandomBytes(16),
    core.EnvGet("LANG"),
    core.Note("half done"),
    fs.Read("src/main.py"),
    fs.Write("out/report.txt", Blob.of(b"text")),
    fs.Append("out/log.txt", Blob.of(b"text")),
    fs.List("src"),
    fs.Glob("src/**"),
    fs.Hash("src/main.py"),
    fs.Stat("src/main.py"),
    fs.Copy("src/main.py", "out/main.py"),
    fs.Mkdir("out"),
    fs.Remove("out/old.txt"),
    fs.Rename("out/new.txt", "out/report.txt"),
    proc.Exec(("git", "status"), env=(("TOKEN", "secret:API_TOKEN"),)),
    net.Http("GET", "https://example.org/data/one"),
    net.Http("PUT", "https://example.org/data/one"),
    net.Http("POST", "https://example.org/data"),
)
"""At least one request of each effect of tek's own; several where they differ in what a second application does."""

_AGAIN: Final = {
    "read": "changes nothing: done again when the run is resumed",
    "idempotent": "twice is as once: done again, with the same key",
    "probe": "leaves something to look for: done again only if it did not happen",
    "once": "nobody can tell: in doubt, until someone says what is true",
}


class NoSample(Exception):
    """An effect has no request among the samples."""


def effects_page() -> str:
    """Return the page of the effects that tek comes with."""
    registry = make_registry(Path.cwd(), {})
    own = [key for key in registry.names() if _is_own(registry.get(*key))]
    lines = [
        "# Effects",
        "",
        "All that an agent can ask for. Each request is checked against the task's permits and budget",
    ]
    lines += ["before anything happens. [Agents](../agents.md) shows how to ask.", ""]
    lines += ["What follows an effect that was under way when a run was cut off:", ""]
    lines += table(("class", "means"), ((f"`{name}`", text) for name, text in _AGAIN.items()))
    for name, version in own:
        lines += _effect(registry.get(name, version))
    return "\n".join(lines).rstrip() + "\n"


def _is_own(effect: Effect[Any]) -> bool:
    return type(effect).__module__.startswith("tek_")


def _effect(effect: Effect[Any]) -> list[str]:
    request = effect.request
    samples = [sample for sample in _SAMPLES if type(sample) is request]
    if not samples:
        raise NoSample(f"{request.effect} has no request among the samples of {__name__}")
    lines = [f"## {request.effect}", "", *_text(request), f"Version {request.version}. {_again(effect, samples)}", ""]
    lines += _fields("argument", request)
    lines += _answer(request)
    rules = dict.fromkeys(show_rule(access) for sample in samples for access in effect.accesses(sample))
    return [*lines, f"Permits, for example: {', '.join(f'`{rule}`' for rule in rules)}", ""]


def _again(effect: Effect[Any], samples: list[Any]) -> str:
    classes = {sample: effect.side_effect(sample).value for sample in samples}
    if len(set(classes.values())) == 1:
        return f"Class `{next(iter(classes.values()))}`."
    return f"Class by method: {', '.join(f'{sample.method} `{again}`' for sample, again in classes.items())}."


def _answer(request: type[Request[Any]]) -> list[str]:
    output = request.output
    if not attrs.has(output) or output is Blob:
        return [f"Answers {_type(output)}.", ""]
    return [f"Answers `{output.__name__}`:", "", *_text(output), *_fields("field", output)]


def _text(kind: type[Any]) -> list[str]:
    return [re.sub(r"``([^`]*)``", r"`\1`", inspect.getdoc(kind) or ""), ""]


def _fields(head: str, kind: type[Any]) -> list[str]:
    hints = typing.get_type_hints(kind)
    rows = ((f"`{field.name}`", _type(hints[field.name]), _default(field)) for field in attrs.fields(kind))
    return list(table((head, "type", "left out"), rows))


def _default(field: attrs.Attribute[Any]) -> str:
    return "" if field.default is attrs.NOTHING else f"`{field.default!r}`"


def _type(kind: Any) -> str:
    shown = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
    shown = re.sub(r"\b(?:typing|tek_abi(?:\.\w+)+)\.(?=\w)", "", shown).replace("NoneType", "nothing")
    return code(shown) if shown != "nothing" else "nothing"
