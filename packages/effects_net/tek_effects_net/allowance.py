"""Allowance: what is left of one exchange's time and bytes."""

from __future__ import annotations

from time import monotonic

from tek_abi import Budget, BudgetExhausted
from tek_kernel.effect import Cancel, EffectCancelled, EffectError

_LONGEST_STEP = 1_000_000.0  # the system's timers take no more than some 24 days


class Allowance:
    """The hard limits of one exchange, from its creation on, and the body bytes that it has moved.

    ``timeout`` is in milliseconds, the request's own; ``limits`` are the reservation.
    """

    def __init__(self, limits: Budget, timeout: int, cancel: Cancel) -> None:
        self._limits = limits
        self._timeout = timeout
        self._deadline = monotonic() + min(limits.ms, timeout) / 1000
        self._cancel = cancel
        self._moved = 0

    @property
    def usage(self) -> Budget:
        """The bytes of request and response bodies so far."""
        return Budget(io=self._moved)

    @property
    def bytes_left(self) -> int:
        """How many bytes may still be moved."""
        return max(0, self._limits.io - self._moved)

    def seconds_left(self) -> float:
        """Return how long the next step may take, above zero.

        Raises ``EffectCancelled``, or ``EffectError`` with code timeout past the deadline.
        """
        self.check_cancelled()
        left = self._deadline - monotonic()
        if left <= 0:
            raise self.late()
        return min(left, _LONGEST_STEP)

    def check_cancelled(self) -> None:
        """Raise ``EffectCancelled`` if the effect is to stop."""
        if self._cancel.cancelled:
            raise EffectCancelled(self.usage)

    def spend(self, count: int) -> None:
        """Account for ``count`` bytes of a body. Raises ``EffectError`` with code budget-exhausted past the limit."""
        self.check_fits(count)
        self._moved += count

    def check_fits(self, count: int) -> None:
        """Raise ``EffectError`` with code budget-exhausted if ``count`` more bytes of a body would be too many."""
        if count > self.bytes_left:
            exhausted = BudgetExhausted("io", self._limits.io, self._moved, 0, count, "request")
            message = f"the bodies hold more than the {self._limits.io} bytes that were reserved"
            raise EffectError("budget-exhausted", message, self.usage, exhausted)

    def late(self) -> EffectError:
        """Return the error of an exchange that took too long; it says so if the reservation was to blame."""
        if self._timeout <= self._limits.ms:
            return EffectError("timeout", f"no complete answer within {self._timeout} ms", self.usage)
        exhausted = BudgetExhausted("ms", self._limits.ms, self._limits.ms, 0, self._timeout, "request")
        message = f"no complete answer within the {self._limits.ms} ms that were reserved"
        return EffectError("timeout", message, self.usage, exhausted)
