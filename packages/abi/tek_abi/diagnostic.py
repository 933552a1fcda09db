"""Diagnostic: what is wrong with an input, where it stands, and what to do about it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import attrs

from tek_abi.errors import TekError


@attrs.frozen(order=True)
class Diagnostic:
    """One problem at ``path:line:column`` (both from 1). ``text`` is the line itself, ``help`` what to do.

    ``code`` names the kind of problem for good (``TEK302``); ``tek-runner explain`` says more about it.
    """

    path: str
    line: int
    column: int
    message: str
    help: str = ""
    text: str = attrs.field(default="", order=False)
    code: str = attrs.field(default="", order=False)

    def render(self) -> str:
        """Return the problem as it is shown: place and message, the line with a caret, the help.

        Nothing of the input reaches the terminal as a control character.
        """
        code = f"{self.code} " if self.code else ""
        lines = [f"{_printable(self.path)}:{self.line}:{self.column}: {code}{_printable(self.message)}"]
        if self.text:
            shown, caret = _excerpt(self.text, self.column)
            gutter = f"{self.line:>5} | "
            lines += [gutter + shown, " " * (len(gutter) - 2) + "| " + " " * caret + "^"]
        if self.help:
            lines.append(f"  help: {_printable(self.help)}")
        return "\n".join(lines)


_WIDTH = 160


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """Return a printable window of at most ``_WIDTH`` characters around ``column``, and the caret's place under it.

    A column past the line's end is the place after its last character.
    """
    at = min(max(column - 1, 0), len(text))
    start = max(0, at - _WIDTH // 2) if len(text) > _WIDTH else 0
    before = _printable(text[start:at])
    return before + _printable(text[at : start + _WIDTH]), sum(map(_cells, before))


def _printable(text: str) -> str:
    """Return text with tabs as blanks, and line ends, control and invisible characters as U+FFFD."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cells(char: str) -> int:
    """Return how many cells of a terminal a character takes."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@attrs.define(str=False)
class InvalidInput(TekError, ValueError):
    """An input was refused. ``diagnostics`` are all problems found, in the order of the source."""

    diagnostics: tuple[Diagnostic, ...]

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> InvalidInput:
        """Collect problems in the order of the source."""
        return cls(tuple(sorted(diagnostics)))

    def __str__(self) -> str:
        return "\n".join(d.render() for d in self.diagnostics)
