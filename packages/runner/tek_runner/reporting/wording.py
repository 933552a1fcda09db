"""How a report words amounts, moments and long texts."""

from __future__ import annotations

from typing import Final

from tek_abi import UNLIMITED, Budget, Dimension, Instant
from tek_abi.budget import DIMENSIONS, Bound
from tek_abi.quantity import show_duration, show_size

LONG: Final = 160
"""Characters of a name, a path or a title."""
MESSAGE: Final = 600
"""Characters of what an agent or the broker says."""


def cut(text: str, longest: int = LONG) -> str:
    """Return a text of at most ``longest`` characters, or its start with its whole length."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def amount(dimension: Dimension, value: int) -> str:
    """Return an amount in its dimension's unit: ``1.5s``, ``64MiB``, ``1,200``."""
    if dimension == "ms":
        return show_duration(value)
    return show_size(value) if dimension == "io" else f"{value:,}"


def bound(dimension: Dimension, value: Bound | None) -> str:
    """Return a limit in its dimension's unit, or ``unlimited``."""
    return amount(dimension, value) if isinstance(value, int) else UNLIMITED


def usage(spent: Budget) -> str:
    """Return what was spent, without the dimensions in which nothing was."""
    words = {"ms": "", "tokens": " tokens", "io": ""}
    return " ".join(amount(d, spent[d]) + words[d] for d in DIMENSIONS if spent[d])


def moment(at: Instant) -> str:
    """Return a moment to the second, as people write it: ``2026-01-31 10:15:00 UTC``."""
    return f"{at[:10]} {at[11:19]} UTC" if at else ""
