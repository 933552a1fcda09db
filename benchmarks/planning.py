"""Planning: sources of the old form beside the baseline, and a large one of the new form beside markdown-it-py."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from benchmarks.harness import Comparison, Figure, Goal, Options, Taken, command, figures, interleave, run, scratch
from benchmarks.inputs import baseline, legacy, planned

_TASK = """\
### `TASK-{number:03d}` Compile part {number}

- Needs: `TASK-{before:03d}`
- Allow: `fs.read:src/**` `fs.write:out/{number}/**`
- Budget: `ms=90s` `io=64MiB`

Part {number} of the *program* is compiled by itself; see [the notes](notes/{number}.md) for **why**, and `out/` for
what comes out. It takes what the part before it left there.

| file | made by |
|---|---|
| out/{number}/a.o | the compiler |

```sh
cc -c src/{number}.c -o out/{number}/a.o
test -s out/{number}/a.o
```

"""
_PARSE = """\
import sys, time
from pathlib import Path
text = Path(sys.argv[1]).read_text(encoding="utf-8")
{imports}
since = time.perf_counter()
{parse}
print(time.perf_counter() - since)
"""
_PARSERS = {
    "markdown-it-py": ("from markdown_it import MarkdownIt; parser = MarkdownIt('commonmark')", "parser.parse(text)"),
    "tek": ("from tek_planner import plan_text", "assert plan_text(text).plan is not None"),
}


def large(path: Path, size: int) -> Path:
    """Write a plan of the new form of at least ``size`` bytes."""
    text, number = ["# A large plan\n\n## Queue A — Work\n\n"], 0
    length = 0
    while length < size:
        number += 1
        task = _TASK.format(number=number, before=max(1, number - 1))
        text.append(task.replace("- Needs: `TASK-001`\n", "") if number == 1 else task)
        length += len(text[-1])
    path.write_text("".join(text), encoding="utf-8")
    return path


def parse(name: str, path: Path) -> Taken:
    """Read a file in a process of its own; what it took is the parser's time, without its import."""
    imports, call = _PARSERS[name]
    log = path.with_suffix(".log")
    taken = run([sys.executable, "-c", _PARSE.format(imports=imports, parse=call), str(path)], log=log)
    return attrs.evolve(taken, seconds=float(log.read_text()))


def old_form(folder: Path, options: Options) -> tuple[list[Figure], list[Goal]]:
    found: list[Figure] = []
    goals: list[Goal] = []
    for size in (100, 10_000) if options.quick else (100, 1000, 10_000, 100_000):
        sot = legacy(folder / str(size), size)
        kinds = {"baseline": baseline(sot, "plan"), "tek": planned(sot)}
        taken = interleave(kinds, options.rounds)
        what = f"{size:,}: "
        times, memory = figures(taken, "baseline", what), figures(taken, "baseline", what, memory=True)
        found += [*times.values(), *memory.values()]
        if size >= 100_000:
            goals.append(Goal(f"{size:,} tasks: time, of the baseline's", times["tek"].of(times["baseline"]), 1))
            share = memory["tek"].of(memory["baseline"])
            goals.append(Goal(f"{size:,} tasks: memory, of the baseline's", share, 1.5))
    return found, goals


def new_form(folder: Path, options: Options) -> tuple[list[Figure], list[Goal]]:
    mebibytes = 1 if options.quick else options.size
    path = large(folder / "large.md", mebibytes << 20)
    kinds = {name: lambda name=name: parse(name, path) for name in _PARSERS}
    taken = interleave(kinds, max(1, options.rounds // 2))
    what = f"{mebibytes} MiB of the new form: "
    times, memory = (figures(taken, "markdown-it-py", what, memory=kind) for kind in (False, True))
    share = times["tek"].of(times["markdown-it-py"])
    return [*times.values(), *memory.values()], [Goal(f"{what}time, of markdown-it-py's", share, 0.2)]


def compare(options: Options) -> Comparison:
    with scratch() as folder:
        old, new = old_form(folder, options), new_form(folder, options)
    return Comparison("Planning", (*old[0], *new[0]), (*old[1], *new[1]))


if __name__ == "__main__":
    command(__doc__, compare, size=5, unit="MiB of the file of the new form")
