"""The registry of effects, by name and version."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

import attrs

from tek_abi import TekError
from tek_kernel.effect import Effect

ENTRY_POINTS = "tek.effects"
"""The entry point group in which a third party's package names a function that returns its effects."""


@attrs.define(str=False)
class DuplicateEffect(TekError, ValueError):
    """Two effects claim one name and version."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"two effects are called {self.name} version {self.version}; uninstall one of them"


@attrs.define(str=False)
class UnknownEffect(TekError, LookupError):
    """No effect of that name and version is registered."""

    name: str
    version: int
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"no effect {self.name} version {self.version}; known are {', '.join(self.known)}"


class Registry:
    """Effects by name and version. What is registered is trusted code."""

    def __init__(self, effects: Iterable[Effect[Any]] = ()) -> None:
        self._effects: dict[tuple[str, int], Effect[Any]] = {}
        for effect in effects:
            self.add(effect)

    def add(self, effect: Effect[Any]) -> None:
        """Register an effect. Raises ``DuplicateEffect``."""
        key = (effect.request.effect, effect.request.version)
        if key in self._effects:
            raise DuplicateEffect(*key)
        self._effects[key] = effect

    def add_installed(self) -> None:
        """Register the effects of every installed package that names some in the group ``tek.effects``."""
        for point in entry_points(group=ENTRY_POINTS):
            for effect in point.load()():
                self.add(effect)

    def get(self, name: str, version: int) -> Effect[Any]:
        """Return an effect. Raises ``UnknownEffect``."""
        try:
            return self._effects[name, version]
        except KeyError:
            raise UnknownEffect(name, version, tuple(sorted({known for known, _ in self._effects}))) from None

    def names(self) -> list[tuple[str, int]]:
        """Return all names and versions, sorted."""
        return sorted(self._effects)
