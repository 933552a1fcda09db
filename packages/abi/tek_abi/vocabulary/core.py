"""Requests of the kernel's own effects: time, randomness, environment, notes."""

from __future__ import annotations

from typing import ClassVar

import attrs

from tek_abi.permit import Instant
from tek_abi.request import Request

MAX_RANDOM = 4096
MAX_NOTE = 65_536


@attrs.frozen
class Now(Request[Instant]):
    """The time in UTC."""

    effect: ClassVar[str] = "clock.now"
    output: ClassVar[type] = str


@attrs.frozen
class RandomBytes(Request[str]):
    """``count`` random bytes (1 to 4096) from the OS, in lowercase hex."""

    effect: ClassVar[str] = "random.bytes"
    output: ClassVar[type] = str
    count: int = attrs.field(validator=[attrs.validators.ge(1), attrs.validators.le(MAX_RANDOM)])


@attrs.frozen
class EnvGet(Request["str | None"]):
    """The operator's variable ``name``; ``None`` where it is not set."""

    effect: ClassVar[str] = "env.get"
    output: ClassVar[object] = str | None
    name: str = attrs.field(validator=attrs.validators.matches_re(r"[A-Za-z_][A-Za-z0-9_]*"))


@attrs.frozen
class Note(Request[None]):
    """A line of text for the ledger and the reader of its report; at most 65,536 characters."""

    effect: ClassVar[str] = "note"
    output: ClassVar[type] = type(None)
    text: str = attrs.field(validator=attrs.validators.max_len(MAX_NOTE))
