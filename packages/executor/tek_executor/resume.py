"""Going on with a run that was cut off: what becomes of each request that was under way (DESIGN section 5, *Resume*).

Outcomes on record are returned. An intent without one is in doubt: what may be done again is, a probe looks, and what
must happen once waits for somebody's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from tek_abi import Budget, Cancelled, Codec, Failed, Failure, Ok, Path, Task, TaskStatus
from tek_kernel import Admitted, Checker, Driven, Redrive, Result, SideEffect

Answer: TypeAlias = Literal["", "retry", "done", "fail"]
"""What to do about requests in doubt: nothing yet, do them again, take them for done, or for failed."""


@attrs.frozen
class Resumption:
    """A run as its ledger left it: ``redrive`` and ``checker`` have taken all of its lines.

    ``answers`` are by task, that of ``""`` for all others; ``halted`` says why no further task starts, where a ceiling
    was reached.
    """

    redrive: Redrive
    checker: Checker
    codec: Codec
    answers: Mapping[str, Answer] = attrs.field(factory=dict)
    halted: str = ""

    def answer(self, task: Task) -> Answer:
        """Return what was said about a task's requests in doubt."""
        names = (task.id, task.id.partition("#")[0], "")
        return next((self.answers[name] for name in names if name in self.answers), "")

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


def fate_of(admitted: Admitted, driven: Driven, path: Path, task: Task, left: Resumption) -> Fate:
    """Say what becomes of an intent that has no outcome. Raises ``EffectError`` for an answer that cannot be given."""
    kind = admitted.effect.side_effect(admitted.request)
    if path in driven.lost or driven.stopped == "timeout":
        by = "race" if path in driven.lost else "timeout"
        return Known(Result(Cancelled(by, kind in (SideEffect.ONCE, SideEffect.PROBE)), Budget()))
    if kind in (SideEffect.READ, SideEffect.IDEMPOTENT):
        return Again()
    if kind is SideEffect.PROBE:
        happened = admitted.effect.happened(admitted.request, admitted.intent.baseline)
        if happened is not None:
            return Known(presumed(admitted, left.codec)) if happened else Again()
    return answered(admitted, task, left)


def answered(admitted: Admitted, task: Task, left: Resumption) -> Fate:
    """Say what becomes of a request that must happen once, by the task's word or the user's."""
    if task.idempotent:
        return Again()
    match left.answer(task):
        case "retry":
            return Again(answered=True)
        case "done":
            return Known(presumed(admitted, left.codec), answered=True)
        case "fail":
            message = f"{admitted.request.effect} was cut off, and is said to have failed"
            return Known(Result(Failed(Failure("in-doubt", message)), Budget()), answered=True)
        case _:
            return InDoubt()


def said(admitted: Admitted, task: Task, left: Resumption) -> Result:
    """Return how a request ended, of which somebody says that it was done, or failed."""
    fate = answered(admitted, task, left)
    assert isinstance(fate, Known)
    return fate.result


def presumed(admitted: Admitted, codec: Codec) -> Result:
    """Return the outcome of a request that happened without leaving one. Raises ``EffectError``."""
    answer = admitted.effect.presumed(admitted.request)
    value, value_digest = codec.sealed(answer)
    return Result(Ok(value), Budget(), answer, value_digest)


__all__ = ["Again", "Answer", "Fate", "InDoubt", "Known", "Resumption", "fate_of", "said"]
