"""Words for people: what may stand on a terminal, and writing that survives its reader."""

from __future__ import annotations

import sys
from typing import TextIO

import attrs


@attrs.define
class Out:
    """Where a run's progress is written. It falls silent when its reader has gone or has no room: a run does not
    depend on who watches it.
    """

    file: TextIO = attrs.field(factory=lambda: sys.stdout)
    silent: bool = False

    def line(self, text: str) -> None:
        """Write a line, or several, with their control characters shown."""
        self.raw(printable(text) + "\n")

    def raw(self, text: str) -> None:
        """Write text as it is."""
        if self.silent:
            return
        try:
            self.file.write(text)
            self.file.flush()
        except (OSError, ValueError):
            self.silent = True


def printable(text: str) -> str:
    """Return text with its control characters shown, so that no task's name or output can steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{_byte(c):02x}" for c in text)


def _byte(character: str) -> int:
    """Return a character's number; of one that stands for a byte of a name that is not UTF-8, that byte (PEP 383)."""
    number = ord(character)
    return number - 0xDC00 if 0xDC80 <= number <= 0xDCFF else number


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is one: ``1 task``, ``2 tasks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
