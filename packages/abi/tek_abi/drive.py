"""Drive: steps one agent's coroutine, and says what it asks for (DESIGN section 3, *Agent* and *Position*).

A pure state machine: no thread, clock or effect. The executor answers from effects, replay from the ledger, tests
from a script; the same answers in the same order always give the same requests at the same positions.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeAlias

import attrs

from tek_abi.errors import TekError
from tek_abi.request import Bound, Gather, Race, Request, Trap

Path: TypeAlias = tuple[int, ...]


@attrs.define(str=False)
class ForeignAwait(TekError, TypeError):
    """An agent awaited something that is not an effect. ``what`` names it."""

    what: str

    def __str__(self) -> str:
        return f"an agent can await effects, gather and race only, not {self.what}; there is no event loop here"


@attrs.frozen
class Asked:
    """The agent asks for one effect at ``path``."""

    path: Path
    bound: Bound[Any]


@attrs.frozen
class Won:
    """Branch ``winner`` of the race at ``path`` ended first; the requests at ``lost`` are to be cancelled."""

    path: Path
    winner: int
    lost: tuple[Path, ...]


Event: TypeAlias = Asked | Won


@attrs.define(eq=False)
class _Frame:
    coroutine: Coroutine[Any, Any, Any]
    prefix: Path
    group: _Group | None = None
    slot: int = 0
    index: int = 0


@attrs.define(eq=False)
class _Group:
    parent: _Frame
    path: Path
    racing: bool
    frames: list[_Frame]
    results: list[Any]
    errors: dict[int, Exception] = attrs.field(factory=dict)
    open: int = 0
    winner: int | None = None


class Drive:
    """One attempt of one agent. ``start`` once, then ``answer`` or ``fail`` each pending path; each returns events.

    ``finished`` turns true when the coroutine has ended; then ``result`` or ``error`` holds how.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first_index: int = 0) -> None:
        self._root = _Frame(coroutine, (), index=first_index)
        self._waiting: dict[Path, tuple[_Frame, Bound[Any]]] = {}
        self._lost: dict[Path, _Group] = {}
        self._events: list[Event] = []
        self.finished = False
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def pending(self) -> dict[Path, Bound[Any]]:
        """The requests without an answer, those of lost branches left out."""
        return {path: bound for path, (_, bound) in self._waiting.items()}

    def start(self) -> list[Event]:
        """Run to the first requests."""
        self._step(self._root, None, None)
        return self._drain()

    def answer(self, path: Path, value: Any) -> list[Event]:
        """Give the request at ``path`` its value."""
        return self._settle(path, value, None)

    def fail(self, path: Path, error: Exception) -> list[Event]:
        """Raise ``error`` where the request at ``path`` was awaited."""
        return self._settle(path, None, error)

    def close(self) -> None:
        """Stop the coroutine where it stands; its ``finally`` blocks run, but can ask for nothing more."""
        frames = [frame for frame, _ in self._waiting.values()]
        self._waiting.clear()
        self._lost.clear()
        self.finished = True
        while frames:
            frame = frames.pop()
            _close(frame.coroutine)
            if frame.group is not None:
                frames.append(frame.group.parent)
        _close(self._root.coroutine)

    def _drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _settle(self, path: Path, value: Any, error: Exception | None) -> list[Event]:
        group = self._lost.pop(path, None)
        if group is not None:
            self._resume_race(group)
            return self._drain()
        frame, _ = self._waiting.pop(path)
        self._step(frame, value, error)
        return self._drain()

    def _step(self, frame: _Frame, value: Any, error: Exception | None) -> None:
        """Run one coroutine until it waits or ends."""
        while True:
            try:
                trap = frame.coroutine.throw(error) if error is not None else frame.coroutine.send(value)
            except StopIteration as stop:
                self._ended(frame, stop.value, None)
                return
            except Exception as raised:
                self._ended(frame, None, raised)
                return
            value, error = None, None
            if isinstance(trap, Request):
                trap = Bound(trap)
            if isinstance(trap, Bound):
                path = (*frame.prefix, frame.index)
                frame.index += 1
                self._waiting[path] = (frame, trap)
                self._events.append(Asked(path, trap))
                return
            if isinstance(trap, Gather | Race):
                if trap.branches:
                    self._fork(frame, trap)
                    return
                if isinstance(trap, Gather):
                    value = []
                else:
                    error = ValueError("race needs at least one branch")
                continue
            error = ForeignAwait(_named(trap))

    def _fork(self, frame: _Frame, trap: Gather | Race) -> None:
        path = (*frame.prefix, frame.index)
        frame.index += 1
        group = _Group(frame, path, isinstance(trap, Race), [], [None] * len(trap.branches), open=len(trap.branches))
        for slot, branch in enumerate(trap.branches):
            coroutine = branch if isinstance(branch, Coroutine) else _awaiting(branch)
            group.frames.append(_Frame(coroutine, (*path, slot), group, slot))
        for child in group.frames:
            if group.winner is not None:
                break
            self._step(child, None, None)

    def _ended(self, frame: _Frame, value: Any, error: Exception | None) -> None:
        group = frame.group
        if group is None:
            self.finished, self.result, self.error = True, value, error
            return
        group.results[frame.slot] = value
        if error is not None:
            group.errors[frame.slot] = error
        if group.racing:
            if group.winner is None:
                self._win(group, frame.slot)
            return
        group.open -= 1
        if group.open == 0:
            if group.errors:
                self._step(group.parent, None, group.errors[min(group.errors)])
            else:
                self._step(group.parent, group.results, None)

    def _win(self, group: _Group, winner: int) -> None:
        group.winner = winner
        lost: list[Path] = []
        for path, (frame, _) in list(self._waiting.items()):
            branch = path[len(group.path)] if path[: len(group.path)] == group.path else winner
            if branch != winner:
                del self._waiting[path]
                lost.append(path)
                self._lost[path] = group
                while frame is not group.parent:
                    _close(frame.coroutine)
                    frame = frame.group.parent if frame.group is not None else group.parent
        for path, owner in self._lost.items():
            if owner is not group and path[: len(group.path)] == group.path:
                self._lost[path] = group
                lost.append(path)
        for frame in group.frames:
            if frame.slot != winner:
                _close(frame.coroutine)
        group.open = len(lost) + 1
        self._events.append(Won(group.path, winner, tuple(lost)))
        self._resume_race(group)

    def _resume_race(self, group: _Group) -> None:
        """Go on after a race once every lost request has settled, so that nothing of a loser outlives it."""
        group.open -= 1
        if group.open or group.winner is None:
            return
        error = group.errors.get(group.winner)
        self._step(group.parent, None if error else (group.winner, group.results[group.winner]), error)


async def _awaiting(trap: Trap[Any]) -> Any:
    if not isinstance(trap, Trap):
        raise ForeignAwait(_named(trap))
    return await trap


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        coroutine.close()
    except Exception:
        # What a cancelled branch does on its way out can neither ask for an effect nor change the result.
        return


def _named(trap: object) -> str:
    if trap is None:
        return "a bare yield, as asyncio.sleep(0) does"
    kind = type(trap)
    return f"a {kind.__module__}.{kind.__qualname__}"
