"""Valid plans in which one thing is broken: there is one diagnostic, and its caret stands on what was broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_planner import plan_text
from tests.size import examples

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = [(ROOT / "examples" / name / "sot.md").read_text() for name in ("quickstart", "denied", "agent_plugin")]
MARK: Final = "¦"
"""Stands before the broken token in the texts below."""


@attrs.frozen
class Section:
    """A queue or task: where its heading stands and where it ends, its name, the keys of its fields."""

    start: int
    end: int
    task: str
    keys: frozenset[str]


def sections(lines: list[str]) -> Iterator[Section]:
    fenced, heads = False, []
    for index, line in enumerate(lines):
        fenced ^= line.startswith("```")
        if not fenced and line.startswith("#"):
            heads.append(index)
    for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        keys = frozenset(found[1] for line in lines[start:end] if (found := re.match(r"- (\w+):", line)))
        task = re.match(r"#+ `(TASK-\d+)`", lines[start])
        if task or " Queue " in lines[start]:
            yield Section(start, end, task[1] if task else "", keys)


FIELDS: Final = st.sampled_from(
    ["- Agent: noop", "- Retries: 2", "- Timeout: 5m", "- Cwd: sub", "- Env: `A=1` `B=x y`", "- Layer: services"]
)
PROSE: Final = st.sampled_from(["Words.", "Words of `code <b>`,\non two lines.", "1. one\n2. two", "> quoted"])
BLOCKS: Final = st.sampled_from(
    ["```sh\ntrue\n```", "```bash\nx=1\n```", "```argv\nls 'a b'\n```", "```text\n- Agent: x\n```"]
)


@st.composite
def generated(draw: st.DrawFn) -> str:
    parts, number = ["# Plan"], 0
    for letter in "ABC"[: draw(st.integers(1, 3))]:
        parts.append(f"## Queue {letter} — Part {letter}")
        if number and draw(st.booleans()):
            parts.append(f"- Needs: `TASK-{number:03d}`")
        parts += draw(st.lists(PROSE, max_size=1))
        for _ in range(draw(st.integers(1, 3))):
            number += 1
            parts.append(f"{'#' * draw(st.integers(1, 6))} `TASK-{number:03d}` Step {number}")
            fields = draw(st.lists(FIELDS, max_size=3, unique=True))
            parts += ["\n".join(fields)] if fields else []
            parts += draw(st.lists(PROSE, max_size=1)) + draw(st.lists(BLOCKS, max_size=2))
    return "\n\n".join(parts) + "\n\n"


PLANS: Final = st.sampled_from(KEPT) | generated()

IN_FIELDS: Final = {
    "an unknown field": ("TEK302", "- ¦Alow: `fs.read:x`"),
    "an item that is no field": ("TEK301", "- ¦just a point"),
    "a field without a value": ("TEK306", "- ¦Agent:"),
    "a field after five blanks": ("TEK314", "-      ¦Agent: noop"),
    "a field with an invisible character": ("TEK105", "- Agent: no¦\u200bop"),
    "a name that is no agent's": ("TEK307", "- Agent: ¦a b"),
    "a bad duration": ("TEK307", "- Timeout:  ¦soon"),
    "a duration that is too large": ("TEK307", "- **Timeout:** ¦99999999999999999999"),
    "a count that is none": ("TEK307", "- Retries: ¦many"),
    "a layer that is none": ("TEK307", "- Layer: ¦cellar"),
    "a directory above the workspace": ("TEK307", "- Cwd: ¦../x"),
    "a directory outside the workspace": ("TEK315", "- Cwd: ¦/root"),
    "a bad amount in a budget": ("TEK307", "- Budget: `io=1` `¦ms=lots`"),
    "an unknown amount in a budget": ("TEK307", "- Budget: `ms=1s`, `¦days=1`"),
    "a bad pattern": ("TEK309", "- Allow: `fs.read:ok` ¦`fs.read:../x`"),
    "a bad action": ("TEK309", "- Allow: `fs.read:ok`, ¦`fs.raed:x`"),
    "a rule that is no code": ("TEK307", "- Allow: ¦fs.read:ok"),
    "a bad variable": ("TEK310", "- Env: `A=1` ¦`1B=x`"),
    "a secret without a name": ("TEK310", "- Env: `A=1` ¦`B=secret:`"),
    "an unknown dependency": ("TEK401", "- Needs: `¦TASK-999999`"),
    "a dependency that is no name": ("TEK308", "- Needs: ¦first"),
    "a field of the document alone": ("TEK303", "- ¦Tek: 1"),
}
IN_TASKS: Final = {
    "a glob that leads out": ("TEK307", "- Inputs: `a/**` ¦`../b`"),
    "a task that needs itself": ("TEK402", "- Needs: `¦{task}`"),
    "a field twice": ("TEK305", "- Agent: noop\n- ¦Agent: noop"),
    "a field of two lines": ("TEK313", "- Agent: noop\n¦  and more"),
}
AT_ENDS: Final = {
    "a language that is nearly run": ("TEK506", "¦```zsh\nx\n```"),
    "a quote that is open": ("TEK508", "```argv\nls\n¦ls 'a\n```"),
    "a quoted block": ("TEK210", "> ¦```sh\n> true\n> ```"),
    "an indented task": ("TEK210", "  ¦### `TASK-800` Late"),
    "an underlined heading": ("TEK208", "¦Notes\n==="),
    "a field outside its list": ("TEK312", "Words.\n\n- ¦Timeout: 5m"),
    "an invisible character in a block": ("TEK105", "```sh\ntrue\necho ¦\u202ex\n```"),
    "an invisible character beside a language": ("TEK105", "```sh ¦\u202efoo\ntrue\n```"),
    "a fence in a fence": ("TEK504", "````sh\ntrue\n¦````text\n````"),
    "a closing fence that is indented": ("TEK502", "```sh\ntrue\n¦  ```"),
    "a block below raw HTML": ("TEK601", "Words <span>\n\n¦```sh\ntrue\n```"),
    "a lone carriage return": ("TEK104", "a¦\rb"),
    "a task's id that is too short": ("TEK204", "### ¦`TASK-7` Late"),
    "a task's id that is no code": ("TEK201", "### ¦TASK-800 Late"),
    "a task's heading without a blank": ("TEK207", "¦###`TASK-800` Late"),
    "a task's id twice": ("TEK205", "## ¦`{task}` Again"),
    "a queue's letter twice": ("TEK203", "## ¦Queue A — Again"),
    "a queue with a hyphen": ("TEK202", "# ¦Queue Z - Late"),
}
AT_THE_END: Final = {"a fence that is never closed": ("TEK501", "## `TASK-800` Late\n\n¦```sh\ntrue")}


def places(kind: dict[str, tuple[str, str]], broken: str, lines: list[str]) -> list[tuple[int, str]]:
    """Where a broken text may be put, with the task whose place it is."""
    found = list(sections(lines))
    tasks = [section for section in found if section.task]
    if kind is AT_THE_END:
        return [(len(lines), "")]
    if kind is AT_ENDS:
        return [(section.end, section.task) for section in tasks]
    key = re.search(r"(\w+):", broken)
    free = tasks if kind is IN_TASKS else found
    return [
        (s.start + 1, s.task)
        for s in free
        if key is None or key[1] in ("Needs", "Allow", "Env") or key[1] not in s.keys
    ]


BREAKAGES: Final = [(kind, name) for kind in (IN_FIELDS, IN_TASKS, AT_ENDS, AT_THE_END) for name in kind]


@settings(max_examples=examples(60), deadline=None)
@given(PLANS)
def test_the_plans_are_valid(text: str) -> None:
    result = plan_text(text)

    assert result.plan is not None, result.diagnostics[0].render()


@pytest.mark.parametrize(("kind", "name"), BREAKAGES, ids=[name for _, name in BREAKAGES])
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_the_caret_stands_on(kind: dict[str, tuple[str, str]], name: str, data: st.DataObject) -> None:
    code, broken = kind[name]
    lines = data.draw(PLANS).split("\n")
    where = places(kind, broken, lines)
    if not where:
        return
    at, task = data.draw(st.sampled_from(where))
    put = broken.replace("{task}", task).split("\n")
    row = next(index for index, line in enumerate(put) if MARK in line)
    column = put[row].index(MARK) + 1
    put[row] = put[row].replace(MARK, "")
    if kind in (AT_ENDS, AT_THE_END):
        put, row = ["", "Words.", "", *put, ""], row + 3

    problems = plan_text("\n".join([*lines[:at], *put, *lines[at:]])).diagnostics

    assert [(p.code, p.line, p.column) for p in problems] == [(code, at + row + 1, column)], problems[0].render()
    (problem,) = problems
    assert problem.help
    if put[row].isprintable():
        _, shown, caret, *_ = problem.render().split("\n")
        assert shown.endswith(f"| {put[row]}")
        assert caret.index("^") == len(shown) - len(put[row]) + column - 1
