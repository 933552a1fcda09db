"""What people see while a run goes on: lines as tasks end, groups with their output, or a board on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import attrs
import click

from tek_abi import Entry, Instant, Task, TaskResult
from tek_abi.quantity import show_duration
from tek_runner.console import Out
from tek_runner.excerpt import Excerpt

Mode: TypeAlias = Literal["live", "group", "plain"]
MODES: Final[tuple[Mode, ...]] = ("live", "group", "plain")
MARKS: Final = {
    "ok": "ok", "noop": "noop", "failed": "FAILED", "denied": "DENIED", "skipped": "skipped",
    "cancelled": "cancelled", "in_doubt": "IN DOUBT",
}  # fmt: skip
QUIET_ABOVE: Final = 200
"""From how many tasks on those that end well are only counted."""

OUTPUT_LINES: Final = 1000
"""How many lines of a task's output are shown when it ends; its log has all of them."""


class Progress:
    """Shows tasks as they start and end; this one shows nothing. Used on the scheduler's thread alone."""

    def opened(self, running: str) -> None:
        """Show the run's first line."""

    def started(self, task: Task, agent: str) -> None:
        """Note that a task has started."""

    def entry(self, entry: Entry, at: Instant) -> None:
        """Follow the ledger: what is asked for, and what it used."""

    def ended(self, result: TaskResult, output: Callable[[], Excerpt]) -> None:
        """Show how a task ended. ``output`` reads the end of what its commands wrote."""

    def close(self) -> None:
        """Leave the place to what follows."""

    @property
    def follows(self) -> bool:
        """Whether it wants to hear of every entry."""
        return False


@attrs.define
class PlainProgress(Progress):
    """A line a task as it ends. Above ``QUIET_ABOVE`` tasks those that end well are only counted."""

    total: int
    out: Out
    begun: dict[str, tuple[float, str]] = attrs.field(factory=dict, init=False)
    done: int = attrs.field(default=0, init=False)

    def opened(self, running: str) -> None:
        """Write the run's first line."""
        self.out.line(running)

    def started(self, task: Task, agent: str) -> None:
        """Note when a task started."""
        self.begun[task.id] = time.monotonic(), task.title if task.title != task.id else ""

    def ended(self, result: TaskResult, output: Callable[[], Excerpt]) -> None:
        """Write how a task ended, or from time to time how many have."""
        self.done += 1
        line = self.line(result)
        if self.total <= QUIET_ABOVE or result.status not in ("ok", "noop"):
            self.show(result, line, output)
        elif self.done % max(1, self.total // 10) == 0:
            self.out.line(f"{self.done} of {self.total} tasks done")

    def show(self, result: TaskResult, line: str, output: Callable[[], Excerpt]) -> None:
        """Write the line of a task that has ended."""
        self.out.line(line)

    def line(self, result: TaskResult) -> str:
        """Return the line that tells how a task ended."""
        begun, title = self.begun.pop(result.task, (None, ""))
        took = "" if begun is None else f"  {show_duration(int((time.monotonic() - begun) * 1000))}"
        why = f"  ({result.message})" if result.status == "skipped" else ""
        return f"{MARKS[result.status]:<9} {result.task:<9} {title}{why}{took}".rstrip()


@attrs.define
class GroupProgress(PlainProgress):
    """A line a task as it ends, with the output of its commands below, so that no two tasks' output mixes."""

    def show(self, result: TaskResult, line: str, output: Callable[[], Excerpt]) -> None:
        """Write a task's line, then what its commands wrote."""
        self.out.line(line)
        for text in excerpt_lines(output()):
            self.out.line(f"  | {text}")


def excerpt_lines(found: Excerpt) -> list[str]:
    """Return an excerpt's lines; the first says that others stood before."""
    return (["..."] if found.before else []) + list(found.lines)


def choose_mode(asked: Mode | None, environment: Mapping[str, str]) -> Mode:
    """Return how to show progress: as asked, else a board where a terminal can, groups on GitHub, else plain lines."""
    if asked != "live" and asked is not None:
        return asked
    capable = sys.stdout.isatty() and environment.get("TERM", "dumb") not in ("", "dumb", "unknown")
    if asked == "live":
        if not capable:
            click.echo("tek-runner: --output=live needs a terminal that can move its cursor; plain is used", err=True)
        return "live" if capable else "plain"
    if environment.get("GITHUB_ACTIONS") == "true":
        return "group"
    return "live" if capable and not environment.get("CI") else "plain"


def make_progress(mode: Mode, total: int, bounds: Mapping[str, int]) -> Progress:
    """Return what shows the progress of ``total`` tasks. ``bounds`` are the run's ceilings by dimension."""
    if mode == "live":
        from tek_runner.board import Board

        return Board.on_terminal(total, bounds)
    if mode == "group" and os.environ.get("GITHUB_ACTIONS") == "true":
        from tek_runner.github import GithubProgress

        return GithubProgress(total, Out())
    return GroupProgress(total, Out()) if mode == "group" else PlainProgress(total, Out())
