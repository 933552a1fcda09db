"""Raw HTML that is still open: what stands inside it may be hidden where the document is shown."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import attrs

_COMMENT: Final = "<!--"
_TICKS: Final = re.compile(r"`+")
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)(?=[\s/>]|$)")
_WRAPPERS: Final = frozenset(
    (
        "article", "aside", "audio", "blockquote", "canvas", "details", "dialog", "div", "dl", "fieldset", "figure",
        "footer", "form", "frameset", "header", "hgroup", "iframe", "main", "map", "math", "menu", "nav", "noembed",
        "noframes", "noscript", "object", "ol", "picture", "plaintext", "script", "search", "section", "select", "slot",
        "span", "style", "svg", "table", "template", "textarea", "title", "ul", "video", "xmp",
    )
)  # fmt: skip


def _without_code(line: str) -> str:
    """Return a line without its code spans: what stands between two runs of equally many backticks."""
    runs = [(match.start(), match.end()) for match in _TICKS.finditer(line)]
    following: list[int | None] = [None] * len(runs)
    later: dict[int, int] = {}
    for index in range(len(runs) - 1, -1, -1):
        length = runs[index][1] - runs[index][0]
        following[index] = later.get(length)
        later[length] = index
    kept, at, index = [], 0, 0
    while index < len(runs):
        close = following[index]
        if close is None:
            index += 1
            continue
        kept.append(line[at : runs[index][0]])
        at, index = runs[close][1], close + 1
    return "".join([*kept, line[at:]])


@attrs.define
class OpenHtml:
    """The elements and the comment that lines outside fences have opened and not closed."""

    _open: list[tuple[str, int]] = attrs.field(factory=list)
    _count: Counter[str] = attrs.field(factory=Counter)

    def feed(self, number: int, line: str) -> None:
        """Read one more line."""
        if "<" not in line and "-->" not in line:
            return
        line = _without_code(line)
        at = 0
        while at < len(line):
            if self._open and self._open[-1][0] == _COMMENT:
                end = line.find("-->", at)
                if end < 0:
                    return
                self._open.pop()
                self._count[_COMMENT] -= 1
                at = end + 3
                continue
            start = line.find(_COMMENT, at)
            self._tags(number, line[at : start if start >= 0 else len(line)])
            if start < 0:
                return
            self._open.append((_COMMENT, number))
            self._count[_COMMENT] += 1
            at = start + len(_COMMENT)

    def _tags(self, number: int, text: str) -> None:
        for match in _TAG.finditer(text):
            name = match[2].lower()
            if name not in _WRAPPERS and "-" not in name:  # a name with a dash is an element of somebody's own
                continue
            if not match[1]:
                self._open.append((name, number))
                self._count[name] += 1
            elif self._count[name]:
                closed = ""
                while closed != name:
                    closed, _ = self._open.pop()
                    self._count[closed] -= 1

    @property
    def innermost(self) -> tuple[str, int] | None:
        """What was opened last and is still open, and its line."""
        return self._open[-1] if self._open else None
