"""Drive: steps one agent's coroutine, and says what it asks for (DESIGN section 3, *Agent* and *Position*).

A pure state machine: no thread, clock or effect. The executor answers from effects, replay from the ledger, tests
from a script; the same answers in the same order always give the same requests at the same positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Coroutine
from traceback import walk_tb
from types import CoroutineType, FrameType
from typing import Any, Final, TypeAlias

import attrs

from tek_abi.errors import TekError
from tek_abi.request import Bound, Gather, Race, Request, Trap

Path: TypeAlias = tuple[int, ...]

_CLOSE_TRIES: Final = 100


@attrs.define(str=False)
class ForeignAwait(TekError, TypeError):
    """An agent awaited something that is not an effect. ``what`` names it."""

    what: str

    def __str__(self) -> str:
        return f"an agent can await effects, gather and race only, not {self.what}; there is no event loop here"


@attrs.define(str=False)
class AgentExited(TekError, RuntimeError):
    """An agent raised what would end the whole program, such as ``SystemExit``. ``what`` is its text."""

    what: str

    def __str__(self) -> str:
        return f"the agent raised {self.what}; an agent ends by returning its report or raising an ordinary exception"


@attrs.frozen
class Asked:
    """The agent asks for one effect at ``path``. ``racing``: others may win against it while it waits."""

    path: Path
    bound: Bound[Any]
    racing: bool = False


@attrs.frozen
class Won:
    """Branch ``winner`` of the race at ``path`` ended first; the requests at ``lost`` are to be cancelled."""

    path: Path
    winner: int
    lost: tuple[Path, ...]


Event: TypeAlias = Asked | Won


@attrs.define(eq=False)
class _Frame:
    """One coroutine: the root, or a branch of ``group``. It waits for the request at ``at`` or for ``below``."""

    branch: Any
    coroutine: Coroutine[Any, Any, Any]
    prefix: Path
    group: _Group | None = None
    slot: int = 0
    index: int = 0
    started: bool = False
    closed: bool = False
    racing: bool = False
    at: Path | None = None
    below: _Group | None = None


@attrs.define(eq=False)
class _Group:
    """A gather or race in progress. ``owed`` are the lost requests that must settle before a race goes on."""

    parent: _Frame
    path: Path
    racing: bool
    frames: list[_Frame]
    results: list[Any]
    open: int
    errors: dict[int, Exception] = attrs.field(factory=dict)
    winner: int | None = None
    owed: set[Path] = attrs.field(factory=set)


class Drive:
    """One attempt of one agent. ``start`` once, then ``answer`` or ``fail`` each pending path; each returns events.

    Requests that a ``Won`` names as lost are still to be settled, in any way: nothing of a loser outlives its race.
    ``finished`` turns true when the coroutine has ended; then ``result`` or ``error`` holds how.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first_index: int = 0) -> None:
        self._root = _Frame(coroutine, _coroutine(coroutine), (), index=first_index)
        self._ready: list[tuple[_Frame, Any, Exception | None]] = []
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
        return self._run(self._root, None, None)

    def answer(self, path: Path, value: Any) -> list[Event]:
        """Give the request at ``path`` its value. Raises ``LookupError`` where none is open."""
        return self._settle(path, value, None)

    def fail(self, path: Path, error: Exception) -> list[Event]:
        """Raise ``error`` where the request at ``path`` was awaited. Raises ``LookupError`` where none is open."""
        return self._settle(path, None, error)

    def close(self) -> None:
        """Stop the coroutine where it stands; its ``finally`` blocks run, but can ask for nothing more."""
        self.finished = True
        self._abandon(self._root, None)
        self._ready.clear()
        self._lost.clear()

    def _settle(self, path: Path, value: Any, error: Exception | None) -> list[Event]:
        if path in self._waiting:
            frame, _ = self._waiting.pop(path)
            frame.at = None
            return self._run(frame, value, error)
        if path not in self._lost:
            raise LookupError(f"no request is open at {path}")
        group = self._lost.pop(path)
        group.owed.discard(path)
        if group.owed:
            return []
        return self._run(*_continuation(group))

    def _run(self, frame: _Frame, value: Any, error: Exception | None) -> list[Event]:
        """Step whatever can go on, depth first and in the order of the source, until all wait."""
        self._ready.append((frame, value, error))
        while self._ready:
            frame, value, error = self._ready.pop()
            if not frame.closed:
                self._step(frame, value, error)
        events, self._events = self._events, []
        return events

    def _step(self, frame: _Frame, value: Any, error: Exception | None) -> None:
        """Run one coroutine until it waits or ends."""
        frame.below = None
        if not frame.started:
            frame.started = True
            if _runs_already(frame.coroutine):
                self._ended(frame, None, ForeignAwait("a coroutine that runs already"))
                return
        while True:
            try:
                trap = frame.coroutine.throw(error) if error is not None else frame.coroutine.send(value)
            except StopIteration as stop:
                self._ended(frame, stop.value, None)
                return
            except KeyboardInterrupt:
                raise
            except Exception as raised:
                self._ended(frame, None, _loopless(raised) or raised)
                return
            except BaseException as raised:
                self._ended(frame, None, AgentExited(repr(raised)))
                return
            value, error = None, None
            if isinstance(trap, Request | Bound):
                self._ask(frame, trap)
                return
            if isinstance(trap, Gather | Race) and trap.branches:
                self._fork(frame, trap)
                return
            if isinstance(trap, Gather):
                value = []
            elif isinstance(trap, Race):
                error = ValueError("race needs at least one branch")
            else:
                error = ForeignAwait(_named(trap))

    def _ask(self, frame: _Frame, trap: Request[Any] | Bound[Any]) -> None:
        bound = trap if isinstance(trap, Bound) else Bound(trap)
        path = frame.at = (*frame.prefix, frame.index)
        frame.index += 1
        self._waiting[path] = (frame, bound)
        self._events.append(Asked(path, bound, frame.racing))

    def _fork(self, frame: _Frame, trap: Gather | Race) -> None:
        path = (*frame.prefix, frame.index)
        frame.index += 1
        count = len(trap.branches)
        frame.below = group = _Group(frame, path, isinstance(trap, Race), [], [None] * count, count)
        for slot, branch in enumerate(trap.branches):
            racing = frame.racing or group.racing
            group.frames.append(_Frame(branch, _coroutine(branch), (*path, slot), group, slot, racing=racing))
        self._ready.extend((child, None, None) for child in reversed(group.frames))

    def _ended(self, frame: _Frame, value: Any, error: Exception | None) -> None:
        group = frame.group
        if group is None:
            self.finished, self.result, self.error = True, value, error
            return
        group.results[frame.slot] = value
        if error is not None:
            group.errors[frame.slot] = error
        group.open -= 1
        if group.racing:
            self._win(group, frame.slot)
        elif group.open == 0:
            self._ready.append(_continuation(group))

    def _win(self, group: _Group, winner: int) -> None:
        group.winner = winner
        lost = [path for loser in group.frames if loser.slot != winner for path in self._abandon(loser, group)]
        self._events.append(Won(group.path, winner, tuple(sorted(lost))))
        if not group.owed:
            self._ready.append(_continuation(group))

    def _abandon(self, frame: _Frame, heir: _Group | None) -> list[Path]:
        """Close a coroutine and all beneath it, innermost first. Return its open requests; ``heir`` waits for them,
        and for those that races beneath it still waited for.
        """
        tree = [frame]
        for member in tree:
            if member.below is not None:
                tree.extend(member.below.frames)
        lost: list[Path] = []
        for member in reversed(tree):
            member.closed = True
            _close(member.coroutine)
            _close(member.branch)
            if member.at is not None:
                del self._waiting[member.at]
                lost.append(member.at)
            if heir is not None and member.below is not None:
                heir.owed |= member.below.owed
            member.at = member.below = None
        if heir is not None:
            heir.owed.update(lost)
            self._lost.update(dict.fromkeys(heir.owed, heir))
        return lost


