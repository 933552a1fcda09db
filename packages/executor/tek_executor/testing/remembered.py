"""A weather that brings back what happened in another run: the same outcomes, whatever the schedule."""

from __future__ import annotations

import random
import threading
from collections import defaultdict, deque
from typing import Any

from tek_abi import Cancelled, Denied, EffectOutcome, Failed, Ok
from tek_executor.testing.faults import Faults, Weather, pause
from tek_executor.testing.ledger import MemoryLedger
from tek_kernel import Applied, Context, Effect, EffectCancelled, EffectError, EffectRefused

_WAIT = 10.0


class Remembered(Weather):
    """Answers each request as the ledger has it, by its key: nothing is applied. ``strange`` are unknown requests."""

    def __init__(self, seed: int, faults: Faults, ledger: MemoryLedger) -> None:
        super().__init__(seed, faults)
        self.strange: list[Any] = []
        self._codec = ledger.codec
        self._outcomes: dict[str, deque[EffectOutcome]] = defaultdict(deque)
        keys = {intent.position: intent.envelope.idempotence_key for intent in ledger.intents()}
        for outcome in ledger.outcomes():
            self._outcomes[keys[outcome.position]].append(outcome)

    def apply(self, effect: Effect[Any], request: Any, context: Context) -> Applied:
        """Answer from the record, after a pause drawn from the seed."""
        pause(context, random.Random(f"{self.seed}/{context.key}"))  # noqa: S311  # a schedule, no secret
        with self._lock:
            if not self._outcomes[context.key]:
                self.strange.append(request)
                raise EffectError("strange", f"{request} was never asked for before")
            entry = self._outcomes[context.key].popleft()
        match entry.outcome:
            case Ok(value):
                answer = self._codec.decode(self._codec.unseal(value), request.output, "value")
                return Applied(answer, entry.usage)
            case Denied(reason):
                raise EffectRefused(effect.accesses(request)[0], reason.message)
            case Failed(error):
                raise EffectError(error.code, error.message, entry.usage, error.exhausted, unknown=error.unknown)
            case Cancelled(_, unknown):
                stopped = threading.Event()
                context.cancel.on_cancel(stopped.set)
                stopped.wait(_WAIT)
                raise EffectCancelled(unknown=unknown)
