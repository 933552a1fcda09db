"""From text to plan: total, linear, and either a plan or diagnostics (DESIGN section 7, invariant 8)."""

from __future__ import annotations

import attrs

from tek_abi import Diagnostic, ExecutionPlan
from tek_planner.document import Builder
from tek_planner.keys import split_field
from tek_planner.legacy import find_section, legacy_lines, legacy_plan, section_lines
from tek_planner.problems import Problems
from tek_planner.scan import Heading, Item, Scanner

MAX_BYTES = 64 * 2**20
"""Bytes of the largest source of truth."""


@attrs.frozen
class Planned:
    """What came of a text: a plan, or why there is none. ``legacy`` tells which rules read it."""

    plan: ExecutionPlan | None
    diagnostics: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    legacy: bool = False


def plan_bytes(data: bytes, path: str = "sot.md", *, source: str | None = None, generated_at: str = "") -> Planned:
    """Plan a file's bytes, which are UTF-8 with or without a byte order mark."""
    if len(data) > MAX_BYTES:
        problem = Diagnostic(
            path, 1, 1, f"{len(data)} bytes are more than a source of truth may have", "split it", code="TEK102"
        )
        return Planned(None, (problem,))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        before = data[:start]
        line = before.count(b"\n") + 1
        begun = before.rpartition(b"\n")[2]
        shown = (begun + data[start:].partition(b"\n")[0][:200]).decode("utf-8", "replace")
        column = len(begun.decode("utf-8", "replace")) + 1
        problem = Diagnostic(path, line, column, "this byte is not UTF-8", "save the file as UTF-8", shown, "TEK101")
        return Planned(None, (problem,))
    return plan_text(text, path, source=source, generated_at=generated_at)


def plan_text(text: str, path: str = "sot.md", *, source: str | None = None, generated_at: str = "") -> Planned:
    """Plan a text. Any text gives a plan or diagnostics, in time linear in its length."""
    surrogate = _lone_surrogate(text)
    if surrogate is not None:
        above = text.count("\n", 0, surrogate)
        column = surrogate - text.rfind("\n", 0, surrogate)
        problem = Diagnostic(
            path, above + 1, column, "a lone surrogate is no character", "save the file as UTF-8", code="TEK103"
        )
        return Planned(None, (problem,))
    old_lines = legacy_lines(text)
    start = find_section(old_lines)
    source = path if source is None else source
    if start is not None and not _says_tek(text):
        plan = legacy_plan(old_lines, start)
        return Planned(attrs.evolve(plan, source=source, generated_at=generated_at), legacy=True)
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    problems = Problems(path, lines)
    for number, line in enumerate(lines, 1):
        if "\r" in line:
            problems.add(
                "TEK104", number, line.index("\r") + 1, "a carriage return stands alone", "end lines with LF or CR LF"
            )
    section: dict[int, str] = {}
    if start is not None and (begin := find_section(lines)) is not None:
        section = dict(section_lines(lines, begin))
    scanner = Scanner(lines, problems)
    blocks = scanner.scan()
    plan = Builder(problems, section, scanner.raw_html).build(blocks)
    if problems.found:
        return Planned(None, problems.all(), tuple(problems.warnings))
    plan = attrs.evolve(plan, source=source, generated_at=generated_at)
    return Planned(plan, (), tuple(problems.warnings))


def _lone_surrogate(text: str) -> int | None:
    """Return where the first character stands that is none, ``None`` where there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _says_tek(text: str) -> bool:
    """Whether the list right under the first heading says ``Tek: 1``, so that the new rules read the file."""
    head = [line.removesuffix("\r") for line in text[: 1 << 16].split("\n")]
    blocks = Scanner(head, Problems("", head)).scan()
    first = next((index for index, block in enumerate(blocks) if isinstance(block, Heading)), None)
    if first is None:
        return False
    for block in blocks[first + 1 :]:
        if not isinstance(block, Item):
            return False
        field = split_field(block.text)
        if field is not None and field[0].lower() == "tek" and field[1].strip() == "1":
            return True
    return False
