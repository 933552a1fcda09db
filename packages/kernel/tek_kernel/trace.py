"""What the tasks of a ledger did, without when, where and in which order: what two runs of one plan can share.

It is what the replay hash stands for (``replay_hash``), kept apart by task and path so that differences have a place.
"""

from __future__ import annotations

import attrs

from tek_abi import (
    Decision,
    Denied,
    EffectIntent,
    EffectOutcome,
    Failed,
    Ok,
    Position,
    TaskEnded,
    Value,
    status_of,
)
from tek_kernel.lines import Line
from tek_kernel.replay_hash import NOT_RUN, is_lost

Place = tuple[int, ...]
"""An attempt and a path in it."""


@attrs.frozen
class Step:
    """A request and what came of it: ``args`` and ``value`` as they stand in the ledger, with their digests.

    ``status`` is ok, denied, failed or cancelled, or ``open`` where no outcome is on record; ``code`` that of a denial
    or failure.
    """

    effect: str
    version: int
    args: Value
    args_digest: str
    status: str = "open"
    code: str = ""
    value: Value = None
    value_digest: str = ""


@attrs.define
class TaskTrace:
    """What one task did. ``races`` name the winner of each race."""

    status: str = NOT_RUN
    steps: dict[Place, Step] = attrs.field(factory=dict)
    races: dict[Place, int] = attrs.field(factory=dict)

    def counted(self) -> dict[Place, Step]:
        """Return the steps that count: those in a branch that lost its race do not."""
        return {place: step for place, step in self.steps.items() if not is_lost(place, self.races)}


class Trace:
    """Gathers what the tasks of one ledger did, line by line, each after its ``Checker`` has taken it."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskTrace] = {}

    def take(self, line: Line) -> None:
        """Take one line."""
        match line.entry:
            case EffectIntent(position, envelope):
                step = Step(envelope.effect, envelope.v, envelope.args, envelope.args_digest)
                self._task(position).steps[_place(position)] = step
            case EffectOutcome() as entry:
                steps = self._task(entry.position).steps
                place = _place(entry.position)
                steps[place] = _ended(steps[place], entry)
            case Decision(position, "race", winner) if type(winner) is int:
                self._task(position).races[_place(position)] = winner
            case TaskEnded(task, status):
                self.tasks.setdefault(task, TaskTrace()).status = status
            case _:
                pass

    def _task(self, position: Position) -> TaskTrace:
        return self.tasks.setdefault(position.task, TaskTrace())


def _place(position: Position) -> Place:
    return (position.attempt, *position.path)


def _ended(step: Step, entry: EffectOutcome) -> Step:
    status = status_of(entry.outcome)
    match entry.outcome:
        case Ok(value):
            return attrs.evolve(step, status=status, value=value, value_digest=entry.value_digest or "")
        case Denied(reason):
            return attrs.evolve(step, status=status, code=reason.code)
        case Failed(error):
            return attrs.evolve(step, status=status, code=error.code)
        case _:
            return attrs.evolve(step, status=status)
