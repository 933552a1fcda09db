"""Randomness, as an effect: a replay sees the bytes of the run."""

from __future__ import annotations

import builtins

from tek_abi.vocabulary.core import RandomBytes


async def bytes(count: int) -> builtins.bytes:  # noqa: A001  # read as random.bytes
    """Return ``count`` random bytes, 1 to 4096, from the OS. Raises ``ValueError`` for any other count."""
    return builtins.bytes.fromhex(await RandomBytes(count))
