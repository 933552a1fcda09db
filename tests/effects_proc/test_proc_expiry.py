"""A command cannot outlive a permit that it was given."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tek_abi import Budget, MemoryBlobs, Permit
from tek_abi.vocabulary.proc import Exec
from tek_effects_proc import process_effects
from tek_effects_proc.deadline import deadline
from tek_kernel.effect import Cancel, Context, EffectError


def expiring(seconds: float, resource: str = "sleep *") -> Permit:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return Permit(("proc.exec",), (resource,), expires_at=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def test_the_first_permit_to_expire_is_the_deadline_where_the_budget_is_not() -> None:
    soon, later = expiring(10), expiring(20)
    assert deadline(60_000, [later, soon]).permit is soon
    assert deadline(60_000, [later, soon]).at - time.monotonic() == pytest.approx(10, abs=1)
    assert deadline(5_000, [later, soon]).permit is None
    assert deadline(5_000, [expiring(-1)]).at < time.monotonic()
    assert deadline(5_000, [Permit(("proc.exec",), ("*",))]).permit is None


def test_a_command_ends_when_its_permit_expires(tmp_path: Path) -> None:
    (effect,) = process_effects(tmp_path, {"PATH": "/usr/bin:/bin"})
    context = Context(Budget(ms=60_000, io=100), (expiring(0.3),), Cancel(), MemoryBlobs(), "key")
    before = time.monotonic()

    with pytest.raises(EffectError, match=r"ended when proc\.exec:sleep \* expired") as raised:
        effect.apply(Exec(("sleep", "60")), context)

    assert raised.value.code == "not-permitted"
    assert time.monotonic() - before < 5
