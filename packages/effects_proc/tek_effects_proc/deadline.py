"""When a command must have ended: what its budget and its timeout leave, and the first of its permits to expire.

A command goes on using what it was given, so it cannot outlive any permit that it was given.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import attrs

from tek_abi import Permit


@attrs.frozen
class Deadline:
    """``at`` is in seconds of the monotonic clock; ``permit`` is the one that expires then, if that is the reason."""

    at: float
    permit: Permit | None = None


def deadline(ms: int, permits: Iterable[Permit]) -> Deadline:
    """Return the end of ``ms`` milliseconds from now, or of the first permit to expire, whichever comes first."""
    budget = Deadline(time.monotonic() + ms / 1000)
    expiring = [(permit.expires_at, permit) for permit in permits if permit.expires_at is not None]
    if not expiring:
        return budget
    moment, permit = min(expiring, key=lambda pair: pair[0])
    left = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    expiry = Deadline(time.monotonic() + left, permit)
    return min(budget, expiry, key=lambda one: one.at)
