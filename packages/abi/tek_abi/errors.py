"""The root of tek's error hierarchy. Each error carries fields; its text is made from them in one place."""

from __future__ import annotations

import attrs


class TekError(Exception):
    """Any error that tek raises on purpose. Whoever meets one can show ``str(error)`` to a user."""


@attrs.define(str=False)
class DecodeError(TekError, ValueError):
    """Data from outside is not what its type says.

    ``where`` is a path into the data (``tasks[3].budget``), empty for the whole; ``problem`` says what is wrong.
    """

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


@attrs.define(str=False)
class ValueNotAllowed(TekError, TypeError):
    """A value is outside tek's value model (DESIGN section 5): text, integers, booleans, null, lists, maps, blobs."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where or 'value'}: {self.problem}"


@attrs.define(str=False)
class PatternError(TekError, ValueError):
    """A permit's pattern cannot be read. ``pattern`` is the text, ``problem`` what to change."""

    pattern: str
    problem: str

    def __str__(self) -> str:
        return f"pattern {self.pattern!r}: {self.problem}"


@attrs.define(str=False)
class QuantityError(TekError, ValueError):
    """A duration, size, count or limit cannot be read. ``text`` is what stood there."""

    text: str
    problem: str

    def __str__(self) -> str:
        return f"{self.text!r}: {self.problem}"
