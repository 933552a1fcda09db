"""A recorded run's side of this machine: its effects' pure parts, the keys that it trusted, where it worked."""

from __future__ import annotations

from pathlib import Path

from tek_kernel import Checker, Registry, Verifier
from tek_runner.effects import make_registry


def recorded_effects(checker: Checker) -> Registry:
    """Return the effects over the recorded workspace: their pure parts alone are used, which read nothing of it."""
    return make_registry(Path(of_machine(checker, "workspace") or "/nonexistent"), {})


def recorded_keys(checker: Checker) -> Verifier:
    """Return what checks permits by the keys that the run trusted."""
    return Verifier(tuple(bytes.fromhex(key) for key in checker.plan_entry.keys))


def of_machine(checker: Checker, name: str) -> str | None:
    """Return one of the places that ``run.opened`` observed: ``workspace``, ``source`` or ``config``."""
    obs = checker.opened.obs if checker.opened is not None else None
    value = obs.get(name) if isinstance(obs, dict) else None
    return value if isinstance(value, str) else None
