"""Going on with a run that was cut off: what becomes of each request that was under way (DESIGN section 5, *Resume*).

Outcomes on record are returned. An intent without one is in doubt: what may be done again is, a probe looks, and what
must happen once waits for somebody's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from tek_abi import Budget, Cancelled, Codec, Failed, Failure, Ok, Path, Position, Request, Task, TaskStatus, TekError
from tek_kernel import Admitted, Checker, Driven, Effect, Redrive, Result, SideEffect
from tek_kernel.effect import EffectError

Answer: TypeAlias = Literal["", "retry", "done", "fail"]
"""What to do about requests in doubt: nothing yet, do them again, take them for done, or for failed."""


@attrs.frozen
class Doubtful:
    """A request of which nobody knows whether it happened, and what can be said about it."""

    position: Position
    request: Request[Any]
    answers: tuple[Answer, ...]


@attrs.define(str=False)
class AnswerRefused(TekError, ValueError):
    """What was said about requests in doubt cannot be. ``name`` is what it was said of: a task or a position."""

    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


@attrs.frozen
class Resumption:
    """A run as its ledger left it: ``redrive`` and ``checker`` have taken all of its lines.

    ``answers`` are by position or task, as both are written, that of ``""`` for all others; ``halted`` says why no
    further task starts, where a ceiling was reached.
    """

    redrive: Redrive
    checker: Checker
    codec: Codec
    answers: Mapping[str, Answer] = attrs.field(factory=dict)
    halted: str = ""

    def answer(self, position: Position) -> Answer:
        """Return what was said about a request in doubt."""
        return next((self.answers[name] for name in _names(position) if name in self.answers), "")

    def doubtful(self) -> Iterator[Doubtful]:
        """Yield the requests about which an answer counts. Of some a probe may tell yet that none is needed."""
        for task, driven in self.attempts.items():
            yield from self.doubtful_of(task, driven)

    def doubtful_of(self, task: str, driven: Driven) -> Iterator[Doubtful]:
        """Yield those of one attempt."""
        if self.checker.tasks[task][1].idempotent:
            return
        _, decider = self.redrive.prepared()
        for path, (decided, asked) in driven.open.items():
            if isinstance(decided, Admitted) and not _is_over(driven, path) and _happens_once(decided):
                yield _doubtful(Position(task, driven.number, path), decided.effect, asked.bound.request)
        for path in sorted(driven.doubtful):
            request = {**driven.again, **driven.waiting}[path].bound.request
            yield _doubtful(Position(task, driven.number, path), decider.effect_of(request), request)

    def check_answers(self) -> None:
        """Raise ``AnswerRefused`` for an answer about what is not in doubt, or that cannot be given."""
        doubtful = list(self.doubtful())
        of_all = ", ".join(str(one.position) for one in doubtful) or "nothing"
        for name in self.answers:
            if name and not any(name in _names(one.position) for one in doubtful):
                raise AnswerRefused(name, f"nothing of this name is in doubt; in doubt is {of_all}")
        for one in doubtful:
            answer = self.answer(one.position)
            if answer and answer not in one.answers:
                problem = (
                    f"nobody can make up what this {one.request.effect} would have answered, so it is not {answer}"
                )
                raise AnswerRefused(str(one.position), f"{problem}; say {' or '.join(one.answers)} of it")

    @property
    def ended(self) -> dict[str, tuple[TaskStatus, str]]:
        """The tasks that have ended, in that order: their status, and because of whom they were skipped."""
        return self.checker.ended

    @property
    def attempts(self) -> dict[str, Driven]:
        """The attempts that were under way, by task."""
        return self.redrive.attempts


@attrs.frozen
class Again:
    """Apply it again, under the intent that is on record. ``answered``: somebody said so."""

    answered: bool = False


@attrs.frozen
class Known:
    """Its end is known without applying it. ``answered``: somebody said so."""

    result: Result
    answered: bool = False


@attrs.frozen
class InDoubt:
    """Nobody knows, and nobody has said, whether it happened."""


Fate: TypeAlias = Again | Known | InDoubt


def _names(position: Position) -> tuple[str, ...]:
    """Return the names under which an answer may be given, the nearest first."""
    return str(position), position.task, position.task.partition("#")[0], ""


def _is_over(driven: Driven, path: Path) -> bool:
    """Whether nobody waits for a request any more: others won its race, or its attempt has timed out."""
    return path in driven.lost or driven.stopped == "timeout"


def _happens_once(admitted: Admitted) -> bool:
    return admitted.effect.side_effect(admitted.request) in (SideEffect.ONCE, SideEffect.PROBE)


def _doubtful(position: Position, effect: Effect[Any], request: Request[Any]) -> Doubtful:
    try:
        effect.presumed(request)
    except EffectError:
        return Doubtful(position, request, ("retry", "fail"))
    return Doubtful(position, request, ("done", "retry", "fail"))


def fate_of(admitted: Admitted, driven: Driven, path: Path, task: Task, left: Resumption) -> Fate:
    """Say what becomes of an intent that has no outcome. Raises ``EffectError`` for an answer that cannot be given."""
    kind = admitted.effect.side_effect(admitted.request)
    if _is_over(driven, path):
        by = "race" if path in driven.lost else "timeout"
        return Known(Result(Cancelled(by, kind in (SideEffect.ONCE, SideEffect.PROBE)), Budget()))
    if kind in (SideEffect.READ, SideEffect.IDEMPOTENT):
        return Again()
    if kind is SideEffect.PROBE:
        happened = admitted.effect.happened(admitted.request, admitted.intent.baseline)
        if happened is not None:
            return Known(presumed(admitted, left.codec)) if happened else Again()
    return Again() if task.idempotent else answered(admitted, left)


def answered(admitted: Admitted, left: Resumption) -> Fate:
    """Say what becomes of a request that must happen once, by somebody's word."""
    match left.answer(admitted.intent.position):
        case "retry":
            return Again(answered=True)
        case "done":
            return Known(presumed(admitted, left.codec), answered=True)
        case "fail":
            message = f"{admitted.request.effect} was cut off, and is said to have failed"
            return Known(Result(Failed(Failure("in-doubt", message)), Budget()), answered=True)
        case _:
            return InDoubt()


def said(admitted: Admitted, left: Resumption) -> Result:
    """Return how a request ended, of which somebody says that it was done, or failed."""
    fate = answered(admitted, left)
    assert isinstance(fate, Known)
    return fate.result


def presumed(admitted: Admitted, codec: Codec) -> Result:
    """Return the outcome of a request that happened without leaving one. Raises ``EffectError``."""
    answer = admitted.effect.presumed(admitted.request)
    value, value_digest = codec.sealed(answer)
    return Result(Ok(value), Budget(), answer, value_digest)


__all__ = [
    "Again", "Answer", "AnswerRefused", "Doubtful", "Fate", "InDoubt", "Known", "Resumption", "fate_of", "said",
]  # fmt: skip
