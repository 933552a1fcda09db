"""What people see while a run goes on, and the account at its end. Plain lines, with a status line on a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

import attrs

from tek_abi import Task, TaskResult
from tek_abi.quantity import show_duration

_MARKS = {
    "ok": "ok", "noop": "noop", "failed": "FAILED", "denied": "DENIED", "skipped": "skipped",
    "cancelled": "cancelled", "in_doubt": "IN DOUBT",
}  # fmt: skip
_QUIET_ABOVE = 200


@attrs.define
class Console:
    """Shows tasks as they start and end. ``quiet`` shows nothing; above 200 tasks the good ones are only counted.

    It turns quiet when its reader has gone or has no room: a run does not depend on who watches it.
    """

    total: int
    out: TextIO = attrs.field(factory=lambda: sys.stdout)
    quiet: bool = False
    _running: dict[str, float] = attrs.field(factory=dict, init=False)
    _titles: dict[str, str] = attrs.field(factory=dict, init=False)
    _done: int = attrs.field(default=0, init=False)
    _shown: float = attrs.field(default=0.0, init=False)

    @property
    def _live(self) -> bool:
        return not self.quiet and self.out.isatty()

    def started(self, task: Task, agent: str) -> None:
        """Note that a task has started."""
        if self.quiet:
            return
        self._running[task.id] = time.monotonic()
        self._titles[task.id] = task.title if task.title != task.id else ""
        self._status()

    def ended(self, result: TaskResult) -> None:
        """Show how a task ended."""
        if self.quiet:
            return
        self._done += 1
        begun = self._running.pop(result.task, None)
        title = self._titles.pop(result.task, "")
        if self.total <= _QUIET_ABOVE or result.status not in ("ok", "noop"):
            took = "" if begun is None else f"  {show_duration(int((time.monotonic() - begun) * 1000))}"
            why = f"  ({result.message})" if result.status == "skipped" else ""
            self._line(f"{_MARKS[result.status]:<9} {result.task:<9} {title}{why}{took}".rstrip())
        elif not self._live and self._done % max(1, self.total // 10) == 0:
            self._line(f"{self._done} of {self.total} tasks done")
        self._status()

    def say(self, text: str = "") -> None:
        """Show a line of its own."""
        if not self.quiet:
            self._line(text)

    def _line(self, text: str) -> None:
        self._write(("\r\x1b[K" if self._live else "") + printable(text) + "\n")

    def _status(self) -> None:
        """Draw the status line, at most ten times a second."""
        now = time.monotonic()
        if not self._live or now - self._shown < 0.1:
            return
        self._shown = now
        running = ", ".join(self._running) or "waiting"
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K[{self._done}/{self.total}] {running}"[: width + 4])

    def close(self) -> None:
        """Remove the status line."""
        if self._live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        try:
            self.out.write(text)
            self.out.flush()
        except OSError:
            self.quiet = True


def printable(text: str) -> str:
    """Return text with its control characters shown, so that no task's name or output can steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{_byte(c):02x}" for c in text)


def _byte(character: str) -> int:
    """Return a character's number; of one that stands for a byte of a name that is not UTF-8, that byte (PEP 383)."""
    number = ord(character)
    return number - 0xDC00 if 0xDC80 <= number <= 0xDCFF else number


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is one: ``1 task``, ``2 tasks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
