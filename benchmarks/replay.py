"""``replay --verify`` of a large ledger beside sha256sum, and the default replay of shell tasks beside their run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.harness import TEK, Comparison, Figure, Goal, Options, Taken, command, figures, interleave, run, scratch
from benchmarks.inputs import WORKERS, legacy
from benchmarks.memory import carry_out

_TASKS = 16  # few enough for the plan to stand in the ledger itself
_BYTES_AN_EFFECT = 1080  # of ledger, to come near the size that is asked for
_ONE_CORE = ("taskset", "--cpu-list", "0")


class File:
    """A ledger's storage that nothing syncs."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def sync(self) -> None:
        self._file.flush()


def ledger(path: Path, mebibytes: int) -> Path:
    """Write the ledger of a run whose effects stand in memory, of about so many MiB."""
    path.parent.mkdir()
    carry_out(File(path), _TASKS, (mebibytes << 20) // _BYTES_AN_EFFECT // _TASKS, 1)
    return path


def verify(path: Path, *before: str) -> Taken:
    return run([*before, TEK, "replay", "--verify", str(path)], limit=1800)


def verifying(folder: Path, options: Options) -> tuple[list[Figure], list[Goal]]:
    large = 8 if options.quick else options.size
    path = ledger(folder / "large/ledger.jsonl", large)
    small = ledger(folder / "small/ledger.jsonl", max(1, large // 8))
    size = path.stat().st_size / (1 << 20)
    taken = interleave(
        {
            "sha256sum": lambda: run(["sha256sum", str(path)]),
            "tek replay --verify, 1 core": lambda: verify(path, *_ONE_CORE),
            "tek replay --verify": lambda: verify(path),
        },
        options.rounds,
    )
    what = f"{size:.0f} MiB: "
    times, memory = figures(taken, "sha256sum", what), figures(taken, what=what, memory=True)
    eighth = Figure("an eighth of it: memory of tek replay --verify", "MiB", (verify(small).memory,))
    alone, both = times["tek replay --verify, 1 core"], times["tek replay --verify"]
    found = [*times.values(), memory["tek replay --verify"], eighth]
    goals = [
        Goal(f"{what}--verify on 1 core: time, of sha256sum's", alone.of(times["sha256sum"]), 2),
        Goal(f"{what}--verify on all cores: time, of sha256sum's", both.of(times["sha256sum"]), 1),
        Goal(f"{what}--verify: memory, of that for an eighth", memory["tek replay --verify"].of(eighth), 1.2),
    ]
    return found, goals


def redriving(folder: Path, options: Options) -> tuple[list[Figure], list[Goal]]:
    count = 100 if options.quick else 500
    sot = legacy(folder / "shell", count, ["true"])
    out = folder / "shell/out"

    def record(*chosen: str) -> Taken:
        shutil.rmtree(out, ignore_errors=True)
        words = [TEK, "run", str(sot), "--workers", str(WORKERS), "--output", "plain", "--yes", *chosen]
        return run([*words, "--run-dir", str(out)], sot.parent)

    kinds: dict[str, Callable[[], Taken]] = {
        "run, --sandbox off": partial(record, "--sandbox", "off"),
        "run, confined": record,
        "replay": lambda: run([TEK, "replay", str(out)]),
    }
    times = figures(interleave(kinds, options.rounds), "run, confined", f"{count} tasks of `true`: ")
    goals = [
        Goal(
            f"replay of {count} `true`: times as fast as the {name}",
            times[name].of(times["replay"]),
            10,
            at_least=True,
        )
        for name in ("run, --sandbox off", "run, confined")
    ]
    return list(times.values()), goals


def compare(options: Options) -> Comparison:
    with scratch() as folder:
        large, shell = verifying(folder, options), redriving(folder, options)
    return Comparison("Replay", (*large[0], *shell[0]), (*large[1], *shell[1]))


if __name__ == "__main__":
    command(__doc__, compare, rounds=3, size=100, unit="MiB of ledger")
