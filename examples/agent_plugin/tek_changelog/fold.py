"""Folding notes into a log. Pure text."""

from __future__ import annotations

from collections.abc import Mapping


def fold(log: str, day: str, notes: Mapping[str, str]) -> str:
    """Return the log with the notes under the heading of a day, the newest day first.

    Each note stands behind a comment with its name, so that one which is in the log already is not taken again.
    """
    new = "".join(f"{_mark(name)}\n{text.strip()}\n" for name, text in notes.items() if _mark(name) not in log)
    if not new:
        return log
    heading = f"## {day}\n\n"
    if log.startswith(heading):
        return heading + new + log.removeprefix(heading)
    return f"{heading}{new}\n{log}" if log else heading + new


def _mark(name: str) -> str:
    return f"<!-- {name} -->"
