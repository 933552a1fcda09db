"""Raw HTML that may hide what stands below it where the document is shown.

Whether it does is for the renderer and the browser to say, so only what hides nothing for sure is let through: comments
on one line, and plain inline tags that are closed on their line. All else that could start a tag counts.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

_ATTRIBUTES: Final = (
    r"(?:[ \t]++(?:align|alt|height|href|src|title|width)="
    r"""(?:"[^<>"`]*+"|'[^<>'`]*+'|[^\s<>"'`=]++))*+[ \t]*+"""
)
_VOID: Final = re.compile(rf"<(br|hr|img|wbr){_ATTRIBUTES}/?>", re.I)
_OPENING: Final = re.compile(rf"<(a|b|code|em|i|kbd|strong|sub|sup){_ATTRIBUTES}>", re.I)
_CLOSING: Final = re.compile(r"</(a|b|code|em|i|kbd|strong|sub|sup)[ \t]*+>", re.I)
_COMMENT: Final = re.compile(r"<!--(?!-?>)[^<>`]*+(?<=--)>")
_AUTOLINK: Final = re.compile(r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>`]*+|[\w.+-]++@[A-Za-z0-9.-]++)>", re.ASCII)
_TAG: Final = re.compile(r"<[A-Za-z/!?]")
_MARK: Final = re.compile(r"\\.?|`+|<(?=[A-Za-z/!?])", re.S)
_TICKS: Final = re.compile(r"`+")
_STARTS: Final = re.compile(r"[^<`A-Za-z]*+(?=<[A-Za-z/!?])")


@attrs.define
class RawHtml:
    """Finds the first raw HTML of a document that may hide something. ``line`` is where it stands, 0 for nowhere.

    Code spans and escapes are believed only where every renderer sees them: not below a tag that may open a block of
    HTML, nor below backticks without a partner on their line, up to the next blank line.
    """

    line: int = 0
    _last: int = 0
    _doubtful: bool = False

    def feed(self, number: int, line: str) -> None:
        """Read one more line that is not blank and not in a fence."""
        if self.line:
            return
        self._doubtful = self._doubtful and number == self._last + 1
        self._last = number
        if ("<" not in line and "`" not in line) or self._is_comment(line):
            return
        self._doubtful = self._doubtful or _may_open_block(line)
        harmless = not self._doubtful and self._harmless(line)
        if not harmless and not _only_void(line):
            self.line = number

    def _is_comment(self, line: str) -> bool:
        start = _STARTS.match(line)
        return start is not None and _COMMENT.fullmatch(line.rstrip(" \t"), start.end()) is not None

    def _harmless(self, line: str) -> bool:
        """Whether the text of a paragraph opens nothing that it leaves open. Notes where its backticks are in doubt."""
        opened: list[str] = []
        at = 0
        while (mark := _MARK.search(line, at)) is not None:
            at = mark.end()
            if mark[0][0] == "`":
                at = _after_code(line, mark)
                self._doubtful = at < 0
            elif mark[0] == "\\`":
                self._doubtful = True
            elif mark[0] == "<":
                if (tag := _OPENING.match(line, mark.start())) is not None:
                    opened.append(tag[1].lower())
                elif (tag := _CLOSING.match(line, mark.start())) is not None:
                    if not opened or opened.pop() != tag[1].lower():
                        return False
                else:
                    tag = next((m for p in (_VOID, _COMMENT, _AUTOLINK) if (m := p.match(line, mark.start()))), None)
                    if tag is None:
                        return False
                at = tag.end()
            if self._doubtful:
                return False
        return not opened


def _only_void(line: str) -> bool:
    """Whether all that could be a tag in a line, code spans and escapes not believed, stands for itself."""
    at = 0
    while (start := _TAG.search(line, at)) is not None:
        tag = _VOID.match(line, start.start()) or _COMMENT.match(line, start.start())
        if tag is None:
            return False
        at = tag.end()
    return True


def _may_open_block(line: str) -> bool:
    """Whether a line starts, list and quote marks apart, with what may open a block of HTML."""
    start = _STARTS.match(line)
    if start is None or _AUTOLINK.match(line, start.end()):
        return False
    tag = _OPENING.match(line, start.end()) or _VOID.match(line, start.end())
    return tag is None or tag[1].lower() == "hr" or not line[tag.end() :].strip(" \t")


def _after_code(line: str, opening: re.Match[str]) -> int:
    """Return where the code span that a run of backticks opens has ended, -1 where it does not end on this line."""
    closing = (run for run in _TICKS.finditer(line, opening.end()) if len(run[0]) == len(opening[0]))
    return next((run.end() for run in closing), -1)
