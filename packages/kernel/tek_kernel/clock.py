"""The one place where time is read."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tek_abi import Instant


def utc_now() -> Instant:
    """Return the time in UTC as a fixed-width RFC 3339 instant."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Stopwatch:
    """Measures elapsed time on the monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def ms(self) -> int:
        """Return whole milliseconds since the start, rounded up: no effect is free."""
        return -((self._start - time.monotonic_ns()) // 1_000_000)
