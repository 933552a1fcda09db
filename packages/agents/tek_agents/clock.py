"""Time, as an effect: a replay sees the times of the run."""

from __future__ import annotations

from datetime import datetime

from tek_abi.vocabulary.core import Now


async def now() -> datetime:
    """Return the time, aware and in UTC, to the microsecond."""
    return datetime.fromisoformat(await Now())
