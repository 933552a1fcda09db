"""What happened to one task of a recorded run: its attempts, its requests, how each was decided and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

import attrs

from tek_abi import (
    Blob,
    Budget,
    Decision,
    Denied,
    EffectIntent,
    EffectOutcome,
    Failed,
    Instant,
    Position,
    Queue,
    Task,
    TaskEnded,
    status_of,
)
from tek_abi.vocabulary.proc import Exec

OPEN: Final = "open"
"""The status of what has no end on record."""


def subject_of(effect: str, args: Mapping[str, Any]) -> str:
    """Return what a request is about, on one line: a command, a path, a request's method and address."""
    if effect == Exec.effect and isinstance(args.get("argv"), list):
        return " ".join(shlex.join(map(str, args["argv"])).split())
    words = (args.get(name) for name in ("method", "url", "path", "pattern", "source", "target", "name"))
    return " ".join(word for word in words if isinstance(word, str))


@attrs.define
class EffectHistory:
    """One request: what was asked, how it was decided, what came of it. ``ended`` is empty while it is open."""

    intent: EffectIntent
    line: int
    begun: Instant
    args: Mapping[str, Any]
    ended: Instant = ""
    outcome: EffectOutcome | None = None
    value: Any = None

    @property
    def position(self) -> Position:
        """Where in the plan it was asked for."""
        return self.intent.position

    @property
    def name(self) -> str:
        """The effect's name, such as ``fs.read``."""
        return self.intent.envelope.effect

    @property
    def status(self) -> str:
        """``ok``, ``denied``, ``failed`` or ``cancelled``; ``open`` where no outcome is on record."""
        return OPEN if self.outcome is None else status_of(self.outcome.outcome)

    @property
    def usage(self) -> Budget:
        """What it was charged."""
        return Budget() if self.outcome is None else self.outcome.usage

    @property
    def subject(self) -> str:
        """What it was about, on one line: a command, a path, a request's method and address."""
        return subject_of(self.name, self.args)

    @property
    def problem(self) -> str:
        """Why it was denied or failed; empty where it was not."""
        match self.outcome and self.outcome.outcome:
            case Denied(reason):
                return reason.message
            case Failed(error):
                return f"{error.code}: {error.message}"
            case _:
                return ""

    @property
    def grant(self) -> str:
        """The line or flag that would have granted it; empty where nothing is known to."""
        match self.outcome and self.outcome.outcome:
            case Denied(reason):
                return reason.grant
            case Failed(error):
                return error.grant
            case _:
                return ""

    @property
    def exit(self) -> str:
        """How a command ended: ``0``, ``1``, ``SIGKILL``'s number as ``signal 9``; empty for any other effect."""
        if self.name != Exec.effect or not isinstance(self.value, dict):
            return ""
        signal = self.value.get("signal")
        return f"signal {signal}" if signal else str(self.value.get("code"))

    def outputs(self) -> dict[str, Blob]:
        """Return what a command wrote, by stream: ``stdout``, ``stderr``."""
        if self.name != Exec.effect or self.outcome is None:
            return {}
        known = self.value if isinstance(self.value, dict) else self.outcome.obs
        found: dict[str, Blob] = {}
        for stream in ("stdout", "stderr"):
            reference = known.get(stream) if isinstance(known, dict) else None
            fields = reference.get("$blob") if isinstance(reference, dict) else None
            if isinstance(fields, dict) and isinstance(fields.get("sha256"), str):
                found[stream] = Blob(fields["sha256"], fields.get("size", 0))
        return found


@attrs.define
class AttemptHistory:
    """One attempt at a task. ``ended`` is empty while it is under way."""

    number: int
    begun: Instant
    ended: Instant = ""


@attrs.define
class TaskHistory:
    """One task of the plan. ``end`` is its last word, where it has one on record."""

    queue: Queue
    task: Task
    agent: str = ""
    attempts: list[AttemptHistory] = attrs.field(factory=list)
    effects: list[EffectHistory] = attrs.field(factory=list)
    decisions: list[tuple[Instant, Decision]] = attrs.field(factory=list)
    end: TaskEnded | None = None
    ended: Instant = ""

    @property
    def status(self) -> str:
        """How it ended; ``open`` if it had started, else ``not-run``."""
        if self.end is not None:
            return self.end.status
        return OPEN if self.attempts else "not-run"

    @property
    def begun(self) -> Instant:
        """When its first attempt started; empty where none did."""
        return self.attempts[0].begun if self.attempts else ""

    @property
    def message(self) -> str:
        """Its agent's or the scheduler's word on how it ended."""
        return self.end.report.message if self.end is not None and self.end.report is not None else ""

    @property
    def because(self) -> str:
        """The task or rule that a skip goes back to."""
        return self.end.because if self.end is not None else ""

    @property
    def usage(self) -> Budget:
        """What its effects were charged together."""
        spent = [effect.outcome.usage.amounts() for effect in self.effects if effect.outcome is not None]
        return Budget(*map(sum, zip(*spent, strict=True)))
