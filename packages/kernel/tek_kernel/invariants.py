"""Invariants: named post-conditions on an outcome, such as ``exit_code==0`` or ``size<=1048576``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Final

from tek_abi import Value

_INVARIANT: Final = re.compile(r"([a-z_][a-z0-9_]{0,63})(==|!=|<=|>=|<|>)([^\s\ud800-\udfff]{1,256})", re.ASCII)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_ALIASES: Final = {"exit_code": "code"}


def is_invariant(text: str) -> bool:
    """Whether ``text`` is a post-condition that ``holds`` can check."""
    return _INVARIANT.fullmatch(text) is not None


def holds(invariant: str, value: Value) -> bool:
    """Whether an outcome's value satisfies an invariant.

    The name is a field of the value (``exit_code`` is ``code``), or ``sha256`` and ``size`` of a blob. What cannot be
    compared does not hold.
    """
    match = _INVARIANT.fullmatch(invariant)
    fields = value
    if isinstance(fields, dict) and set(fields) == {"$blob"}:
        fields = fields["$blob"]
    if match is None or not isinstance(fields, dict):
        return False
    actual = fields.get(_ALIASES.get(match[1], match[1]))
    if type(actual) is int:
        try:
            return _COMPARE[match[2]](actual, int(match[3]))
        except ValueError:
            return match[2] == "!="
    return isinstance(actual, str) and match[2] in ("==", "!=") and _COMPARE[match[2]](actual, match[3])
