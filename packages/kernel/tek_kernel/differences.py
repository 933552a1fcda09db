"""Two values field by field: where what an agent asks for differs from what is on record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

MAX_SHOWN: Final = 20
"""How many fields of one mismatch are told; of more, their number is."""

_MAX_VALUE: Final = 200
"""Characters of a value that is shown in full."""

_FIRST: Final = ("envelope", "effect", "args", "status")
"""Fields that come before others: the arguments explain a difference in the digests and keys made from them."""

_ABSENT: Final = "nothing"


@attrs.frozen
class Difference:
    """A field in which two values differ, by its path, with both sides as they are shown."""

    field: str
    expected: str
    actual: str


def differences(expected: Any, actual: Any) -> list[Difference]:
    """Return every field in which two values differ, those that explain others first."""
    return list(_differences(expected, actual, "")) if expected != actual else []


def _differences(expected: Any, actual: Any, path: str) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted({*expected, *actual}, key=lambda k: (*(k != first for first in _FIRST), k)):
            field = f"{path}.{key}" if path else key
            if key not in expected or key not in actual:
                sides = (repr(side[key]) if key in side else _ABSENT for side in (expected, actual))
                yield Difference(field, *_shown(*sides))
            elif expected[key] != actual[key]:
                yield from _differences(expected[key], actual[key], field)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            if one != other:
                yield from _differences(one, other, f"{path}[{index}]")
    else:
        yield Difference(path, *_shown(repr(expected), repr(actual)))


def _shown(one: str, other: str) -> tuple[str, str]:
    """Return both texts, cut to where they differ if they are long."""
    if max(len(one), len(other)) <= _MAX_VALUE:
        return one, other
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - _MAX_VALUE // 4)
    return _cut(one, start), _cut(other, start)


def _cut(text: str, start: int) -> str:
    end = start + _MAX_VALUE
    before, after = "... " if start else "", f" ... ({len(text)} characters)" if end < len(text) else ""
    return before + text[start:end] + after
