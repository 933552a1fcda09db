"""Raw HTML that is still open: what stands inside it may be hidden where the document is shown."""

from __future__ import annotations

import re
from typing import Final

import attrs

_COMMENT: Final = "<!--"
_CODE: Final = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)(?=[\s/>]|$)")
_WRAPPERS: Final = frozenset(
    (
        "article", "aside", "audio", "canvas", "details", "dialog", "div", "figure", "footer", "header", "iframe",
        "main", "math", "nav", "noscript", "object", "script", "section", "select", "span", "style", "svg", "table",
        "template", "textarea", "title", "video",
    )
)  # fmt: skip
MAX_CODE_LINE: Final = 10_000
"""Characters of the longest line in which code spans are looked for; a longer one is taken as it is."""


@attrs.define
class OpenHtml:
    """The elements and the comment that lines outside fences have opened and not closed."""

    _open: list[tuple[str, int]] = attrs.field(factory=list)

    def feed(self, number: int, line: str) -> None:
        """Read one more line."""
        if "<" not in line and "-->" not in line:
            return
        if len(line) <= MAX_CODE_LINE:
            line = _CODE.sub("", line)
        at = 0
        while at < len(line):
            if self._open and self._open[-1][0] == _COMMENT:
                end = line.find("-->", at)
                if end < 0:
                    return
                self._open.pop()
                at = end + 3
                continue
            start = line.find(_COMMENT, at)
            self._tags(number, line[at : start if start >= 0 else len(line)])
            if start < 0:
                return
            self._open.append((_COMMENT, number))
            at = start + len(_COMMENT)

    def _tags(self, number: int, text: str) -> None:
        for match in _TAG.finditer(text):
            name = match[2].lower()
            if name not in _WRAPPERS:
                continue
            if not match[1]:
                self._open.append((name, number))
            elif any(opened == name for opened, _ in self._open):
                while self._open.pop()[0] != name:
                    pass

    @property
    def innermost(self) -> tuple[str, int] | None:
        """What was opened last and is still open, and its line."""
        return self._open[-1] if self._open else None
