"""The scanner: which lines are headings, fences and lists at the top level of the document, as CommonMark has it.

It runs once over the lines and decides on the safe side: whatever looks like task syntax and would not be rendered as
such (nested, indented, inside HTML) is an error, never silently run and never silently passed over.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import attrs

from tek_planner.problems import Problems
from tek_planner.raw_html import RawHtml


@attrs.frozen
class Heading:
    """An ATX heading at column 1. ``text`` has no closing ``#``; ``column`` is where it starts."""

    line: int
    level: int
    text: str
    column: int


@attrs.frozen
class Fence:
    """A closed fenced block at column 1. ``body`` has LF line ends, ``mark`` is what opened it."""

    line: int
    info: str
    body: str
    mark: str = "```"


@attrs.frozen
class Item:
    """One item of a list at column 1, on one line. ``column`` is where its text starts.

    ``as_code`` tells that so many blanks follow its mark that the text is shown as code.
    """

    line: int
    text: str
    column: int
    ordered: bool = False
    as_code: bool = False


@attrs.frozen
class Break:
    """Any other content: it ends a field list. ``unsure`` says what is wrong with it under a task, with a hint."""

    line: int
    unsure: tuple[str, str] = ("", "")


Block: TypeAlias = Heading | Fence | Item | Break

_HEADING: Final = re.compile(r"(#{1,6})(?:[ \t]+(.*))?$")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})[ \t]*(.*)$")
_ITEM: Final = re.compile(r"([-*+]|\d{1,9}[.)])([ \t]+)(\S.*)$")
_MARKERS: Final = re.compile(r"(?:[ \t]{0,64}(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))){0,64}[ \t]*")
_TASK_LOOK: Final = re.compile(r"#{1,6}[ \t]*(?:`TASK-|Queue[ \t])")
_INDENTED_FENCE: Final = re.compile(r" {1,3}(?:`{3,}[^`]*|~{3,}.*)$")
_INDENTED_HEADING: Final = re.compile(r" {1,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE: Final = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_TASK_TEXT: Final = re.compile(r"[ \t]{0,3}(?:`TASK-[0-9]|Queue[ \t]+[A-Z]+[ \t]+—)")
_RUNNABLE: Final = ("sh", "bash", "argv")
_BLOCK_TAGS: Final = (
    "address", "article", "aside", "base", "basefont", "blockquote", "body", "caption", "center", "col", "colgroup",
    "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frame",
    "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "iframe", "legend", "li", "link",
    "main", "menu", "menuitem", "nav", "noframes", "ol", "optgroup", "option", "p", "param", "search", "section",
    "source", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "track", "ul",
)  # fmt: skip
_HTML: Final = (
    (
        re.compile(r" {0,3}<(?:script|pre|style|textarea)(?:[ \t>]|$)", re.I),
        re.compile(r"</(?:script|pre|style|textarea)>", re.I),
    ),
    (re.compile(r" {0,3}<!--"), re.compile(r"-->")),
    (re.compile(r" {0,3}<\?"), re.compile(r"\?>")),
    (re.compile(r" {0,3}<![A-Za-z]"), re.compile(r">")),
    (re.compile(r" {0,3}<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(rf" {{0,3}}</?(?:{'|'.join(_BLOCK_TAGS)})(?:[ \t]|/?>|$)", re.I), None),
)
_LONE_TAG: Final = re.compile(
    r""" {0,3}(?:<[A-Za-z][A-Za-z0-9-]*+(?:[ \t](?:[^<>"']|"[^"]*+"|'[^']*+')*+)?>|"""
    r"""<[A-Za-z][A-Za-z0-9-]*+(?:[ \t][^<>]*+)?>|<[A-Za-z][A-Za-z0-9-]*+/>|</[A-Za-z][A-Za-z0-9-]*+[ \t]*+>)[ \t]*+$"""
)


def is_task_like(line: str) -> bool:
    """Whether a line shows task syntax behind indentation, quote and list marks."""
    rest = line[marks_of(line) :]
    if _TASK_LOOK.match(rest):
        return True
    fence = _FENCE.match(rest)
    return fence is not None and _language(fence[2]) in _RUNNABLE


def marks_of(line: str) -> int:
    """Return how many characters of indentation, quote and list marks a line starts with."""
    match = _MARKERS.match(line)
    return match.end() if match else 0


def _language(info: str) -> str:
    words = info.split(None, 1)
    return words[0].lower() if words else ""


class Scanner:
    """Scans the lines of one document into blocks."""

    def __init__(self, lines: list[str], problems: Problems) -> None:
        self._lines = lines
        self._problems = problems
        self._at = 0
        self._blocks: list[Block] = []
        self._html_seen = RawHtml()
        self._last_text = -1
        self._ended_block = -1
        self._part_ends = self._part_counts = 0
        self._opens_with_task = False

    def scan(self) -> list[Block]:
        """Return the document's top-level blocks, in order."""
        while self._at < len(self._lines):
            self._line(self._lines[self._at])
        return self._blocks

    @property
    def raw_html(self) -> int:
        """The first line with raw HTML that may hide what stands below it, 0 for none."""
        return self._html_seen.line

    def _line(self, line: str) -> None:
        number = self._at + 1
        if not line.strip(" \t"):
            self._at += 1
            return
        fence = _FENCE.match(line)
        if fence is not None and not (fence[1][0] == "`" and "`" in fence[2]):
            self._fence(number, fence)
            return
        heading = _HEADING.match(line)
        if heading is not None:
            self._heading(number, heading)
        elif (start := _html_start(line)) is not None:
            self._html(number, start[1])
            return
        elif _LONE_TAG.match(line):
            self._lone_tag(number, line)
            return
        elif (item := _ITEM.match(line)) is not None and not _is_rule(line):
            self._item(number, item, line)
        else:
            self._other(number, line)
        self._at += 1

    def _heading(self, number: int, match: re.Match[str]) -> None:
        raw = (match[2] or "").strip(" \t")
        text = _without_closing(raw)
        column = (match.start(2) if match[2] is not None else match.end(1)) + 1
        self._blocks.append(Heading(number, len(match[1]), text, column))
        self._html_seen.feed(number, match[0])
        self._ended_block = number

    def _fence(self, number: int, opening: re.Match[str]) -> None:
        mark, length = opening[1][0], len(opening[1])
        closing = re.compile(rf" {{0,3}}{re.escape(mark)}{{{length},}}[ \t]*$")
        end = self._at + 1
        while end < len(self._lines) and not closing.match(self._lines[end]):
            end += 1
        if end == len(self._lines):
            self._problems.add(
                "TEK501", number, 1, "this fence is never closed", f"close it with {opening[1]} at column 1"
            )
        elif self._lines[end].startswith(" "):
            self._problems.add(
                "TEK502", end + 1, 1, "this fence is closed by an indented line", "start the closing fence at column 1"
            )
        body = "".join(line + "\n" for line in self._lines[self._at + 1 : end])
        self._blocks.append(Fence(number, opening[2].strip(" \t"), body, opening[1]))
        self._at = self._ended_block = end + 1

    def _html(self, number: int, end: re.Pattern[str] | None) -> None:
        """Pass over raw HTML; task syntax in it is an error, for it is not rendered as such."""
        self._blocks.append(Break(number))
        first = True
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if end is None and not line.strip(" \t"):
                return
            if not first and (is_task_like(line) or _TASK_LOOK.match(line)):
                self._problems.add(
                    "TEK601",
                    self._at + 1,
                    1,
                    "task syntax inside raw HTML is not rendered, so it is not run",
                    "end the HTML above, or move the task out of it",
                )
            self._html_seen.feed(self._at + 1, line)
            self._at += 1
            if end is not None and end.search(line):
                return
            first = False

    def _lone_tag(self, number: int, line: str) -> None:
        """Read a line that is one tag: raw HTML to the next blank line, but text where it goes on a paragraph.

        Which of both it is depends on what a renderer makes of the line above, so nothing that counts may stand in it.
        """
        if number == 1 or not self._lines[number - 2].strip(" \t") or self._ended_block == number - 1:
            self._html(number, None)
            return
        if number < self._last_counting(number):
            self._problems.add("TEK602", number, 1, "raw HTML may swallow the lines below", "put a blank line below it")
        self._other(number, line)
        self._at += 1

    def _last_counting(self, number: int) -> int:
        """Return the last line before the next blank one that is a heading or fence, 0 for none. Looks once a part."""
        if number > self._part_ends:
            self._part_counts, end = 0, number
            while end < len(self._lines) and self._lines[end].strip(" \t"):
                end += 1
                if _HEADING.match(self._lines[end - 1]) or _FENCE.match(self._lines[end - 1]):
                    self._part_counts = end
            self._part_ends = end
        return self._part_counts

    def _item(self, number: int, match: re.Match[str], line: str) -> None:
        if is_task_like(line):
            self._problems.add(
                "TEK210",
                number,
                match.start(3) + 1,
                "task syntax inside a list item is not a task",
                "start it at column 1, outside the list",
            )
        self._html_seen.feed(number, line)
        blanks = len((match[1] + match[2]).expandtabs(4)) - len(match[1])
        text, column = match[3].rstrip(" \t"), match.start(3) + 1
        self._blocks.append(Item(number, text, column, match[1][0].isdigit(), blanks > 4))

    def _other(self, number: int, line: str) -> None:
        marks = marks_of(line)
        nested = marks > 0 and is_task_like(line)
        if nested:
            self._problems.add(
                "TEK210", number, marks + 1, "nested or indented task syntax is not run", "start it at column 1"
            )
        elif _INDENTED_FENCE.match(line):
            self._problems.add(
                "TEK503", number, 1, "an indented fence is shown otherwise than it may be read", "start it at column 1"
            )
        goes_on = self._last_text == number - 1
        self._opens_with_task = (goes_on and self._opens_with_task) or _TASK_TEXT.match(line) is not None
        self._last_text = number
        below = self._lines[number] if number < len(self._lines) else ""
        unsure = ("", "")
        if _INDENTED_HEADING.match(line) and not nested:
            unsure = ("an indented heading under a task may or may not end it", "start it at column 1")
        elif _UNDERLINE.match(below) and not _is_rule(line):
            unsure = ("an underlined heading under a task may or may not end it", "write it as ## at column 1")
            if self._opens_with_task:
                self._problems.add(
                    "TEK208", number, 1, "an underlined heading does not declare a task", "write it as ###"
                )
        self._html_seen.feed(number, line)
        self._blocks.append(Break(number, unsure))


def _html_start(line: str) -> tuple[re.Pattern[str], re.Pattern[str] | None] | None:
    """Return the kind of HTML block that a line opens: what starts it, and what ends it (``None`` for a blank line)."""
    return next((kind for kind in _HTML if kind[0].match(line)), None)


def _without_closing(text: str) -> str:
    bare = text.rstrip("#")
    if bare == text:
        return text
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else text


def _is_rule(line: str) -> bool:
    bare = line.replace(" ", "").replace("\t", "")
    return len(bare) >= 3 and bare[0] in "-*_" and bare == bare[0] * len(bare)
