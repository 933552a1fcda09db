"""What every comparison shares: measuring a command, taking turns, and one form for what came out."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
TEK = str(Path(sys.executable).with_name("tek-runner"))
_LAUNCH = [sys.executable, "-I", "-S", str(HERE / "launch.py")]


@attrs.frozen
class Taken:
    """What one run of a command took."""

    seconds: float
    memory: float
    """Peak resident memory of its largest process, in MiB."""
    processor: float
    """Processor time of it and all that it waited for, in seconds."""


@attrs.frozen
class Figure:
    """One thing measured, with a value a round."""

    name: str
    unit: str
    values: tuple[float, ...]
    base: str = ""
    """The name of the figure that it is given as a ratio of."""

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)

    def of(self, other: Figure) -> float:
        """Return how many times the median of ``other`` this one is."""
        return self.median / other.median


@attrs.frozen
class Goal:
    """A figure that is to be reached."""

    text: str
    actual: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.actual >= self.limit if self.at_least else self.actual <= self.limit

    def verdict(self) -> str:
        """Return the verdict, and by how much a figure is missed."""
        if self.met:
            return "met"
        return f"missed: {self.actual / self.limit:.2f} times the limit"


@attrs.frozen
class Comparison:
    """What a module measured."""

    title: str
    figures: tuple[Figure, ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


class Failed(Exception):
    """A command that was to be measured did not end as expected. ``output`` is the end of what it said."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command[:4])} ... ended with {code}: {output[-400:].strip()}")


def run(
    command: Sequence[str],
    cwd: Path | str = ".",
    *,
    env: Mapping[str, str] | None = None,
    limit: float = 600,
    log: Path | None = None,
) -> Taken:
    """Run a command and return what it took.

    Whatever is left of it after ``limit`` seconds is killed. Raises ``Failed`` where its exit code is not 0.
    """
    read, write = os.pipe()
    with tempfile.NamedTemporaryFile(prefix="tek-bench-") as scratch, open(read) as told:
        output = str(log or scratch.name)
        try:
            launched = subprocess.Popen(
                [*_LAUNCH, str(write), output, *command],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        try:
            launched.wait(limit)
        except BaseException:
            os.killpg(launched.pid, signal.SIGKILL)
            launched.wait()
            raise
        code, seconds, kib, processor = (float(word) for word in told.read().split() or ["127", "0", "0", "0"])
        if code:
            raise Failed(command, int(code), Path(output).read_text(errors="replace"))
        return Taken(seconds, kib / 1024, processor)


def interleave(kinds: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Return what each kind gave in each round; in a round, each has its turn."""
    taken: dict[str, list[T]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, measure in kinds.items():
            taken[name].append(measure())
    return taken


def attempt(kinds: Mapping[str, Callable[[], T]], rounds: int) -> tuple[dict[str, list[T]], list[str]]:
    """Interleave, and leave out a kind that fails: return what the others gave, and a note on each that failed."""
    left, notes = dict(kinds), []
    taken: dict[str, list[T]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, measure in list(left.items()):
            try:
                taken[name].append(measure())
            except (Failed, OSError, subprocess.SubprocessError) as error:
                del left[name], taken[name]
                notes.append(f"{name} could not be measured: {' '.join(str(error).split())}")
    return taken, notes


def figures(
    taken: Mapping[str, Sequence[Taken]], base: str = "", what: str = "", *, memory: bool = False
) -> dict[str, Figure]:
    """Return the seconds of each kind, or its memory, by the kind's name; each is a ratio of the kind ``base``."""
    unit, of = ("MiB", "memory of ") if memory else ("s", "")
    return {
        kind: Figure(
            f"{what}{of}{kind}",
            unit,
            tuple(t.memory if memory else t.seconds for t in values),
            f"{what}{of}{base}" if base in taken and kind != base else "",
        )
        for kind, values in taken.items()
    }


def end_cleanly() -> None:
    """Let SIGTERM unwind this process, so that what it started is ended and its folders are removed."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tek-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def table(comparison: Comparison) -> list[str]:
    """Return what came out as lines of Markdown."""
    bases = {figure.name: figure for figure in comparison.figures}
    lines = ["| what | median | min | max | unit | ratio |", "|---|--:|--:|--:|---|--:|"]
    for figure in comparison.figures:
        ratio = f"{figure.of(bases[figure.base]):.2f}" if figure.base else ""
        low, high = min(figure.values), max(figure.values)
        lines.append(
            f"| {figure.name} | {_short(figure.median)} | {_short(low)} | {_short(high)} | {figure.unit} | {ratio} |"
        )
    if comparison.goals:
        lines += ["", "| goal | limit | actual | |", "|---|--:|--:|---|"]
        lines += [
            f"| {goal.text} | {'>=' if goal.at_least else '<='} {_short(goal.limit)} | {_short(goal.actual)} "
            f"| {goal.verdict()} |"
            for goal in comparison.goals
        ]
    return [*lines, *(f"\n{note}" for note in comparison.notes)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@attrs.frozen
class Options:
    """What every comparison may be told."""

    quick: bool
    rounds: int
    size: int


def command(
    description: str | None, compare: Callable[[Options], Comparison], *, rounds: int = 5, size: int = 0, unit: str = ""
) -> None:
    """Be the command line of a comparison. ``size`` is its default size in ``unit``, where it has one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: within seconds")
    parser.add_argument("--rounds", type=int, default=None, help=f"turns of each kind (default {rounds})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if unit:
        parser.add_argument("--size", type=int, default=size, help=f"{unit} (default {size})")
    chosen = parser.parse_args()
    end_cleanly()
    options = Options(
        chosen.quick, chosen.rounds or (max(1, rounds // 3) if chosen.quick else rounds), getattr(chosen, "size", size)
    )
    comparison = compare(options)
    if chosen.json:
        print(written(comparison))
    else:
        print("\n".join([comparison.title, "", *table(comparison)]))


def written(comparison: Comparison) -> str:
    """Return a comparison as one line of JSON."""
    return json.dumps(attrs.asdict(comparison))


def read(text: str) -> Comparison:
    """Return the comparison that ``written`` wrote."""
    data: dict[str, Any] = json.loads(text)
    return Comparison(
        data["title"],
        tuple(Figure(f["name"], f["unit"], tuple(f["values"]), f["base"]) for f in data["figures"]),
        tuple(Goal(**goal) for goal in data["goals"]),
        tuple(data["notes"]),
    )
