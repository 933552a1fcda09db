"""Tasks for a first plan, proposed from what a directory has: a Makefile, a justfile, package.json, pyproject.toml.

Pure functions over text. Nothing is run to find out more, and only names of plain letters become commands.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

SOURCES: Final = ("Makefile", "justfile", "package.json", "pyproject.toml")
"""The files that are looked at, in the order of the proposed queues."""

MOST: Final = 40
"""Tasks that are proposed from one file."""

_LONGEST: Final = 4096
"""Characters of a line that may say something of use."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", re.ASCII)
_SCRIPT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,60}", re.ASCII)
_RULE: Final = re.compile(r"([^\s:=#%$][^:=#%$]*?)[ ]*::?(?![:=])([^=;#]*)(?:[;#].*)?$")
_RECIPE: Final = re.compile(r"@?([A-Za-z_][A-Za-z0-9_-]*)([^:]*):(?!=)([^=#]*)(?:#.*)?$")
_NO_RECIPE: Final = (" ", "\t", "#", "set ", "export ", "alias ", "import", "mod ")
_LASTING: Final = re.compile(
    r"(?:dist|real|mostly|maintainer-)?clean|(?:un|pre|post)?install.*|deploy.*|publish.*|release.*|upload.*|push.*|start.*|"
    r"serve.*|dev|develop.*|watch.*|run.*|help|default|prepare|pre(?:pare|pack|publish).*|eject"
)
"""What removes, leaves the machine, never ends, or says nothing: nobody wants that from a first run."""


@attrs.frozen
class Proposal:
    """One task: what it runs as a line of an ``argv`` block, and the names of those of its file that it needs."""

    name: str
    command: str
    needs: tuple[str, ...] = ()


@attrs.frozen
class Proposed:
    """What one file gave: the tasks, and the names that were left out."""

    source: str
    tasks: tuple[Proposal, ...]
    left_out: tuple[str, ...] = ()


def propose(files: Mapping[str, str]) -> list[Proposed]:
    """Return what is proposed from files by their names; nothing for those that say nothing of use."""
    readers: dict[str, Callable[[str], Iterator[Proposal]]] = {
        "Makefile": _of_make,
        "justfile": _of_just,
        "package.json": _of_npm,
        "pyproject.toml": _of_python,
    }
    found = []
    for source in SOURCES:
        named = {one.name: one for one in readers[source](files[source])} if source in files else {}
        kept = [one for name, one in named.items() if not _LASTING.fullmatch(name)][:MOST]
        names = {one.name for one in kept}
        tasks = tuple(attrs.evolve(one, needs=tuple(need for need in one.needs if need in names)) for one in kept)
        if tasks:
            found.append(Proposed(source, _in_order(tasks), tuple(name for name in named if name not in names)))
    return found


def _in_order(tasks: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """Return tasks with each after those that it needs; of a circle, none needs another."""
    by_name = {task.name: task for task in tasks}
    done: dict[str, Proposal] = {}
    while len(done) < len(tasks):
        ready = [task for task in tasks if task.name not in done and all(need in done for need in task.needs)]
        if not ready:
            ready = [attrs.evolve(by_name[name], needs=()) for name in by_name if name not in done]
        done.update((task.name, task) for task in ready)
    return tuple(done.values())


def _of_make(text: str) -> Iterator[Proposal]:
    """Yield the targets that name no file: those called phony, else all plain names (GNU make, *Rules*)."""
    rules: dict[str, list[str]] = {}
    phony: list[str] = []
    for line in _joined(text):
        match = None if line.startswith(("\t", " ")) else _RULE.match(line)
        if match is None:
            continue
        needs = match[2].partition("|")[0].split()
        for target in match[1].split():
            if target == ".PHONY":
                phony += needs
            elif _NAME.fullmatch(target):
                rules.setdefault(target, []).extend(needs)
    chosen = [name for name in dict.fromkeys(phony) if name in rules] or list(rules)
    yield from (Proposal(name, f"make {name}", tuple(dict.fromkeys(rules[name]))) for name in chosen)


def _joined(text: str) -> Iterator[str]:
    """Yield lines, those that end with a backslash with the next."""
    lines = re.sub(r"\\\r?\n[ \t]*", " ", text).splitlines()
    return (line for line in lines if len(line) <= _LONGEST)


def _of_just(text: str) -> Iterator[Proposal]:
    """Yield the recipes that take no argument (just, *Recipes*)."""
    is_private = False
    for line in _joined(text):
        if line.startswith("["):
            is_private = "private" in line
            continue
        match = None if line.startswith(_NO_RECIPE) else _RECIPE.match(line)
        if match is None:
            continue
        takes = [word for word in match[2].split() if "=" not in word and not word.startswith("*")]
        if not (takes or is_private or match[1].startswith("_")):
            yield Proposal(match[1], f"just {match[1]}", tuple(re.findall(r"[\w-]+", match[3].partition("&&")[0])))
        is_private = False


def _of_npm(text: str) -> Iterator[Proposal]:
    """Yield the scripts, less those that npm runs around others (npm, *scripts*)."""
    scripts = _object(_parsed(json.loads, text), "scripts")
    for name, script in scripts.items():
        around = name.removeprefix("pre") in scripts or name.removeprefix("post") in scripts
        is_around = name.startswith(("pre", "post")) and around
        if isinstance(script, str) and _SCRIPT.fullmatch(name) and not is_around:
            yield Proposal(name, f"npm run {name}")


def _of_python(text: str) -> Iterator[Proposal]:
    """Yield the tools that are configured."""
    tools = _object(_parsed(tomllib.loads, text), "tool")
    for name, command in (("ruff", "ruff check ."), ("mypy", "mypy"), ("pytest", "python3 -m pytest")):
        if name in tools:
            yield Proposal(name, command)


def _parsed(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, RecursionError):
        return {}


def _object(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
