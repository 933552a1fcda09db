"""Run an agent against a script of requests and outcomes: no kernel, no files, no processes, no clock.

>>> from tek_agents import TaskReport, fs, proc
>>> from tek_agents.testing import exited, script
>>> from tek_abi.vocabulary.fs import Read
>>> from tek_abi.vocabulary.proc import Exec

>>> class Greeter:
...     async def run(self, task):
...         name = await fs.read_text("name.txt")
...         await proc.exec("echo", f"hello {name}")
...         return TaskReport(message=f"greeted {name}")

>>> script([
...     (Read("name.txt"), b"Ada"),
...     (Exec(("echo", "hello Ada")), exited(0, b"hello Ada")),
... ]).run(Greeter()).message
'greeted Ada'

A script that the agent does not follow says where they part:

>>> script([
...     (Read("name.txt"), b"Bob"),
...     (Exec(("echo", "hello Ada")), exited(0)),
... ]).run(Greeter())
Traceback (most recent call last):
    ...
tek_agents.testing.scripting.ScriptMismatch: the agent does not follow its script
  1. fs.read(path='name.txt') -> 3 bytes
expected: proc.exec(argv=('echo', 'hello Ada'), cwd='.', env=(), timeout=None)
actual:   proc.exec(argv=('echo', 'hello Bob'), cwd='.', env=(), timeout=None)
  argv: expected ('echo', 'hello Ada'), actual ('echo', 'hello Bob')
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cache
from typing import Any

import attrs

from tek_abi import (
    Assignment,
    Blob,
    Bound,
    Cancelled,
    Codec,
    DecodeError,
    Denied,
    Drive,
    Event,
    Failed,
    MemoryBlobs,
    Ok,
    Path,
    Request,
    Task,
    ValueNotAllowed,
    Won,
    layer_of,
)
from tek_abi.vocabulary.proc import Exit
from tek_agents.agent import Agent
from tek_agents.errors import TaskCancelled, exception_for


class ScriptMismatch(AssertionError):
    """An agent and its script disagree. The text shows the requests so far, and what differs field by field."""


def script(lines: Iterable[tuple[Request[Any] | Bound[Any], Any]]) -> Script:
    """Write a script: the requests that the agent is to make, each with its outcome.

    A request in the script matches whatever the agent reserves for it; a ``Bound`` only the same reservation and
    invariants. Of requests that are open at the same time, in a gather or race, the script's order decides which is
    answered first. Losers of a race are cancelled by themselves and have no outcome in the script.

    An outcome is a value of the request's type (``bytes`` will do for a blob), ``Ok``, ``Denied``, ``Failed``,
    ``Cancelled``, or an exception to raise.
    """
    return Script(tuple(lines))


def task(id: str = "TASK-001", *, attempt: int = 1, progress: int = 0, **fields: Any) -> Assignment:  # noqa: A002  # as the field is called
    """Build an assignment; ``fields`` are those of ``tek_abi.Task`` (``steps``, ``env``, ``cwd``, ...)."""
    fields = {"title": id, "layer": layer_of(id), **fields}
    return Assignment(Task(id, **fields), attempt, progress)


def exited(code: int | None = 0, stdout: bytes = b"", stderr: bytes = b"", signal: int | None = None) -> Exit:
    """Build the answer to ``proc.exec``. Where ``signal`` is given there is no code."""
    return Exit(code if signal is None else None, Blob.of(stdout), Blob.of(stderr), signal)


@attrs.frozen
class Script:
    """Requests and their outcomes, in order. Made by ``script``; can be run any number of times."""

    lines: tuple[tuple[Request[Any] | Bound[Any], Any], ...]

    def run(self, subject: Agent | Coroutine[Any, Any, Any], assignment: Assignment | None = None) -> Any:
        """Run an agent on a task (``TASK-001`` unless given), or any coroutine; return what it returns.

        Raises ``ScriptMismatch`` where it asks for something else, for more, or for less; and whatever it raises.
        """
        assignment = assignment or task()
        coroutine = subject if isinstance(subject, Coroutine) else subject.run(assignment)
        run = _Run(Drive(coroutine, assignment.progress))
        try:
            run.play(self.lines)
        finally:
            run.drive.close()
        if run.drive.error is not None:
            raise run.drive.error
        return run.drive.result


def improvise(
    subject: Agent | Coroutine[Any, Any, Any],
    answer: Callable[[Request[Any]], Any],
    assignment: Assignment | None = None,
) -> Any:
    """Run an agent where ``answer`` says what comes of each request, in any form that a script takes.

    Of requests that are open at the same time the first in the order of the source is answered first. Returns what
    the agent returns and raises what it raises.

    >>> from tek_agents import fs
    >>> async def name():
    ...     return await fs.read_text("name.txt")
    >>> improvise(name(), lambda request: b"Ada")
    'Ada'
    """
    assignment = assignment or task()
    coroutine = subject if isinstance(subject, Coroutine) else subject.run(assignment)
    run = _Run(Drive(coroutine, assignment.progress))
    try:
        run.note_losers(run.drive.start())
        while not run.drive.finished:
            path, bound = min(run.drive.pending.items(), key=lambda item: item[0])
            run.note_losers(run.settle(path, bound.request, answer(bound.request)))
    finally:
        run.drive.close()
    if run.drive.error is not None:
        raise run.drive.error
    return run.drive.result


@cache
def _codec() -> Codec:
    """Return one codec for all runs: what it learns of a type takes longer than a run."""
    return Codec(MemoryBlobs())


@attrs.define
class _Run:
    """One run of a script. ``log`` is what has been answered."""

    drive: Drive
    log: list[str] = attrs.field(factory=list)

    def play(self, lines: Sequence[tuple[Request[Any] | Bound[Any], Any]]) -> None:
        self.note_losers(self.drive.start())
        for expected, outcome in lines:
            path = self.find(expected)
            request = self.drive.pending[path].request
            self.log.append(f"{_shown(request)} -> {_shown_outcome(outcome)}")
            self.note_losers(self.settle(path, request, outcome))
        if not self.drive.finished:
            raise self.mismatch(None)

    def find(self, expected: Request[Any] | Bound[Any]) -> Path:
        """Return the first open request, in the order of the source, that is the one expected."""
        for path, bound in sorted(self.drive.pending.items()):
            if expected == (bound if isinstance(expected, Bound) else bound.request):
                return path
        raise self.mismatch(expected)

    def settle(self, path: Path, request: Request[Any], outcome: Any) -> list[Event]:
        match outcome:
            case Denied() | Failed() | Cancelled():
                return self.drive.fail(path, exception_for(outcome))
            case Exception():
                return self.drive.fail(path, outcome)
        return self.drive.answer(path, self.answer(request, outcome.value if isinstance(outcome, Ok) else outcome))

    def answer(self, request: Request[Any], value: Any) -> Any:
        """Take an answer through the codec, so that an agent sees just what it would see in a run."""
        if isinstance(value, bytes) and request.output is Blob:
            value = Blob.of(value)
        try:
            codec = _codec()
            return codec.decode(codec.encode(value), request.output)
        except (DecodeError, ValueNotAllowed) as error:
            problem = f"the script's answer to {_shown(request)} is not one: {error}"
            raise ScriptMismatch(problem) from None

    def note_losers(self, events: list[Event]) -> None:
        """Settle the losers of races, which may make further ones."""
        for event in events:
            if isinstance(event, Won):
                for path in event.lost:
                    self.log.append(f"the race at {list(event.path)} is won by {event.winner}; {list(path)} is lost")
                    self.note_losers(self.drive.fail(path, TaskCancelled("race")))

    def mismatch(self, expected: Request[Any] | Bound[Any] | None) -> ScriptMismatch:
        pending = [bound for _, bound in sorted(self.drive.pending.items())]
        text = ["the agent does not follow its script"]
        text += [f"  {number}. {line}" for number, line in enumerate(self.log, 1)]
        text.append(f"expected: {'no further request' if expected is None else _shown(expected)}")
        if not pending:
            text.append(f"actual:   {self.end()}")
            return ScriptMismatch("\n".join(text))
        actual = _likest(expected, pending)
        text.append(f"actual:   {_shown(actual)}")
        text += [f"     also:   {_shown(other)}" for other in pending if other is not actual]
        text += _differences(expected, actual)
        return ScriptMismatch("\n".join(text))

    def end(self) -> str:
        if self.drive.error is not None:
            return f"the agent ended by raising {self.drive.error!r}"
        return f"the agent ended and returned {self.drive.result!r}"


def _likest(expected: Request[Any] | Bound[Any] | None, pending: list[Bound[Any]]) -> Bound[Any]:
    """Return the open request to compare with: the first of the same effect, or the first."""
    wanted = type(expected.request if isinstance(expected, Bound) else expected)
    return next((bound for bound in pending if type(bound.request) is wanted), pending[0])


def _differences(expected: Request[Any] | Bound[Any] | None, actual: Bound[Any]) -> list[str]:
    pairs: list[tuple[Any, Any]] = []
    if isinstance(expected, Bound):
        pairs, expected = [(expected, actual)], expected.request
    if type(expected) is type(actual.request):
        pairs.append((expected, actual.request))
    return [
        f"  {field.name}: expected {getattr(one, field.name)!r}, actual {getattr(other, field.name)!r}"
        for one, other in pairs
        for field in attrs.fields(type(one))
        if field.name != "request" and getattr(one, field.name) != getattr(other, field.name)
    ]


def _shown(ask: Request[Any] | Bound[Any]) -> str:
    if not isinstance(ask, Bound):
        kind: type[Any] = type(ask)
        arguments = [f"{field.name}={getattr(ask, field.name)!r}" for field in attrs.fields(kind)]
        return f"{ask.effect}({', '.join(arguments)})"
    bounds = f"budget={ask.budget!r}, invariants={ask.invariants!r}"
    return f"{_shown(ask.request)} with {bounds}" if ask.budget or ask.invariants else _shown(ask.request)


def _shown_outcome(outcome: Any) -> str:
    match outcome:
        case bytes():
            return f"{len(outcome)} bytes"
        case Blob():
            return f"{outcome.size} bytes"
        case _:
            shown = repr(outcome)
            return shown if len(shown) <= 100 else shown[:99] + "…"
