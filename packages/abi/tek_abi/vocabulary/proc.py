"""The request of the process effect."""

from __future__ import annotations

from typing import ClassVar

import attrs

from tek_abi.blob import Blob
from tek_abi.request import Request


@attrs.frozen
class Exit:
    """How a command ended: ``code``, or the ``signal`` that killed it. Output is what it wrote, in full."""

    code: int | None
    stdout: Blob
    stderr: Blob
    signal: int | None = None


@attrs.frozen
class Exec(Request[Exit]):
    """Run a program and wait for it. No shell; stdin is empty.

    ``cwd`` is relative to the workspace. ``env`` is added to the allow-listed environment; a value ``secret:NAME``
    stands for the operator's variable. ``timeout`` is in milliseconds.
    """

    effect: ClassVar[str] = "proc.exec"
    output: ClassVar[type] = Exit
    argv: tuple[str, ...] = attrs.field(validator=attrs.validators.min_len(1))
    cwd: str = "."
    env: tuple[tuple[str, str], ...] = ()
    timeout: int | None = None
