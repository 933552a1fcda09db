"""Reading durations, sizes and counts as people write them: ``90s``, ``64MiB``, ``20k``."""

from __future__ import annotations

import re

from tek_abi.canonical import MAX_INTEGER
from tek_abi.errors import QuantityError

_NUMBER = re.compile(r"([0-9]++)([A-Za-z]*)", re.ASCII)
_MAX_DIGITS = 16
_DURATION_MS = {"": 1, "ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE_BYTES = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_COUNT = {"": 1, "k": 10**3, "M": 10**6}


def _parse(text: str, units: dict[str, int], what: str) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise QuantityError(text, f"not a {what}: write a whole number and one of {known}")
    digits = match[1].lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS or (amount := int(digits) * units[match[2]]) > MAX_INTEGER:
        raise QuantityError(text, f"too large: a {what} is at most 2^53 - 1")
    return amount


def parse_duration(text: str) -> int:
    """Return milliseconds: ``1500``, ``1500ms``, ``90s``, ``15m``, ``2h``, ``1d``. A bare number is milliseconds."""
    return _parse(text, _DURATION_MS, "duration")


def parse_size(text: str) -> int:
    """Return bytes: ``4096``, ``64MiB``, ``1GB``. A bare number is bytes."""
    return _parse(text, _SIZE_BYTES, "size")


def parse_count(text: str) -> int:
    """Return a count: ``1000``, ``20k``, ``1M``."""
    return _parse(text, _COUNT, "count")


def show_duration(ms: int) -> str:
    """Return a duration as people read it: ``850ms``, ``1.5s``, ``2m05s``."""
    if ms < 1_000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms // 100 / 10:.1f}s"
    return f"{ms // 60_000}m{ms % 60_000 // 1000:02d}s"


def show_size(size: int) -> str:
    """Return a size as people read it: ``512B``, ``1.5KiB``, ``64MiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f}".removesuffix(".0") + unit
        amount /= 1024
    return f"{amount:.1f}".removesuffix(".0") + "TiB"
