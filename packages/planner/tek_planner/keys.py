"""The keys of fields, and what of an item's text is key and value."""

from __future__ import annotations

import re
from typing import Final

KEYS: Final = {
    "needs": "needs",
    "requires": "needs",
    "depends on": "needs",
    "after": "needs",
    "agent": "agent",
    "allow": "allow",
    "budget": "budget",
    "timeout": "timeout",
    "retries": "retries",
    "env": "env",
    "cwd": "cwd",
    "inputs": "inputs",
    "outputs": "outputs",
    "idempotent": "idempotent",
    "layer": "layer",
    "tek": "tek",
}
SHOWN: Final = (
    "Needs",
    "Agent",
    "Allow",
    "Budget",
    "Timeout",
    "Retries",
    "Env",
    "Cwd",
    "Inputs",
    "Outputs",
    "Idempotent",
    "Layer",
)
_FIELD: Final = re.compile(
    r"(?:\*\*([^*:]{1,40})(?::\*\*|\*\*[ \t]*:)|__([^_:]{1,40})(?::__|__[ \t]*:)|([A-Za-z][A-Za-z ]{0,40}):)[ \t]*(.*)$"
)


def split_field(text: str) -> tuple[str, str, int] | None:
    """Return key, value and the value's offset in an item's text, or ``None`` where it is no field."""
    match = _FIELD.match(text)
    if match is None:
        return None
    return (match[1] or match[2] or match[3]).strip(), match[4], match.start(4)


def is_known_key(text: str) -> bool:
    """Whether an item's text is a field with a known key."""
    parts = split_field(text)
    return parts is not None and parts[0].lower() in KEYS
