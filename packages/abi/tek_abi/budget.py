"""Budget and Limit: what an effect costs and how much may be spent (DESIGN section 3).

A ``Budget`` is an amount: a commutative monoid under ``+``, partially ordered by ``<=`` on every dimension.
A ``Limit`` bounds amounts; a dimension that it does not name is inherited, and ``unlimited`` must be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import attrs

from tek_abi.canonical import MAX_INTEGER
from tek_abi.errors import QuantityError
from tek_abi.quantity import parse_count, parse_duration, parse_size

Dimension: TypeAlias = Literal["ms", "tokens", "io"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("ms", "tokens", "io")
UNLIMITED: Final = "unlimited"
Bound: TypeAlias = int | Literal["unlimited"]


@attrs.frozen
class Budget:
    """An amount of summed effect time (``ms``), model tokens (``tokens``) and bytes moved (``io``).

    Each is a whole number from 0 to 2^53 - 1; what would leave that range raises ``ValueError``, sums included.
    """

    ms: int = 0
    tokens: int = 0
    io: int = 0

    def __attrs_post_init__(self) -> None:
        ms, tokens, io = self.ms, self.tokens, self.io
        # Amounts are made several times a request, and are all but always right.
        if (
            type(ms) is type(tokens) is type(io) is int
            and 0 <= min(ms, tokens, io) <= max(ms, tokens, io) <= MAX_INTEGER
        ):
            return
        for name, value in (("ms", ms), ("tokens", tokens), ("io", io)):
            if type(value) is not int or not 0 <= value <= MAX_INTEGER:
                raise ValueError(f"{name} is a whole number from 0 to 2^53 - 1, not {value!r}")

    def __add__(self, other: Budget) -> Budget:
        return Budget(self.ms + other.ms, self.tokens + other.tokens, self.io + other.io)

    def __sub__(self, other: Budget) -> Budget:
        """Return the difference. Raises ``ValueError`` where a dimension would fall below zero."""
        return Budget(self.ms - other.ms, self.tokens - other.tokens, self.io - other.io)

    def __le__(self, other: Budget) -> bool:
        return self.ms <= other.ms and self.tokens <= other.tokens and self.io <= other.io

    def amounts(self) -> tuple[int, int, int]:
        """Return the amounts in the order of ``DIMENSIONS``."""
        return self.ms, self.tokens, self.io

    def __getitem__(self, dimension: Dimension) -> int:
        amount: int = getattr(self, dimension)
        return amount

    def meet(self, other: Budget) -> Budget:
        """Return the greatest amount that both cover."""
        return Budget(min(self.ms, other.ms), min(self.tokens, other.tokens), min(self.io, other.io))

    def join(self, other: Budget) -> Budget:
        """Return the least amount that covers both."""
        return Budget(max(self.ms, other.ms), max(self.tokens, other.tokens), max(self.io, other.io))


def _bound(_: object, attribute: attrs.Attribute[Bound | None], value: Bound | None) -> None:
    if value is None or value == UNLIMITED:
        return
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"{attribute.name} is a whole number from 0 to 2^53 - 1 or {UNLIMITED!r}, not {value!r}")


@attrs.frozen
class Limit:
    """An upper bound on a ``Budget``. ``None`` inherits, ``"unlimited"`` bounds nothing."""

    ms: Bound | None = attrs.field(default=None, validator=_bound)
    tokens: Bound | None = attrs.field(default=None, validator=_bound)
    io: Bound | None = attrs.field(default=None, validator=_bound)

    @classmethod
    def unlimited(cls) -> Limit:
        """Return the limit that bounds nothing and says so."""
        return cls(UNLIMITED, UNLIMITED, UNLIMITED)

    def __getitem__(self, dimension: Dimension) -> Bound | None:
        bound: Bound | None = getattr(self, dimension)
        return bound

    def bounds(self) -> tuple[Bound | None, Bound | None, Bound | None]:
        """Return the bounds in the order of ``DIMENSIONS``."""
        return self.ms, self.tokens, self.io

    def items(self) -> Iterator[tuple[Dimension, Bound | None]]:
        """Yield each dimension with its bound."""
        for dimension in DIMENSIONS:
            yield dimension, self[dimension]

    def inherit(self, parent: Limit) -> Limit:
        """Return this limit with every dimension that it leaves open taken from ``parent``."""
        return Limit(*(parent[d] if bound is None else bound for d, bound in self.items()))

    def narrow(self, other: Limit) -> Limit:
        """Return the tighter of both in each dimension; never wider than either."""
        return Limit(*(_tighter(bound, other[d]) for d, bound in self.items()))

    def wider_than(self, parent: Limit) -> Dimension | None:
        """Return the first dimension in which this limit promises more than ``parent`` grants, or ``None``."""
        for dimension, bound in self.items():
            if bound is not None and _tighter(bound, parent[dimension]) != bound:
                return dimension
        return None


def _tighter(a: Bound | None, b: Bound | None) -> Bound | None:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return a if isinstance(a, int) else b


_PARSERS = {"ms": parse_duration, "tokens": parse_count, "io": parse_size}


def parse_bound(dimension: str, text: str) -> Bound:
    """Read one bound: ``unlimited``, or an amount in the dimension's own units."""
    if text == UNLIMITED:
        return UNLIMITED
    return _PARSERS[dimension](text)


def parse_limit(text: str) -> Limit:
    """Read ``ms=90s,io=64MiB`` (commas or blanks between). Raises ``QuantityError`` for anything else."""
    bounds: dict[str, Bound] = {}
    for part in filter(None, re.split(r"[ \t,]+", text)):
        name, equals, amount = part.partition("=")
        if name not in _PARSERS or not equals:
            raise QuantityError(part, "a limit is one of ms=, tokens=, io= and an amount, such as ms=90s io=64MiB")
        if name in bounds:
            raise QuantityError(part, f"{name} is given twice")
        bounds[name] = parse_bound(name, amount)
    if not bounds:
        raise QuantityError(text, "names no limit; write it as ms=90s io=64MiB")
    return Limit(**bounds)
