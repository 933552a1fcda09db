"""Finding where a value stands in JSON text, so that an error about ``tasks[3].budget`` can point at its line."""

from __future__ import annotations

import json
import re
from typing import Final

_PATH: Final = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCALAR: Final = re.compile(r"[^,\]}\s]+")


def place_in_json(data: bytes, where: str) -> tuple[int, int, str]:
    """Return line and column (from 1) of the value at a path such as ``permits[2].action``, and its line's text.

    Where the path leads further than the text does, the place is that of the last part that was found; text that is
    not JSON gives the place where it stops being so.
    """
    text = data.decode("utf-8", "replace")
    try:
        json.loads(text)
        offset = _find(text, where)
    except json.JSONDecodeError as error:
        offset = error.pos
    except (RecursionError, ValueError):
        offset = 0
    line = text.count("\n", 0, offset) + 1
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return line, offset - start + 1, text[start : end if end >= 0 else len(text)].rstrip("\r")


def _find(text: str, where: str) -> int:
    offset = _skip(text, 0)
    for index, key in _PATH.findall(where):
        inner = _item(text, offset, int(index)) if index else _member(text, offset, key)
        if inner is None:
            break
        offset = inner
    return offset


def _skip(text: str, offset: int) -> int:
    match = _BLANK.match(text, offset)
    return match.end() if match else offset


def _end(text: str, offset: int) -> int:
    """Return the offset after the value that starts at ``offset``, in one pass without recursion."""
    depth = 0
    while True:
        char = text[offset]
        if char == '"':
            match = _STRING.match(text, offset)
            offset = match.end() if match else len(text)
        elif char in "[{":
            depth += 1
            offset += 1
        elif char in "]}":
            depth -= 1
            offset += 1
        elif char in ",: \t\r\n":
            offset += 1
            continue
        else:
            match = _SCALAR.match(text, offset)
            offset = match.end() if match else offset + 1
        if depth == 0:
            return offset


def _item(text: str, offset: int, index: int) -> int | None:
    if text[offset] != "[":
        return None
    offset = _skip(text, offset + 1)
    for _ in range(index):
        offset = _skip(text, _end(text, offset))
        if text[offset] != ",":
            return None
        offset = _skip(text, offset + 1)
    return offset


def _member(text: str, offset: int, key: str) -> int | None:
    if text[offset] != "{":
        return None
    offset = _skip(text, offset + 1)
    while text[offset] == '"':
        after = _end(text, offset)
        name = json.loads(text[offset:after])
        value = _skip(text, _skip(text, after) + 1)
        if name == key:
            return value
        offset = _skip(text, _end(text, value))
        if text[offset] != ",":
            return None
        offset = _skip(text, offset + 1)
    return None
