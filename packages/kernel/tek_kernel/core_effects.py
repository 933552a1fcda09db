"""The kernel's own effects: ``clock.now``, ``random.bytes``, ``env.get``, ``note``. Their sources are arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tek_abi import Access, Budget, Instant
from tek_abi.vocabulary.core import EnvGet, Note, Now, RandomBytes
from tek_kernel.effect import Applied, Context, Effect, SideEffect


class _Core(Effect[Any]):
    inline: ClassVar[bool] = True

    def side_effect(self, request: Any) -> SideEffect:
        return SideEffect.READ

    def accesses(self, request: Any) -> tuple[Access, ...]:
        name = request.effect
        return (Access(name, name, getattr(request, "name", name)),)


class ClockNow(_Core):
    """``clock.now``: the time in UTC."""

    request: ClassVar[type[Any]] = Now

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock

    def apply(self, request: Now, context: Context) -> Applied:
        """Read the clock."""
        return Applied(self._clock())


class RandomSource(_Core):
    """``random.bytes``: random bytes in hex."""

    request: ClassVar[type[Any]] = RandomBytes

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random

    def apply(self, request: RandomBytes, context: Context) -> Applied:
        """Draw bytes."""
        return Applied(self._random(request.count).hex())


class Environment(_Core):
    """``env.get``: one variable of the operator's environment."""

    request: ClassVar[type[Any]] = EnvGet

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def apply(self, request: EnvGet, context: Context) -> Applied:
        """Look the variable up."""
        return Applied(self._environ.get(request.name))


class Notes(_Core):
    """``note``: a line for the ledger; its request is its record."""

    request: ClassVar[type[Any]] = Note

    def apply(self, request: Note, context: Context) -> Applied:
        """Do nothing: the intent on record is the note."""
        return Applied(None, Budget())


def core_effects(
    clock: Callable[[], Instant], random: Callable[[int], bytes], environ: Mapping[str, str]
) -> tuple[Effect[Any], ...]:
    """Return the four built-in effects over the given sources."""
    return (ClockNow(clock), RandomSource(random), Environment(environ), Notes())
