"""Run directories: made so that two runs can never share one, and found again by path, ledger or ``last``."""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import attrs

from tek_kernel import StorageFailed, file_clock_grain_ns
from tek_runner.inputs import UnreadableInput

LEDGER = "ledger.jsonl"
BLOBS = "blobs"
LOGS = "logs"
RUNS = "runs"
"""Where runs of a workspace stand in it, unless their user chose another place."""


def make_run_directory(parent: Path, chosen: Path | None) -> Path:
    """Create the directory of a new run, with ``logs`` in it: ``chosen``, or one named after the time in ``parent``.

    A name that is taken gets a number (``20260131_101500Z_2``): ``mkdir`` decides, so no two runs collide.
    Raises ``UnreadableInput`` where a chosen directory is not empty or ``parent`` is a symlink, ``StorageFailed``
    where none can be made.
    """
    is_first = not (parent if chosen is None else chosen).exists()
    try:
        directory = _fresh(parent) if chosen is None else _chosen(chosen)
        (directory / LOGS).mkdir()
        if is_first:
            # What it stands in has changed. Whoever asks later what commands changed there tells both apart by time.
            time.sleep(2 * file_clock_grain_ns() / 1e9)
        return directory.resolve()
    except OSError as error:
        if isinstance(error, UnreadableInput):
            raise
        raise StorageFailed(error) from None


def _chosen(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UnreadableInput(str(directory), "is not empty; a run needs a directory of its own")
    return directory


def _fresh(parent: Path) -> Path:
    if parent.is_symlink():
        # Where it leads, tasks may write: one could leave a run there for "last" to find.
        problem = "is a symlink, and runs are kept in no place that it leads to; remove it, or say --run-dir"
        raise UnreadableInput(str(parent), problem)
    parent.mkdir(parents=True, exist_ok=True)
    name = datetime.now(UTC).strftime("%Y%m%d_%H%M%SZ")
    for number in itertools.count(1):
        directory = parent / (name if number == 1 else f"{name}_{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError("the numbers never end")


@attrs.define
class WorkspaceLock:
    """Tells whether another run is under way in a workspace. It warns and never blocks; the OS drops it at exit."""

    _fd: int

    @classmethod
    def take(cls, runs: Path) -> tuple[WorkspaceLock, bool]:
        """Return the lock, and whether it was free."""
        fd = os.open(runs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return cls(fd), False
        return cls(fd), True

    def release(self) -> None:
        """Give the lock up."""
        os.close(self._fd)


def find_ledger(run: str) -> Path:
    """Return the ledger that a user means: the file, a run's directory, or ``last`` in ``./runs``.

    Raises ``UnreadableInput``.
    """
    if run == "last" and not Path(run).exists():
        return _last(Path("runs")) / LEDGER
    path = Path(run)
    return path / LEDGER if path.is_dir() else path


def unfinished(runs: Path) -> Path | None:
    """Return the newest run of a directory if it can go on, ``None`` if it was finished or there is none."""
    found = [path for path in runs.glob("*Z*") if (path / LEDGER).is_file()]
    newest = max(found, key=_order, default=None)
    if newest is None:
        return None
    with open(newest / LEDGER, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        last = file.read().splitlines()[-1:]
    return None if last and b'"kind":"run.closed"' in last[0] else newest


_TAIL = 1 << 16


def _last(runs: Path) -> Path:
    found = [path for path in runs.glob("*Z*") if (path / LEDGER).is_file()]
    if not found:
        raise UnreadableInput("last", f"there is no run in {runs}/; name a run directory or its ledger")
    return max(found, key=_order)


def _order(path: Path) -> tuple[str, int]:
    stamp, _, number = path.name.partition("Z")
    return stamp, int(number.removeprefix("_")) if number.removeprefix("_").isdecimal() else 1
