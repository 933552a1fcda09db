"""The operator's environment, as an effect."""

from __future__ import annotations

from typing import overload

from tek_abi.vocabulary.core import EnvGet


@overload
async def get(name: str) -> str | None: ...
@overload
async def get(name: str, default: str) -> str: ...
@overload
async def get(name: str, default: str | None) -> str | None: ...
async def get(name: str, default: str | None = None) -> str | None:
    """Return the variable ``name``, or ``default`` where it is not set.

    The value is recorded in the ledger: name a secret as ``secret:NAME`` in a command's ``env`` or a header instead.
    Raises ``ValueError`` for what is not a variable's name.
    """
    value = await EnvGet(name)
    return default if value is None else value
