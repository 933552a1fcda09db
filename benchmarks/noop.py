"""Tasks without a command, ledger and evidence on, beside the baseline, which writes the evidence alone."""

from __future__ import annotations

from benchmarks.harness import Comparison, Figure, Goal, Options, command, figures, interleave, scratch
from benchmarks.inputs import baseline, legacy, tek


def compare(options: Options) -> Comparison:
    sizes = (1000, 10_000) if options.quick else (1000, 10_000, 100_000)
    found: list[Figure] = []
    goals: list[Goal] = []
    a_task: list[Figure] = []
    with scratch() as folder:
        alone = tek(legacy(folder / "1", 1))
        start = Figure("1: tek", "s", tuple(alone().seconds for _ in range(options.rounds)))
        for size in sizes:
            sot = legacy(folder / str(size), size)
            kinds = {"baseline": baseline(sot), "tek": tek(sot)}
            if size < 100_000:
                kinds["tek --durability process"] = tek(sot, "--durability", "process")
            taken = interleave(kinds, options.rounds if size < 100_000 else max(1, options.rounds // 2))
            what = f"{size:,}: "
            times, memory = figures(taken, "baseline", what), figures(taken, "baseline", what, memory=True)
            found += [*times.values(), *memory.values()]
            each = tuple((took - start.median) / size * 1e6 for took in times["tek"].values)
            a_task.append(Figure(f"{what}tek a task, beyond the start", "us", each))
            if size >= 10_000:
                goals.append(Goal(f"{size:,} tasks: time, of the baseline's", times["tek"].of(times["baseline"]), 0.5))
            if size >= 100_000:
                share = memory["tek"].of(memory["baseline"])
                goals.append(Goal(f"{size:,} tasks: memory, of the baseline's", share, 0.5))
    medians = [figure.median for figure in a_task]
    text = f"time a task from {sizes[0]:,} to {sizes[-1]:,}: the largest by the smallest"
    goals.append(Goal(text, max(medians) / min(medians), 1.2))
    return Comparison("Noop tasks", (start, *found, *a_task), tuple(goals))


if __name__ == "__main__":
    command(__doc__, compare)
