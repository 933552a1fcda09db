"""Collecting diagnostics, with a bound on how many are shown."""

from __future__ import annotations

import attrs

from tek_abi import Diagnostic

MAX_PROBLEMS = 100


@attrs.define
class Problems:
    """The problems of one file. Past ``MAX_PROBLEMS`` they are counted only."""

    path: str
    lines: list[str]
    found: list[Diagnostic] = attrs.field(factory=list)
    warnings: list[Diagnostic] = attrs.field(factory=list)
    _more: int = 0

    def add(self, code: str, line: int, column: int, message: str, help_: str = "") -> None:
        """Note a problem at a line and column, both from 1. ``code`` is one of ``codes``."""
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(self._diagnostic(code, line, column, message, help_))
        else:
            self._more += 1

    def warn(self, code: str, line: int, column: int, message: str, help_: str = "") -> None:
        """Note what is allowed, but likely not meant."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(self._diagnostic(code, line, column, message, help_))

    def _diagnostic(self, code: str, line: int, column: int, message: str, help_: str) -> Diagnostic:
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Diagnostic(self.path, line, column, message, help_, text, code)

    def all(self) -> tuple[Diagnostic, ...]:
        """Return the problems in the order of the source, and last how many more there are."""
        found = sorted(self.found)
        if self._more:
            last = found[-1]
            found.append(
                attrs.evolve(last, message=f"and {self._more} more problems", help="mend these first", text="", code="")
            )
        return tuple(found)
