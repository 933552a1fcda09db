"""The time and the bytes that one application of an effect has left."""

from __future__ import annotations

import time
from typing import NoReturn

from tek_abi import Budget, BudgetExhausted
from tek_kernel.effect import Context, EffectCancelled, EffectError

CHUNK = 1 << 20
"""How many bytes move between two looks at the meter: the one buffer by which a limit may be passed."""


class Meter:
    """Counts what is used and stops an effect that has used it up, is late, or is no longer waited for.

    ``path`` is what the user wrote, for messages.
    """

    def __init__(self, context: Context, path: str) -> None:
        self._path = path
        self._cancel = context.cancel
        self._limits = context.limits
        self._deadline = time.monotonic() + context.limits.ms / 1000
        self._io = 0

    @property
    def usage(self) -> Budget:
        """What was used so far; the broker adds the time."""
        return Budget(io=self._io)

    @property
    def left(self) -> int:
        """How many bytes may still move."""
        return max(0, self._limits.io - self._io)

    def check(self) -> None:
        """Raise ``EffectCancelled`` or the timeout's ``EffectError`` if the effect is to stop."""
        if self._cancel.cancelled:
            raise EffectCancelled(self.usage)
        if time.monotonic() >= self._deadline:
            message = f"{self._path}: not done within {self._limits.ms} ms; give it more time with Budget ms="
            raise EffectError("timeout", message, self.usage)

    def need(self, size: int) -> None:
        """Raise the ``EffectError`` of an exhausted budget unless ``size`` more bytes may move."""
        if size > self.left:
            self._exhausted(self._io + size)

    def count(self, size: int) -> None:
        """Count bytes that have moved. Raises as ``need`` does where they were too many."""
        self._io += size
        if self._io > self._limits.io:
            self._exhausted(self._io)

    def _exhausted(self, requested: int) -> NoReturn:
        limit = self._limits.io
        raise EffectError(
            "budget-exhausted",
            f"{self._path}: takes {requested} bytes or more, {limit} are reserved; raise Budget io=",
            self.usage,
            BudgetExhausted("io", limit, self._io, 0, requested),
        )
