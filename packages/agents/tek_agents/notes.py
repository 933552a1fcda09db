"""Notes: lines of text for the ledger and the readers of its report."""

from __future__ import annotations

from tek_abi.vocabulary.core import Note


async def note(text: str) -> None:
    """Record ``text``, at most 65,536 characters. Raises ``ValueError`` for more."""
    await Note(text)
