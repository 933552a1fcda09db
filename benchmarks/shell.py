"""1,000 tasks of ``true``: tek unconfined beside the baseline and task runners, confined beside bwrap under xargs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Comparison, Failed, Goal, Options, Taken, attempt, command, figures, run, scratch
from benchmarks.inputs import WORKERS, baseline, ids, legacy, tek
from benchmarks.peers import installed

_BWRAP = [
    "--unshare-all",
    "--cap-drop",
    "ALL",
    "--new-session",
    "--die-with-parent",
    "--uid",
    "1000",
    "--gid",
    "1000",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--ro-bind",
    "/etc",
    "/etc",
]


class Peers:
    """Writes the same tasks for each peer and returns what measures it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.ids = ids(count)

    def _write(self, name: str, text: str) -> Path:
        place = self.folder / name
        place.mkdir()
        files = {"make": "Makefile", "ninja": "build.ninja", "just": "justfile", "task": "Taskfile.yml"}
        files |= {"doit": "dodo.py", "snakemake": "Snakefile", "xargs": "tasks"}
        (place / files[name]).write_text(text)
        return place

    def make(self) -> Callable[[], Taken]:
        rules = "".join(f"{task}:\n\t@true\n" for task in self.ids)
        place = self._write("make", f".PHONY: all {' '.join(self.ids)}\nall: {' '.join(self.ids)}\n{rules}")
        return lambda: run(["make", f"-j{WORKERS}"], place)

    def ninja(self) -> Callable[[], Taken]:
        rules = "".join(f"build {task}: run\n" for task in self.ids)
        place = self._write("ninja", f"rule run\n  command = true\n{rules}build all: phony {' '.join(self.ids)}\n")
        return lambda: run([installed("ninja"), f"-j{WORKERS}", "--quiet", "all"], place)

    def just(self) -> Callable[[], Taken]:
        rules = "".join(f"{task}:\n    @true\n" for task in self.ids)
        place = self._write("just", f"[parallel]\nall: {' '.join(self.ids)}\n{rules}")
        return lambda: run([installed("just"), "all"], place)

    def task(self) -> Callable[[], Taken]:
        rules = "".join(f"  {task}:\n    cmd: /usr/bin/true\n" for task in self.ids)
        text = f"version: '3'\ntasks:\n  default:\n    deps: [{', '.join(self.ids)}]\n{rules}"
        place = self._write("task", text)
        return lambda: run([installed("task"), "--silent", "--concurrency", str(WORKERS)], place)

    def doit(self) -> Callable[[], Taken]:
        text = f"def task_all():\n    for task in {self.ids!r}:\n        yield {{'name': task, 'actions': ['true']}}\n"
        place = self._write("doit", text)
        return lambda: run([installed("doit"), "-n", str(WORKERS), "-v0"], place)

    def snakemake(self) -> Callable[[], Taken]:
        text = f"IDS = {self.ids}\nrule all:\n    input: expand('{{i}}.done', i=IDS)\nrule one:\n"
        text += "    output: temp(touch('{i}.done'))\n    shell: 'true'\n"
        place = self._write("snakemake", text)
        words = [installed("snakemake"), "--cores", str(WORKERS), "--quiet", "all", "--forceall", "--nolock"]
        return lambda: run(words, place)

    def xargs(self) -> Callable[[], Taken]:
        place = self._write("xargs", "\n".join(self.ids))
        return lambda: run(["xargs", "-a", "tasks", f"-P{WORKERS}", "-I{}", "true"], place)

    def bwrap(self) -> Callable[[], Taken]:
        place = self.folder / "xargs"
        words = ["bwrap", *_BWRAP, "--bind", str(place), str(place), "true"]
        return lambda: run(["xargs", "-a", "tasks", f"-P{WORKERS}", "-I{}", *words], place)


def compare(options: Options) -> Comparison:
    count = 100 if options.quick else options.size
    with scratch() as folder:
        sot = legacy(folder / "tek", count, ["true"])
        peers = Peers(folder, count)
        kinds = {
            "baseline": baseline(sot),
            "tek --sandbox off": tek(sot, "--sandbox", "off"),
            "tek --sandbox off --durability process": tek(sot, "--sandbox", "off", "--durability", "process"),
            "tek confined": tek(sot),
            "tek confined --durability process": tek(sot, "--durability", "process"),
        }
        notes: list[str] = []
        for name, prepare in {
            f"xargs -P{WORKERS}": peers.xargs,
            f"bwrap, xargs -P{WORKERS}": peers.bwrap,
            f"make -j{WORKERS}": peers.make,
            f"ninja -j{WORKERS}": peers.ninja,
            "just [parallel]": peers.just,
            "go-task": peers.task,
            f"doit -n{WORKERS}": peers.doit,
            f"snakemake --cores {WORKERS}": peers.snakemake,
        }.items():
            try:
                kinds[name] = prepare()
            except (Failed, OSError) as error:
                notes.append(f"{name} could not be set up: {error}")
        taken, failed = attempt(kinds, options.rounds)
    times = figures(taken, "baseline")
    goals = _goals({name: figure.median for name, figure in times.items()})
    return Comparison(f"{count:,} tasks of `true`", tuple(times.values()), tuple(goals), (*notes, *failed))


def _goals(median: dict[str, float]) -> list[Goal]:
    def ratio(ours: str, theirs: str, limit: float) -> list[Goal]:
        if ours not in median or theirs not in median:
            return []
        return [Goal(f"{ours}: time, of that of {theirs}", median[ours] / median[theirs], limit)]

    found = ratio("tek --sandbox off", "baseline", 1)
    found += ratio("tek confined", f"bwrap, xargs -P{WORKERS}", 1.5)
    found += ratio("tek confined", f"snakemake --cores {WORKERS}", 1)
    found += ratio("tek --sandbox off", f"doit -n{WORKERS}", 1)
    return found


if __name__ == "__main__":
    command(__doc__, compare, rounds=3, size=1000, unit="tasks")
