"""EffectEnvelope: a request as the kernel sees it."""

from __future__ import annotations

import attrs

from tek_abi.budget import Budget
from tek_abi.canonical import Value, digest
from tek_abi.position import Position


@attrs.frozen
class EffectEnvelope:
    """Effect and version, canonical arguments, post-conditions, key, reservation asked for, permit found.

    ``args`` is the arguments' value, or ``{"$ref": ...}`` where its canonical bytes stand in the blob store;
    ``args_digest`` is the same in both cases. ``permit`` is the digest of the permit that covered the request.
    """

    effect: str
    v: int
    args: Value
    args_digest: str
    idempotence_key: str
    invariants: tuple[str, ...] = ()
    budget: Budget | None = None
    permit: str | None = None


def idempotence_key(run: str, position: Position, effect: str, version: int, args_digest: str) -> str:
    """Return H(run, position without the attempt, effect, args): a retry keeps it, a repeated run does not."""
    return digest([run, position.task, list(position.path), effect, version, args_digest])
