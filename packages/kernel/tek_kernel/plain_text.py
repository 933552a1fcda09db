"""Words of foreign origin as a ledger can hold them: exceptions' text, file names that are not UTF-8."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return ``text`` with each lone surrogate spelt out, which no UTF-8 could hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


MAX_TEXT = 4096
"""How many characters of a message stand on record; what is longer belongs into the blob store, as output does."""


def short(text: str) -> str:
    """Return ``text`` as a ledger can hold it, cut where it is longer than ``MAX_TEXT``."""
    text = plain(text[: MAX_TEXT + 1])
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 20]} ... (cut)"


def said(error: BaseException) -> str:
    """Return an exception's message; its class where it has none that can be had."""
    try:
        return short(str(error))
    except Exception:
        return f"a {type(error).__name__} without a readable message"
