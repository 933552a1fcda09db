"""Request: what an agent awaits. Awaiting is asking (DESIGN section 3).

``Request.__await__`` and its siblings below are the only places where an agent's coroutine ever yields; whoever
drives the coroutine answers with ``send`` or ``throw``. There is no event loop.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, ClassVar, Generic, TypeVar

import attrs

from tek_abi.budget import Budget

T_co = TypeVar("T_co", covariant=True)


class Trap(Generic[T_co]):
    """Something that a driver knows how to answer. Subclasses are frozen attrs classes."""

    __slots__ = ()

    def __await__(self) -> Generator[Trap[T_co], T_co, T_co]:
        return (yield self)


class Request(Trap[T_co]):
    """A typed request for one effect. Its attrs fields are the effect's arguments.

    ``effect`` and ``version`` name the effect, ``output`` is the type of its answer.
    """

    __slots__ = ()
    effect: ClassVar[str]
    version: ClassVar[int] = 1
    output: ClassVar[Any]


@attrs.frozen
class Bound(Trap[T_co]):
    """A request with a reservation and post-conditions of the agent's own choice.

    ``budget`` is reserved exactly; ``invariants`` are checked by the kernel on the outcome (``exit_code==0``).
    """

    request: Request[T_co]
    budget: Budget | None = None
    invariants: tuple[str, ...] = ()


@attrs.frozen
class Gather(Trap[list[Any]]):
    """Ask for several at once and wait for all. Answers come in the order of the source."""

    branches: tuple[Trap[Any] | Coroutine[Any, Any, Any], ...]


@attrs.frozen
class Race(Trap[tuple[int, Any]]):
    """Ask for several at once; the first that ends wins, the others are cancelled."""

    branches: tuple[Trap[Any] | Coroutine[Any, Any, Any], ...]
