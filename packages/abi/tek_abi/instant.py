"""Instant: a moment in UTC, written so that text order is time order."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, TypeAlias

from tek_abi.errors import PatternError

Instant: TypeAlias = str
"""A moment in UTC as RFC 3339 with six digits of a second and ``Z``: fixed width, so text order is time order."""

INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)
_LOOSE_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?Z", re.ASCII)


def parse_instant(text: str) -> Instant:
    """Read an RFC 3339 moment in UTC (``2027-01-31T00:00:00Z``) into its fixed-width form. Raises ``PatternError``."""
    match = _LOOSE_INSTANT.fullmatch(text)
    if match is None:
        raise PatternError(text, "not a moment in UTC; write it as 2027-01-31T00:00:00Z")
    try:
        datetime.fromisoformat(match[1])
    except ValueError as error:
        raise PatternError(text, f"no such moment: {error}") from None
    return f"{match[1]}.{(match[2] or '').ljust(6, '0')}Z"
