"""Examples at the end of a command's help, shown as they are written."""

from __future__ import annotations

from inspect import cleandoc


def examples(text: str) -> str:
    """Return an epilog that click does not fold."""
    return "\b\nExamples:\n" + "\n".join("  " + line for line in cleandoc(text).splitlines())
