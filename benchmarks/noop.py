"""Tasks without a command, ledger and evidence on, beside the baseline, which writes the evidence alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.harness import Comparison, Figure, Goal, Options, Taken, command, figures, interleave, scratch
from benchmarks.inputs import baseline, legacy, tek

_LARGE = 100_000


def compare(options: Options) -> Comparison:
    sizes = (1000, 10_000) if options.quick else (1000, 10_000, _LARGE)
    found: list[Figure] = []
    goals: list[Goal] = []
    a_task: list[Figure] = []
    with scratch() as folder:
        for size in sizes:
            sot = legacy(folder / str(size), size)
            kinds = {"baseline": baseline(sot), "tek": tek(sot), "start": tek(legacy(folder / f"start-{size}", 1))}
            if size < _LARGE:
                kinds["tek --durability process"] = tek(sot, "--durability", "process")
            taken = interleave(kinds, options.rounds if size < _LARGE else min(2, options.rounds))
            a_task.append(beyond_start(size, taken["tek"], taken.pop("start")))
            what = f"{size:,}: "
            times, memory = figures(taken, "baseline", what), figures(taken, "baseline", what, memory=True)
            found += [*times.values(), *memory.values()]
            if size >= 10_000:
                goals.append(Goal(f"{size:,} tasks: time, of the baseline's", times["tek"].of(times["baseline"]), 0.5))
            if size >= _LARGE:
                share = memory["tek"].of(memory["baseline"])
                goals.append(Goal(f"{size:,} tasks: memory, of the baseline's", share, 0.5))
    medians = [figure.median for figure in a_task]
    text = f"processor time a task from {sizes[0]:,} to {sizes[-1]:,}: the largest by the smallest"
    goals.append(Goal(text, max(medians) / min(medians), 1.2))
    return Comparison("Noop tasks", (*found, *a_task), tuple(goals))


def beyond_start(size: int, taken: Sequence[Taken], starts: Sequence[Taken]) -> Figure:
    """Return the processor time of a task, without that of a run of one: others' work does not count in it."""
    start = statistics.median(one.processor for one in starts)
    each = tuple((one.processor - start) / size * 1e6 for one in taken)
    return Figure(f"{size:,}: processor time of tek a task, beyond the start", "us", each)


if __name__ == "__main__":
    command(__doc__, compare, rounds=3)
