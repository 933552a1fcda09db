"""Run every comparison, or those that are named, and write RESULTS.md.

It has the newest figures of each comparison. A quick run leaves it alone, and so does a comparison that fails.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks import peers
from benchmarks.harness import HERE, Comparison, end_cleanly, read, table, written

_ALL = ("planning", "noop", "shell", "broker", "confinement", "replay", "startup", "quickstart", "durable", "newcomer")
_SLOW = ("newcomer",)  # it clones, and sets up an environment
_NEWEST = HERE / ".results"
_RESULTS = HERE / "RESULTS.md"
_PROFILES = HERE / "PROFILES.md"
_LIMIT = 900


def measured(name: str, quick: bool) -> Comparison:
    """Run one comparison in a process of its own. One that fails is a comparison with a note of why."""
    words = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if quick else [])]
    with subprocess.Popen(
        words, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as measuring:
        try:
            said, errors = measuring.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return Comparison(name, (), (), (f"It was not done within {_LIMIT} s.",))
        finally:
            measuring.terminate()  # it cleans up, and is gone already where it has ended by itself
    if measuring.returncode:
        return Comparison(name, (), (), (f"It failed: {''.join(errors.strip().splitlines()[-1:])}",))
    return read(said)


def machine() -> list[str]:
    """Return what the figures depend on, as lines of Markdown."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    processor = models[0].split(":")[1].strip() if models else platform.machine()
    kinds = subprocess.run(
        ["stat", "--file-system", "--format=%T", tempfile.gettempdir()], capture_output=True, text=True
    )
    versions = {"tek": version("tek")} | {p: version(p) for p in ("orjson", "markdown-it-py")} | peers.versions()
    return [
        f"- {len(os.sched_getaffinity(0))} cores ({processor}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"{kinds.stdout.strip()}; load when it began: {os.getloadavg()[0]:.1f}",
        f"- {', '.join(f'{name} {number}' for name, number in versions.items())}",
    ]


def keep(name: str, comparison: Comparison) -> None:
    """Keep a comparison as the newest of its name."""
    _NEWEST.mkdir(exist_ok=True)
    (_NEWEST / ".gitignore").write_text("*\n")
    (_NEWEST / f"{name}.json").write_text(written(comparison), encoding="utf-8")


def newest() -> list[Comparison]:
    """Return the newest of each comparison."""
    places = [_NEWEST / f"{name}.json" for name in _ALL]
    return [read(place.read_text(encoding="utf-8")) for place in places if place.exists()]


def page(comparisons: list[Comparison], about: list[str]) -> str:
    """Return RESULTS.md."""
    lines = [
        "# Results",
        "",
        "Written by `make bench`. The kinds of a comparison took turns in one run; the machine was shared with other "
        "work, so ratios of medians say more than seconds, and differences under 1.3 times are ties.",
        "",
        *about,
    ]
    goals = [(comparison.title, goal) for comparison in comparisons for goal in comparison.goals]
    lines += ["", f"## {sum(goal.met for _, goal in goals)} of {len(goals)} goals are met", ""]
    lines += [f"- {'[x]' if goal.met else '[ ]'} {title}: {goal.text}: {goal.verdict()}" for title, goal in goals]
    for comparison in comparisons:
        lines += ["", f"## {comparison.title}", "", *table(comparison)]
    if _PROFILES.exists():
        lines += ["", _PROFILES.read_text(encoding="utf-8").rstrip()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: within three minutes")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(_ALL)} (default: all)")
    options = parser.parse_args()
    end_cleanly()
    if unknown := set(options.names) - set(_ALL):
        parser.error(f"there is no comparison {', '.join(sorted(unknown))}; there are {', '.join(_ALL)}")
    names = options.names or [name for name in _ALL if not (options.quick and name in _SLOW)]
    about, failed = machine(), []
    for name in names:
        comparison = measured(name, options.quick)
        print("\n".join([f"== {comparison.title}", "", *table(comparison), ""]), flush=True)
        if not comparison.figures:
            failed.append(name)
        elif not options.quick:
            keep(name, comparison)
    if not options.quick:
        _RESULTS.write_text(page(newest(), about), encoding="utf-8")
        print(f"written: {os.path.relpath(_RESULTS)}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
