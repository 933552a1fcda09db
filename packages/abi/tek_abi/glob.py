"""Globs: the one matcher under every kind of pattern.

A glob is compiled to a regular expression whose parts never give back what they took (atomic groups), so matching
takes at most O(pattern x subject) steps whatever the two hold, and no pattern can stall the broker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tek_abi.errors import PatternError

MAX_PATTERN: Final = 8192
"""How long a pattern may be, in characters."""

_STARS = re.compile(r"\*+")
_WILD = re.compile(r"[*?]")


def is_wild(pattern: str) -> bool:
    """Whether a pattern holds a wildcard, and so covers more than itself."""
    return _WILD.search(pattern) is not None


@lru_cache(maxsize=4096)
def _name(pattern: str) -> re.Pattern[str]:
    _check_length(pattern)
    return re.compile(_segment(pattern, "."), re.DOTALL)


def match_name(pattern: str, name: str) -> bool:
    """Match a name: ``*`` is any run of characters, ``?`` any one, all else itself.

    Raises ``PatternError`` for a pattern of more than ``MAX_PATTERN`` characters.
    """
    if pattern == "*" or pattern == name:
        return True
    return is_wild(pattern) and _name(pattern).fullmatch(name) is not None


def segments_glob(segments: Sequence[str], separator: str) -> re.Pattern[str]:
    """Compile a pattern over segments: ``**`` is any number of segments (none too), ``*`` and ``?`` stay within one.

    The result matches, as a whole, what ``joined`` makes of a subject's segments. Raises ``PatternError`` for a
    pattern of more than ``MAX_PATTERN`` characters.
    """
    _check_length(separator.join(segments))
    runs: list[str] = [""]
    for segment in segments:
        if segment == "**":
            runs.append("")
        else:
            runs[-1] += _segment(segment, f"[^{separator}]") + separator
    first, *rest = runs
    regex = separator + first
    if rest:
        # Each run between two ** is searched from the left and kept where it is first found: a later place for it
        # leaves less to the runs that follow, never more.
        regex += "".join(f"(?>.*?(?<={separator}){run})" for run in rest[:-1] if run)
        regex += f".*(?<={separator}){rest[-1]}"
    return re.compile(regex, re.DOTALL)


def joined(segments: Sequence[str], separator: str) -> str:
    """Return segments as ``segments_glob`` wants its subject: a separator before the first and after each."""
    return separator + "".join([segment + separator for segment in segments])


def _segment(pattern: str, item: str) -> str:
    """Return the expression for one segment, in which ``item`` stands for any one character."""
    first, *rest = [_fixed(piece, item) for piece in _STARS.split(pattern)]
    if not rest:
        return first
    *middle, last = rest
    return f"(?>{first}{''.join(f'(?>{item}*?{piece})' for piece in middle)}{item}*{last})"


def _fixed(piece: str, item: str) -> str:
    return "".join(item if char == "?" else re.escape(char) for char in piece)


def _check_length(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN:
        raise PatternError(pattern[:40] + "...", f"a pattern has at most {MAX_PATTERN} characters")
