"""Position: where in the source an effect was asked for (DESIGN section 3). Never when it arrived."""

from __future__ import annotations

from typing import Any

import attrs

from tek_abi.canonical import MAX_INTEGER, check_value
from tek_abi.errors import DecodeError


@attrs.frozen(order=True)
class Position:
    """``[task, attempt, index, branch, index, ...]``: the identity of an effect.

    ``attempt`` counts from 1. ``path`` alternates the index of a request within its coroutine with the branch of a
    gather or race, so its length is odd for a request.
    """

    task: str
    attempt: int
    path: tuple[int, ...]

    def to_json(self) -> list[str | int]:
        """Return the flat list that stands in ledgers."""
        return [self.task, self.attempt, *self.path]

    @classmethod
    def from_json(cls, value: Any) -> Position:
        """Read the flat list. Raises ``DecodeError``, and ``ValueNotAllowed`` for a task with a lone surrogate."""
        if not isinstance(value, list) or len(value) < 2 or type(value[0]) is not str:
            raise DecodeError("", "is not a list of a task and numbers")
        check_value(value[0])
        if not all(type(part) is int and 0 <= part <= MAX_INTEGER for part in value[1:]):
            raise DecodeError("", "holds something that is not a natural number")
        return cls(value[0], value[1], tuple(value[2:]))

    def __str__(self) -> str:
        return f"{self.task}[{self.attempt}]" + "".join(f".{part}" for part in self.path)
