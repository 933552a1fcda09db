"""Canonical JSON and digests: RFC 8785 (JCS) on the subset that tek allows.

No floats, map keys in ASCII, integers within ±(2^53 - 1). On that subset sorting keys by bytes equals JCS's
sorting by UTF-16 code units, so orjson's sorted output is canonical.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from tek_abi.errors import ValueNotAllowed

if TYPE_CHECKING:
    Value: TypeAlias = "None | bool | int | str | Sequence[Value] | Mapping[str, Value]"
else:
    # cattrs reads annotations at run time and would unfold the recursion; values pass through it as they are.
    Value = Any
"""What stands in a ledger: JSON without floats. Bytes are blobs; maps with free keys are lists of pairs."""

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785, section 3.2.2.3)."""

MAX_DEPTH = 64
"""How deep values may nest. Deeper ones are refused, so that no reader can be made to overflow its stack."""


def check_value(value: object, where: str = "", depth: int = 0) -> None:
    """Raise ``ValueNotAllowed`` if ``value`` is outside tek's value model."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueNotAllowed(where, "text holds a lone surrogate; pass the bytes as a blob instead")
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueNotAllowed(where, f"integer {value} is beyond 2^53 - 1; pass it as text")
        return
    if depth >= MAX_DEPTH:
        raise ValueNotAllowed(where, f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_value(item, f"{where}[{index}]", depth + 1)
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise ValueNotAllowed(where, f"map key {key!r} is not ASCII text; use a list of pairs")
            check_value(item, f"{where}.{key}" if where else key, depth + 1)
        return
    if isinstance(value, float):
        raise ValueNotAllowed(where, "floats have no canonical form; use integers or text")
    raise ValueNotAllowed(where, f"a {type(value).__name__} is not a value")


def canonical(value: object) -> bytes:
    """Return the canonical JSON bytes of ``value``.

    Raises ``ValueNotAllowed`` if it holds a float, a non-ASCII key, an integer past 2^53 - 1, or another type.
    """
    check_value(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in lowercase hex."""
    return hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 over the canonical bytes of ``value``, in lowercase hex."""
    return sha256_hex(canonical(value))
