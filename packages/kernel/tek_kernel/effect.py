"""The Effect protocol: what an effect must say about a request before it may be applied (DESIGN section 3)."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from tek_abi import Access, BlobStore, Budget, BudgetExhausted, Limit, Permit, Request, TekError, Value


class SideEffect(StrEnum):
    """How an effect behaves when it may have happened already and nobody knows (DESIGN section 5, *Resume*)."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    PROBE = "probe"
    ONCE = "once"


@attrs.frozen
class Cost:
    """What a request needs. ``least`` must be available, or it is refused; ``most`` bounds what is reserved.

    A dimension that ``most`` leaves open reserves all that is available.
    """

    least: Budget = Budget()
    most: Limit = Limit(ms=0, tokens=0, io=0)


class Cancel:
    """A token that tells a running effect to stop. Thread-safe; cancelling twice is cancelling once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.cancelled = False
        """Whether the effect is to stop."""
        self.by = ""

    def cancel(self, by: str) -> None:
        """Ask the effect to stop; ``by`` is race, timeout or interrupt."""
        with self._lock:
            if self.cancelled:
                return
            self.by = by
            self.cancelled = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when cancelled, at once if that has happened already."""
        with self._lock:
            if not self.cancelled:
                self._callbacks.append(callback)
                return
        callback()


@attrs.frozen
class Held:
    """All that a task may do by itself, for an effect that hands its authority on to a child process.

    Each permit is one conjunction of policy and plan, in force for this task now; together they are alternatives.
    ``protected`` are patterns of paths that no grant to write includes.
    """

    reads: tuple[Permit, ...] = ()
    writes: tuple[Permit, ...] = ()
    net: tuple[Permit, ...] = ()
    protected: tuple[str, ...] = ()


@attrs.frozen
class Context:
    """What an effect gets beside its request: hard limits, the permits that cover its accesses, its tools.

    ``limits.ms`` is the deadline from now on; ``limits.io`` is how many bytes it may move; neither may be passed by
    more than one buffer. ``permits`` stand in the order of the effect's accesses; paths that symlinks lead to are
    checked against them again by ``covers``; ``covering`` returns all permits that cover an access, where it matters
    how they name it; ``held`` returns all that the task may do with files and the network. ``key`` is the idempotence
    key. ``secret`` reads the operator's variable by name.
    """

    limits: Budget
    permits: tuple[Permit, ...]
    cancel: Cancel
    blobs: BlobStore
    key: str
    covers: Callable[[Access], bool] = lambda access: False
    covering: Callable[[Access], tuple[Permit, ...]] = lambda access: ()
    secret: Callable[[str], str | None] = lambda name: None
    held: Callable[[], Held] = Held


@attrs.frozen
class Applied:
    """What an effect did: its typed answer, the bytes and tokens it used, and observations that no hash covers.

    ``usage.ms`` is ignored: the broker measures time.
    """

    value: Any
    usage: Budget = Budget()
    obs: Value = None


def secret_access(name: str) -> Access:
    """Return the access that a request needs to use the operator's variable ``name`` as a secret."""
    return Access("env.get", "env.get", name)


@attrs.define(str=False)
class EffectError(TekError):
    """An effect was applied and did not succeed. ``code`` is stable and stands in the replay hash.

    Codes in use: not-found, exists, not-permitted, wrong-kind, escapes, unsupported, io, timeout, cancelled,
    budget-exhausted, bad-request, connection, tls. ``exhausted`` is set where a reservation ran out,
    ``unknown`` where nobody can say whether the effect happened (a request sent, no answer).
    """

    code: str
    message: str
    usage: Budget = Budget()
    exhausted: BudgetExhausted | None = None
    obs: Value = None
    unknown: bool = False

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@attrs.define(str=False)
class EffectRefused(TekError, PermissionError):
    """While it was applied, an effect met a resource that its permits do not cover, and touched nothing.

    A symlink that leads out of the granted tree is the common case. ``access`` is what it would have needed,
    ``grant`` the line or flag that would have given it, where that is known.
    """

    access: Access
    message: str
    grant: str = ""

    def __str__(self) -> str:
        return self.message


@attrs.define(str=False)
class EffectCancelled(TekError):
    """The effect stopped because its token was cancelled. ``unknown``: it may have happened all the same."""

    usage: Budget = Budget()
    obs: Value = None
    unknown: bool = False

    def __str__(self) -> str:
        return "cancelled"


R = TypeVar("R", bound=Request[Any])


class Effect(ABC, Generic[R]):
    """One thing that can be done to the world. ``request`` is its typed input, which also names effect and version.

    Everything but ``before`` and ``apply`` is pure. Effects hold no state of a run; roots and tools come in by
    their constructors. ``inline`` effects take microseconds and run on the scheduler's own thread.
    """

    request: ClassVar[type[Any]]
    inline: ClassVar[bool] = False

    @abstractmethod
    def side_effect(self, request: R) -> SideEffect:
        """Say what a second application would do."""

    @abstractmethod
    def accesses(self, request: R) -> tuple[Access, ...]:
        """Name every use of authority that the request needs; all must be permitted.

        Raises ``PatternError`` or ``ValueError`` for a request that cannot be carried out; it is then denied.
        """

    def cost(self, request: R) -> Cost:
        """Say what to reserve. Nothing, unless an effect says otherwise."""
        return Cost()

    def before(self, request: R) -> Value:
        """Record a probe's baseline, for the intent. Reads only."""
        return None

    def happened(self, request: R, baseline: Value) -> bool | None:
        """Look whether a probe's request was carried out before the run was cut off. Reads only.

        ``None`` where nobody can tell, as for every effect that does not look.
        """
        return None

    def presumed(self, request: R) -> Any:
        """Return the answer of a request that somebody saw happen, though its outcome was lost.

        Raises ``EffectError`` with code unsupported for an effect whose answer cannot be made up.
        """
        raise EffectError("unsupported", f"the answer of {request.effect} cannot be known; say retry or fail")

    @abstractmethod
    def apply(self, request: R, context: Context) -> Applied:
        """Do it, within ``context.limits``. Raises ``EffectError``, ``EffectRefused`` or ``EffectCancelled``."""
