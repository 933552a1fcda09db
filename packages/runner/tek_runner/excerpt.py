"""The end of what commands wrote, read from where it stands: output may be far larger than what is shown of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs

MAX_LINE: Final = 500
"""Characters of a line that is shown in full."""

_MAX_READ: Final = 256 * 1024


@attrs.frozen
class Excerpt:
    """The last ``lines`` of some output. ``before`` says that others stood above them."""

    lines: tuple[str, ...] = ()
    before: bool = False


def excerpt(files: Iterable[Path], count: int) -> Excerpt:
    """Return the last ``count`` lines of files that follow each other. What cannot be read is left out."""
    lines: list[str] = []
    before = False
    for file in files:
        found, cut = _last_lines(file, count)
        before = before or cut or (len(lines) + len(found) > count)
        lines = (lines + found)[-count:]
    return Excerpt(tuple(lines), before)


def _last_lines(file: Path, count: int) -> tuple[list[str], bool]:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return [], False
    with open(fd, "rb") as opened:
        size = os.fstat(fd).st_size
        start = max(0, size - _MAX_READ)
        opened.seek(start)
        text = opened.read(_MAX_READ).decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    cut = start > 0 or len(lines) > count
    return [_short(line.rpartition("\r")[2]) for line in lines[-count:]], cut


def _short(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]} ... ({len(line)} characters)"
