"""The one place where time is read."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final

from tek_abi import Instant

_CLOCK_REALTIME_COARSE: Final = 5
"""clock_gettime(2), <linux/time.h>."""


def utc_now() -> Instant:
    """Return the time in UTC as a fixed-width RFC 3339 instant."""
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Return the part of an instant that a million of them share."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=1)
def file_clock_grain_ns() -> int:
    """Return how far a file's time may lie behind the clock: file systems stamp by the kernel's last tick."""
    return int(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9)


class Stopwatch:
    """Measures elapsed time on the monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def ms(self) -> int:
        """Return whole milliseconds since the start, rounded up: no effect is free."""
        return -((self._start - time.monotonic_ns()) // 1_000_000)
