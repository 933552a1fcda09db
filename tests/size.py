"""How much is tried: as much as can be run at every change or, with ``TEK_NIGHTLY`` set, in a night."""

from __future__ import annotations

import os

NIGHTLY = bool(os.environ.get("TEK_NIGHTLY"))
FACTOR = 20


def examples(quick: int) -> int:
    """Return how many examples a property is tried with, ``quick`` of them at every change."""
    return quick * FACTOR if NIGHTLY else quick
