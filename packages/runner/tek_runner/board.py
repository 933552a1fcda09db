"""The board on a terminal: what runs now and what it does, how far the run has come, what is left of its ceilings."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tek_abi import Budget, EffectIntent, EffectOutcome, Entry, Instant, Task, TaskResult
from tek_abi.quantity import show_duration, show_size
from tek_runner.console import counted, printable
from tek_runner.excerpt import Excerpt
from tek_runner.progress import MARKS, QUIET_ABOVE, Progress

_A_SECOND = 8
_NARROW = 60
_STYLES = {
    "ok": "green", "noop": "dim", "failed": "bold red", "denied": "bold magenta", "skipped": "yellow",
    "cancelled": "yellow", "in_doubt": "bold yellow",
}  # fmt: skip


@attrs.define
class _Running:
    title: str
    begun: float
    timeout: int | None
    doing: dict[tuple[int, ...], str] = attrs.field(factory=dict)


@attrs.define
class Board(Progress):
    """Draws a board below the lines of the tasks that have ended. It is drawn by a thread of its own."""

    total: int
    bounds: Mapping[str, int]
    console: Console
    clock: Callable[[], float] = time.monotonic
    running: dict[str, _Running] = attrs.field(factory=dict, init=False)
    counts: dict[str, int] = attrs.field(factory=dict, init=False)
    spent: Budget = attrs.field(default=Budget(), init=False)
    begun: float = attrs.field(default=0.0, init=False)
    _live: Live | None = attrs.field(default=None, init=False)

    @classmethod
    def on_terminal(cls, total: int, bounds: Mapping[str, int]) -> Board:
        """Return a board on standard output."""
        return cls(total, bounds, Console(file=sys.stdout, highlight=False, markup=False, emoji=False))

    @property
    def follows(self) -> bool:
        """Whether it wants to hear of every entry: it shows what tasks do."""
        return True

    def opened(self, running: str) -> None:
        """Write the first line and begin to draw."""
        self.begun = self.clock()
        self.console.print(Text(printable(running)))
        self._live = Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.start()

    def started(self, task: Task, agent: str) -> None:
        """Put a task on the board."""
        title = task.title if task.title != task.id else ""
        self.running[task.id] = _Running(printable(title), self.clock(), task.timeout)

    def entry(self, entry: Entry, at: Instant) -> None:
        """Note what a task asks for and what that used."""
        if isinstance(entry, EffectIntent) and entry.allow:
            if (task := self.running.get(entry.position.task)) is not None:
                task.doing[entry.position.path] = entry.envelope.effect
        elif isinstance(entry, EffectOutcome):
            self.spent += entry.usage
            if (task := self.running.get(entry.position.task)) is not None:
                task.doing.pop(entry.position.path, None)

    def ended(self, result: TaskResult, output: Callable[[], Excerpt]) -> None:
        """Take a task from the board and tell how it ended."""
        self.counts[result.status] = self.counts.get(result.status, 0) + 1
        task = self.running.pop(result.task, None)
        if self.total > QUIET_ABOVE and result.status in ("ok", "noop"):
            return
        line = Text(f"{MARKS[result.status]:<9}", _STYLES[result.status], end="")
        line.append(printable(f" {result.task:<9} {task.title if task else ''}"), "default")
        if result.status == "skipped":
            line.append(printable(f"  ({result.message})"), "dim")
        if task is not None:
            line.append(f"  {show_duration(int((self.clock() - task.begun) * 1000))}", "dim")
        self.console.print(line)

    def close(self) -> None:
        """Remove the board."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """Return what is drawn: a row for each task under way, as many as fit, and a line for the whole."""
        running = list(self.running.items())
        room = max(1, self.console.size.height // 2)
        rows = Table.grid(padding=(0, 2, 0, 0), expand=False)
        wide = self.console.size.width >= _NARROW
        for _ in range(3 + wide):
            rows.add_column(no_wrap=True, overflow="ellipsis")
        for id_, task in running[:room]:
            doing = ", ".join(dict.fromkeys(list(task.doing.values()))) or "thinking"
            cells = [Text(id_, "bold"), Text(task.title), Text(self._elapsed(task), "cyan")]
            rows.add_row(*([*cells, Text(printable(doing), "dim")] if wide else cells))
        more = [Text(f"and {len(running) - room} more under way", "dim")] if len(running) > room else []
        return Group(rows, *more, self._whole())

    def _elapsed(self, task: _Running) -> str:
        elapsed = show_duration(int((self.clock() - task.begun) * 1000))
        return f"{elapsed} of {show_duration(task.timeout)}" if task.timeout is not None else elapsed

    def _whole(self) -> RenderableType:
        done = sum(self.counts.values())
        bar = ProgressBar(
            total=max(1, self.total), completed=done, width=max(10, min(40, self.console.size.width // 4))
        )
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column()
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(bar, Text("  ".join(self._words(done))))
        return line

    def _words(self, done: int) -> Iterator[str]:
        yield f"{done}/{counted(self.total, 'task')}"
        for status in ("failed", "denied", "in_doubt", "skipped"):
            if self.counts.get(status):
                yield f"{self.counts[status]} {status.replace('_', ' ')}"
        yield show_duration(int((self.clock() - self.begun) * 1000))
        for dimension, bound in self.bounds.items():
            left = max(0, bound - getattr(self.spent, dimension))
            shown = {"io": show_size, "ms": show_duration}.get(dimension, str)
            yield f"{dimension} {shown(left)} of {shown(bound)} left"
