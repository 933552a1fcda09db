"""From the command line to its end where there is nothing to do: ``--help``."""

from __future__ import annotations

import sys

from benchmarks.harness import TEK, Comparison, Figure, Goal, Options, attempt, command, run
from benchmarks.peers import installed


def compare(options: Options) -> Comparison:
    kinds = {
        "python -c pass": lambda: run([sys.executable, "-c", "pass"]),
        "tek-runner --help": lambda: run([TEK, "--help"]),
        "tek-runner run --help": lambda: run([TEK, "run", "--help"]),
        "doit help": lambda: run([installed("doit"), "help"]),
        "snakemake --help": lambda: run([installed("snakemake"), "--help"]),
    }
    taken, notes = attempt(kinds, options.rounds)
    base = "python -c pass"
    found = {
        name: Figure(name, "ms", tuple(one.seconds * 1000 for one in values), base if name != base else "")
        for name, values in taken.items()
    }
    goals = (Goal("tek-runner --help: ms", found["tek-runner --help"].median, 150),)
    return Comparison("Start", tuple(found.values()), goals, tuple(notes))


if __name__ == "__main__":
    command(__doc__, compare, rounds=15)
