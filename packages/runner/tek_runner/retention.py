"""Run directories that may go: the rule of ``tek-runner gc``, and how one goes.

Everything is done by name in the runs' directory, held open and itself no symbolic link, so nothing leads out of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import attrs
import orjson

from tek_kernel.ledger import TAIL
from tek_runner.inputs import UnreadableInput
from tek_runner.run_directory import LEDGER

State: TypeAlias = Literal["closed", "unfinished", "locked", "half removed"]

_NAME: Final = re.compile(r"(\d{8}_\d{6})Z(?:_([1-9]\d{0,8}))?")
_GOING: Final = ".gc-"
_LAST_LINE: Final = 1 << 16
"""Bytes at a ledger's end in which ``run.closed`` stands."""


@attrs.frozen
class Run:
    """A run's directory, by its name. ``number`` tells runs apart that started in the same second."""

    name: str
    started: datetime
    number: int
    state: State
    size: int


@attrs.frozen
class Rule:
    """What is kept: the newest ``last`` runs, and those younger than ``days``; ``None`` keeps nothing by itself.

    Runs that are not closed are kept besides and do not count, unless ``unfinished`` is set; those in use always.
    """

    last: int | None = None
    days: int | None = None
    unfinished: bool = False

    def removes(self, runs: Iterable[Run], now: datetime) -> Iterator[Run]:
        """Yield the runs that may go, the oldest first."""
        ordered = sorted(runs, key=lambda run: (run.started, run.number))
        ended = [run for run in ordered if run.state == "closed" or (self.unfinished and run.state == "unfinished")]
        kept = set(ended[max(0, len(ended) - self.last) :] if self.last is not None else ())
        may_go = set(ended) - kept
        for run in ordered:
            young = self.days is not None and now - run.started < timedelta(days=self.days)
            if run.state == "half removed" or (run in may_go and not young):
                yield run


class RunsDirectory:
    """The directory that holds runs, open. Raises ``UnreadableInput`` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableInput(str(path), f"is not a directory of runs: {reason}") from None

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def runs(self) -> list[Run]:
        """Return the runs whose directories ``run`` has named. Other names, and symbolic links, are none of them."""
        with os.scandir(self._fd) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [run for name in sorted(names) if (run := self._run(name)) is not None]

    def _run(self, name: str) -> Run | None:
        match = _NAME.fullmatch(name.removeprefix(_GOING))
        if match is None:
            return None
        try:
            started = datetime.strptime(match[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        state: State = "half removed" if name.startswith(_GOING) else self._state(name)
        return Run(name, started, int(match[2] or 1), state, self._size(name))

    def _state(self, name: str) -> State:
        with self._locked(name) as ledger:
            if isinstance(ledger, bool):
                return "unfinished" if ledger else "locked"
            return "closed" if _is_closed(ledger) else "unfinished"

    def _size(self, name: str) -> int:
        total = 0
        for _, _, files, fd in os.fwalk(name, dir_fd=self._fd, follow_symlinks=False):
            total += sum(os.stat(file, dir_fd=fd, follow_symlinks=False).st_size for file in files)
        return total

    def remove(self, run: Run) -> bool:
        """Remove a run's directory, and tell whether it is gone: it is not where a runner has taken it meanwhile.

        It is renamed first, so that one which is cut off leaves nothing that looks like a run.
        Raises ``UnreadableInput``.
        """
        going = _GOING + run.name.removeprefix(_GOING)
        try:
            with self._locked(run.name) as ledger:
                if ledger is False:
                    return False
                if going != run.name:
                    os.rename(run.name, going, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                shutil.rmtree(going, dir_fd=self._fd)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UnreadableInput(str(self._path / run.name), f"cannot be removed: {reason}") from None
        return True

    @contextmanager
    def _locked(self, name: str) -> Iterator[BinaryIO | bool]:
        """Hold a run against any runner. Yields its ledger; True where it has none; False where another holds it."""
        with ExitStack() as stack:
            directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            stack.callback(os.close, directory)
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                ledger = stack.enter_context(open(os.open(LEDGER, flags, dir_fd=directory), "rb"))
                fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            except OSError:
                yield True
            else:
                yield ledger


def _is_closed(ledger: BinaryIO) -> bool:
    """Whether a ledger's last line is an intact ``run.closed``."""
    ledger.seek(max(0, os.fstat(ledger.fileno()).st_size - _LAST_LINE))
    data = ledger.read()
    line = data[data.rfind(b"\n", 0, -1) + 1 :]
    if not line.endswith(b'"}\n') or hashlib.sha256(line[:-TAIL]).hexdigest().encode() != line[-TAIL + 9 : -3]:
        return False
    try:
        return bool(orjson.loads(line)["kind"] == "run.closed")
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
