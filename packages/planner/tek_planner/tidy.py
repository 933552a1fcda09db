"""Tidying a source of truth: one shape for what the grammar reads, and not a word of prose or of a block changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tek_abi import CODEC, ExecutionPlan
from tek_planner.keys import KEYS, split_field
from tek_planner.legacy import find_section, legacy_lines
from tek_planner.planner import plan_text
from tek_planner.problems import Problems
from tek_planner.scan import Block, Fence, Heading, Item, Scanner

_SPAN: Final = re.compile(r"`([^`]+)`")
_QUEUE_WORD: Final = re.compile(r"\bQueue[ \t]+(?=[A-Z]{1,8}\b)")
_SPANS: Final = ("allow", "env", "inputs", "outputs")


def tidy(text: str) -> str:
    """Return the text of a plan in its one shape: LF, a blank line around headings, lists of fields and fences, none at
    the ends, ``- Key: value`` with the key's own name and values in code spans.

    The plan stays the same but for its line numbers, and tidying again changes nothing. The text is to be a valid plan.
    A file with the older kit's section keeps its lines, less blanks at their ends.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if find_section(legacy_lines(text)) is not None:
        bare = "\n".join(line.rstrip(" \t") for line in lines).rstrip("\n") + "\n"
        return bare if is_same_plan(plan_text(text).plan, plan_text(bare).plan) else text
    chunks = [chunk for chunk in _chunks(lines) if chunk]
    return "\n\n".join("\n".join(chunk) for chunk in chunks) + "\n" if chunks else ""


def is_same_plan(one: ExecutionPlan | None, other: ExecutionPlan | None) -> bool:
    """Whether two plans ask for the same, wherever in their files it stands."""
    return one is not None and other is not None and _unplaced(CODEC.encode(one)) == _unplaced(CODEC.encode(other))


def _unplaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unplaced(part) for key, part in value.items() if key not in ("line", "source", "generated_at")}
    return [_unplaced(part) for part in value] if isinstance(value, list) else value


def _chunks(lines: list[str]) -> Iterator[list[str]]:
    """Yield what is to be kept apart by a blank line: headings, fences, lists of fields, and what stands between."""
    blocks = Scanner(lines, Problems("", lines)).scan()
    fields = set(_fields(blocks))
    by_line: dict[int, Block] = {block.line: block for block in blocks}
    prose: list[str] = []
    listed: list[str] = []
    number = 1
    while number <= len(lines):
        line, block = lines[number - 1], by_line.get(number)
        number += 1
        if isinstance(block, Item) and block.line in fields:
            yield _without_blank_ends(prose)
            prose = []
            listed.append(_field(block))
            continue
        if listed and not line.strip(" \t"):
            continue
        yield listed
        listed = []
        if isinstance(block, Heading | Fence):
            yield _without_blank_ends(prose)
            prose = []
            end = number + block.body.count("\n") + 1 if isinstance(block, Fence) else number
            yield lines[number - 2 : end - 1] if isinstance(block, Fence) else [_heading(block, line)]
            number = end
        else:
            prose.append(_prose(line))
    yield listed
    yield _without_blank_ends(prose)


def _fields(blocks: list[Block]) -> Iterator[int]:
    """Yield the lines of a valid plan's fields: of the items right under a queue, a task, or the first heading."""
    reads = is_document = False
    is_first = True
    for index, block in enumerate(blocks):
        if isinstance(block, Heading):
            reads = block.text.startswith(("`TASK-", "Queue "))
            is_document, is_first = is_first and not reads, False
        elif not isinstance(block, Item) or block.ordered:
            reads = is_document = False
        elif reads or (is_document and _has_fields(blocks, index)):
            reads = True
            yield block.line
        else:
            is_document = False


def _has_fields(blocks: list[Block], index: int) -> bool:
    for block in blocks[index:]:
        if not isinstance(block, Item):
            return False
        if split_field(block.text) is not None:
            return True
    return False


def _field(item: Item) -> str:
    parts = split_field(item.text)
    name = KEYS.get(parts[0].lower()) if parts is not None else None
    if parts is None or name is None:
        return f"- {item.text}"
    value = parts[1].strip(" \t")
    match name:
        case "needs":
            named = re.findall(r"[^\s,`]+", _QUEUE_WORD.sub(" ", value))
            value = ", ".join(_need(word) for word in named if word.lower() != "and")
        case "budget":
            value = " ".join(f"`{part}`" for part in re.findall(r"[^ \t,]+", value.replace("`", " ")))
        case _ if name in _SPANS:
            value = " ".join(f"`{text}`" for text in _SPAN.findall(value))
        case _:
            bare = value[1:-1] if len(value) > len("``") and value[0] == value[-1] == "`" else value
            value = bare if bare == bare.strip(" \t") and bare else value
    return f"- {name.capitalize()}: {value}"


def _need(word: str) -> str:
    return f"`{word}`" if word.startswith("TASK-") else f"Queue {word}"


def _heading(heading: Heading, line: str) -> str:
    """Return a heading with one blank and no closing marks, where that would not be read otherwise."""
    marks = "#" * heading.level
    if heading.text.endswith("#"):
        return line.rstrip(" \t")
    return f"{marks} {heading.text}" if heading.text else marks


def _prose(line: str) -> str:
    """Return a line of text without a blank at its end; two make a line break, and in code each is shown."""
    if not line.strip(" \t"):
        return ""
    return line if line.endswith("  ") or line.startswith(("    ", "\t")) else line.rstrip(" \t")


def _without_blank_ends(lines: list[str]) -> list[str]:
    begin, end = 0, len(lines)
    while begin < end and not lines[begin]:
        begin += 1
    while end > begin and not lines[end - 1]:
        end -= 1
    return lines[begin:end]
