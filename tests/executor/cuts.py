"""Runs that are cut off: what is left of their ledger, and what had been done by then."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter

from tek_kernel import Context
from tests.executor.bench import Act, MemoryFile, echo


class Crash(MemoryFile):
    """A ledger's file that takes so many lines and no more, as if the runner had been killed then."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def write(self, data: bytes) -> None:
        if self._room == 0:
            raise OSError(5, "killed")
        self._room -= 1
        super().write(data)


class World:
    """An act that counts what was done for good."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, name: str, context: Context) -> str:
        if name == "hold":
            stopped = threading.Event()
            context.cancel.on_cancel(stopped.set)
            assert stopped.wait(10)
        with self._lock:
            self.done[name] += 1
        return echo(name, context)


class PowerCut(Crash):
    """A ledger's file of which, once the power is gone, nothing is left for sure but what was synced."""

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.promised = 0

    def sync(self) -> None:
        self.promised = len(self.data)

    def left(self, sector: int, fates: list[str]) -> bytes:
        """Return what is found afterwards: of each sector of what was not synced, all, zeros, or nothing from there."""
        kept, lost = bytes(self.data[: self.promised]), bytes(self.data[self.promised :])
        for start, fate in zip(range(0, len(lost), sector), itertools.cycle(fates), strict=False):
            piece = lost[start : start + sector]
            if fate == "end":
                break
            kept += piece if fate == "kept" else bytes(len(piece))
        return kept


def acts_on_record(ledger: bytes) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Return how often each act is on record as done, and those with an intent and no outcome, by their tasks."""
    open_: dict[str, tuple[str, str]] = {}
    done: Counter[str] = Counter()
    for line in map(json.loads, ledger.splitlines()):
        position = str(line.get("position"))
        if line["kind"] == "effect.intent" and line["envelope"]["effect"] == Act.effect and line["allow"]:
            open_[position] = line["position"][0], line["envelope"]["args"]["name"]
        elif line["kind"] == "effect.outcome" and position in open_:
            _, name = open_.pop(position)
            done[name] += line["outcome"]["status"] == "ok"
    return done, list(open_.values())