def _continuation(group: _Group) -> tuple[_Frame, Any, Exception | None]:
    """Return what the coroutine that forked gets: the first error in the order of the source, or the answers."""
    if group.errors:
        return group.parent, None, group.errors[min(group.errors)]
    if group.winner is not None:
        return group.parent, (group.winner, group.results[group.winner]), None
    return group.parent, group.results, None


def _coroutine(branch: Any) -> Coroutine[Any, Any, Any]:
    return branch if isinstance(branch, Coroutine) else _awaiting(branch)


async def _awaiting(branch: Trap[Any] | Awaitable[Any]) -> Any:
    if not isinstance(branch, Awaitable):
        raise ForeignAwait(_named(branch))
    return await branch


def _runs_already(coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Whether someone else steps this coroutine: stepping it here too would answer a request of theirs."""
    return isinstance(coroutine, CoroutineType) and inspect.getcoroutinestate(coroutine) in (
        inspect.CORO_RUNNING,
        inspect.CORO_SUSPENDED,
    )


def _close(branch: Any) -> None:
    """Close a coroutine, or those of a gather or race that was never asked for.

    What it does on its way out can neither ask for an effect nor change the result; a coroutine that awaits or
    raises while it is closed is closed again, until it has ended.
    """
    if isinstance(branch, Gather | Race):
        for inner in branch.branches:
            _close(inner)
    if not isinstance(branch, Coroutine):
        return
    for _ in range(_CLOSE_TRIES):
        try:
            branch.close()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: S112  # the agent is being stopped: nobody is left to hear of it
            continue
        return


_NO_LOOP: Final = {"no running event loop": "asyncio", "must be called from async context": "trio"}
"""What libraries say of an event loop that is not there, and which of them."""


def _loopless(error: Exception) -> ForeignAwait | None:
    """Return what an error means that an event loop's absence gave rise to, such as ``asyncio.sleep(1)``'s."""
    library = _NO_LOOP.get(str(error)) if type(error) is RuntimeError else None
    if library is None:
        return None
    frames = (frame.f_code for frame, _ in walk_tb(error.__traceback__) if _library(frame) == library)
    code = next(frames, None)
    return ForeignAwait(library if code is None else f"{library}.{code.co_qualname}")


def _library(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _named(trap: object) -> str:
    if trap is None:
        return "a bare yield, as asyncio.sleep(0) does"
    kind = type(trap)
    return f"a {kind.__module__}.{kind.__qualname__}"
