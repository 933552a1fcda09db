"""A run directory as a run left it, read and held open to go on with (DESIGN section 5, *Resume*)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from tek_abi import Codec, Decision, Entry, Instant, RunClosed, TekError
from tek_agents.registry import AgentRegistry
from tek_executor import Host
from tek_executor.resume import Answer, Resumption
from tek_kernel import (
    Checker,
    DiskBlobs,
    LedgerFile,
    Redrive,
    Registry,
    StorageFailed,
    Tail,
    find_tail,
    keep_cut,
    read_lines,
)
from tek_runner.inputs import UnreadableInput, open_input
from tek_runner.recorded import DIRECTORY, NO_CONFIG, of_machine, recorded_keys
from tek_runner.run_directory import BLOBS, LEDGER, LOGS


@attrs.define(str=False)
class NothingToResume(TekError, ValueError):
    """A run cannot go on: it is finished, or never began."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@attrs.frozen
class Left:
    """A run that was cut off. ``entries`` are its lines, ``head`` and ``at`` those of the last."""

    directory: Path
    file: LedgerFile
    blobs: DiskBlobs
    resumption: Resumption
    tail: Tail
    entries: list[tuple[Entry, Instant]]
    head: str
    at: Instant

    @property
    def checker(self) -> Checker:
        """What is on record, checked."""
        return self.resumption.checker

    @property
    def workspace(self) -> Path:
        """Where the run's tasks work."""
        return Path(of_machine(self.checker, "workspace") or "/nonexistent")

    @property
    def source(self) -> Path | None:
        """The file that the plan was read from, where it is on record."""
        text = of_machine(self.checker, "source")
        return Path(text) if text else None

    @property
    def config(self) -> Path | None:
        """Where the configuration stood, or was looked for."""
        text = of_machine(self.checker, "config") or of_machine(self.checker, NO_CONFIG)
        return Path(text) if text else None

    def check_is_no_copy(self) -> None:
        """Raise ``NothingToResume`` where the run stands where it began as well: both could go on."""
        recorded = of_machine(self.checker, DIRECTORY)
        if recorded is None or Path(recorded) == self.directory:
            return
        begun = self.entries[0][0]
        first: Entry | None = None
        with suppress(OSError, TekError), open_input(Path(recorded, LEDGER), "ledger") as file:
            first = next(line.entry for line in read_lines(file, self.resumption.codec))
        if first == begun:
            problem = f"is a copy of {recorded}, which could go on as well; resume that one, or move it away first"
            raise NothingToResume(str(self.directory), problem)

    def cut(self) -> tuple[int, str] | None:
        """Cut what is torn, after keeping it; return its length and digest. All that is left is then durable.

        Raises ``StorageFailed``.
        """
        try:
            kept = keep_cut(self.directory, self.tail.cut) if self.tail.cut else None
            self.file.cut(self.tail.offset)
        except OSError as error:
            raise StorageFailed(error) from None
        return kept


def open_left(
    directory: Path,
    registry: Callable[[Checker], Registry],
    answers: Mapping[str, Answer],
    durable: bool = True,
) -> Left:
    """Read a run directory, hold its ledger, and drive its agents to where they stood.

    Raises ``UnreadableInput``, ``LedgerBusy``, ``NothingToResume``, ``LedgerInvalid`` and ``ReplayMismatch``.
    """
    for name in (BLOBS, LOGS):
        # What is written through a link would be written wherever it leads.
        if (directory / name).is_symlink() or ((directory / name).exists() and not (directory / name).is_dir()):
            raise UnreadableInput(str(directory / name), "is not the directory that the run made there")
    ledger = directory / LEDGER
    if os.path.lexists(ledger) and not (ledger.is_file() and not ledger.is_symlink()):
        raise UnreadableInput(str(ledger), "is no regular file")
    try:
        file = LedgerFile(ledger, resumed=True, durable=durable)
    except FileNotFoundError:
        raise UnreadableInput(str(directory), "holds no run: there is no ledger.jsonl") from None
    try:
        return _read(DiskBlobs(directory / BLOBS, durable), directory, file, registry, answers)
    except BaseException:
        file.close()
        raise


def _read(
    blobs: DiskBlobs,
    directory: Path,
    file: LedgerFile,
    registry: Callable[[Checker], Registry],
    answers: Mapping[str, Answer],
) -> Left:
    data = file.read()
    tail = find_tail(data)
    codec = Codec(blobs)
    checker = Checker(codec)
    redrive = Redrive(checker, codec, Host(AgentRegistry()), registry, recorded_keys)
    entries: list[tuple[Entry, Instant]] = []
    halted = ""
    for line in read_lines(io.BytesIO(data[: tail.offset]), codec):
        checker.take(line)
        redrive.take(line)
        entries.append((line.entry, line.at))
        if isinstance(line.entry, Decision) and line.entry.subject == "ceiling":
            halted = str(line.entry.value)
    last = checker.last
    if last is None or len(entries) < 2:
        raise NothingToResume(str(directory), "the run was cut off before it began; run the plan again")
    if isinstance(last.entry, RunClosed):
        raise NothingToResume(str(directory), "the run is finished; there is nothing to resume")
    resumption = Resumption(redrive, checker, codec, answers, halted)
    return Left(directory, file, blobs, resumption, tail, entries, last.hash, last.at)
