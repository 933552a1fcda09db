"""Words of foreign origin as a ledger can hold them: exceptions' text, file names that are not UTF-8."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return ``text`` with each lone surrogate spelt out, which no UTF-8 could hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def said(error: BaseException) -> str:
    """Return an exception's message; its class where it has none that can be had."""
    try:
        return plain(str(error))
    except Exception:
        return f"a {type(error).__name__} without a readable message"
