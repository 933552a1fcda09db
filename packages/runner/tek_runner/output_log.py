"""What the commands of a recorded run wrote, from the ledger's blobs, as far as it is on record."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import attrs

from tek_abi import Blob
from tek_kernel import LedgerInvalid
from tek_runner.history import EffectHistory, RunHistory, TaskHistory

STREAMS: Final = ("stdout", "stderr")
_PAUSE: Final = 0.3
_LOCKS: Final = Path("/proc/locks")


@attrs.frozen
class Output:
    """What one command wrote to one stream. ``problem`` says why it cannot be had: it is missing or altered, or was
    ``is_redacted``.
    """

    task: str
    effect: EffectHistory
    stream: str
    blob: Blob
    data: bytes = b""
    problem: str = ""
    is_redacted: bool = False


def outputs(history: RunHistory, tasks: Collection[TaskHistory], streams: Collection[str]) -> Iterator[Output]:
    """Yield what commands of ``tasks`` wrote, in the order in which their ends stand in the ledger."""
    ended = [(effect.ended, effect.line, task.task.id, effect) for task in tasks for effect in task.effects]
    for _, _, task_id, effect in sorted((one for one in ended if one[0]), key=lambda one: one[:2]):
        for stream, blob in effect.outputs().items():
            if stream not in streams or not blob.size:
                continue
            try:
                yield Output(task_id, effect, stream, blob, history.bytes_of(blob))
            except LookupError as error:
                is_redacted = blob.sha256 in set(history.held.blobs(history.path).tombstones())
                yield Output(task_id, effect, stream, blob, problem=str(error), is_redacted=is_redacted)


def follow(path: Path) -> Iterator[RunHistory]:
    """Yield the history of a run whenever there is more of it, until it is closed, paused, or nobody writes it."""
    size = -1
    while True:
        is_written = _is_locked(path)
        if (now := path.stat().st_size) != size:
            size = now
            since = time.monotonic()
            try:
                history = RunHistory.read(path)
            except LedgerInvalid as problem:
                if not problem.unfinished:
                    raise
            else:
                yield history
                if history.state in ("closed", "paused", "damaged"):
                    return
            time.sleep(time.monotonic() - since)  # a long ledger is read again, which is to cost no more than half
        elif not is_written:
            return
        time.sleep(_PAUSE)


def _is_locked(path: Path) -> bool:
    """Whether a runner holds the ledger, proc_locks(5). To try its lock would get in the way of one that begins."""
    inode = os.stat(path).st_ino
    try:
        return any(line.split()[-3].endswith(f":{inode}") for line in _LOCKS.read_text().splitlines())
    except OSError:
        return True
