"""Canonical JSON and digests: RFC 8785 (JCS) on the subset that tek allows.

No floats, map keys in ASCII, integers within ±(2^53 - 1). On that subset sorting keys by bytes equals JCS's
sorting by UTF-16 code units, so orjson's sorted output is canonical.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from tek_abi.errors import ValueNotAllowed

if TYPE_CHECKING:
    Value: TypeAlias = "bool | int | str | Sequence[Value] | Mapping[str, Value] | None"
else:
    # cattrs reads annotations at run time and would unfold the recursion; values pass through it as they are.
    Value = Any
"""What stands in a ledger: JSON without floats. Bytes are blobs; maps with free keys are lists of pairs."""

MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8785, section 3.2.2.3)."""

MAX_DEPTH = 64
"""How deep values may nest. Deeper ones are refused, so that no reader can be made to overflow its stack."""


_SURROGATE = re.compile("[\ud800-\udfff]")


def check_value(value: object, where: str = "", depth: int = 0) -> None:
    """Raise ``ValueNotAllowed`` if ``value`` is outside tek's value model. ``where`` is its path, for the message."""
    if not _is_plain(value, depth):
        _explain(value, where, depth)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether ``value`` is surely allowed: built of exact built-in types. Fast, for the values that are all right."""
    kind = type(value)
    if kind is str:
        return value.isascii() or _SURROGATE.search(value) is None
    if kind is int:
        return bool(-MAX_INTEGER <= value <= MAX_INTEGER)
    if value is None or kind is bool:
        return True
    if depth >= MAX_DEPTH:
        return False
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if not (type(item) is str and item.isascii()) and not _is_plain(item, depth + 1):
                return False
        return True
    if kind is list or kind is tuple:
        for item in value:
            if not (type(item) is str and item.isascii()) and not _is_plain(item, depth + 1):
                return False
        return True
    return False


def _explain(value: object, where: str, depth: int) -> None:
    """Raise ``ValueNotAllowed`` with the path of the first problem, or return where subclasses were all there was."""
    match value:
        case None | bool():
            return
        case str():
            if _SURROGATE.search(value):
                raise ValueNotAllowed(where, "text holds a lone surrogate; pass the bytes as a blob instead")
            return
        case int():
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise ValueNotAllowed(where, "an integer is beyond 2^53 - 1; pass it as text")
            return
        case float():
            raise ValueNotAllowed(where, "floats have no canonical form; use integers or text")
    if depth >= MAX_DEPTH:
        raise ValueNotAllowed(where, f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise ValueNotAllowed(where, f"map key {key!r} is not ASCII text; use a list of pairs")
            _explain(item, f"{where}.{key}" if where else key, depth + 1)
    elif isinstance(value, list) or type(value) is tuple:
        for index, item in enumerate(value):
            _explain(item, f"{where}[{index}]", depth + 1)
    else:
        raise ValueNotAllowed(where, f"a {type(value).__name__} is not a value")


def canonical(value: object) -> bytes:
    """Return the canonical JSON bytes of ``value``.

    Raises ``ValueNotAllowed`` if it holds a float, a non-ASCII key, an integer past 2^53 - 1, or another type, or
    nests deeper than ``MAX_DEPTH``.
    """
    check_value(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in lowercase hex."""
    return hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 over the canonical bytes of ``value``, in lowercase hex."""
    return sha256_hex(canonical(value))
