"""Asking for several effects at once, and asking with a reservation of one's own."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar, overload

import attrs

from tek_abi import Bound, Budget, Gather, Race, Request, Trap

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def gather(a: Awaitable[T], /) -> Trap[list[T]]: ...
@overload
def gather(a: Awaitable[A], b: Awaitable[B], /) -> Trap[list[A | B]]: ...
@overload
def gather(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> Trap[list[A | B | C]]: ...
@overload
def gather(
    a: Awaitable[T], b: Awaitable[T], c: Awaitable[T], d: Awaitable[T], /, *more: Awaitable[T]
) -> Trap[list[T]]: ...
def gather(*asks: Awaitable[Any]) -> Trap[list[Any]]:
    """Ask for all at once; the answers come in the order of the arguments.

    Waits until every branch has ended. Where some raised, the first of them in the order of the arguments is raised.
    """
    return Gather(asks)  # type: ignore[arg-type]  # what is neither effect nor coroutine is refused when it is awaited


def race(*asks: Awaitable[T]) -> Trap[tuple[int, T]]:
    """Ask for all at once; return the index and the answer of the branch that ends first, and cancel the others.

    A branch that ends first by raising wins too: its exception is raised. Raises ``ValueError`` for no branches.
    """
    return Race(asks)  # type: ignore[arg-type]  # what is neither effect nor coroutine is refused when it is awaited


def bounded(
    ask: Trap[T] | Coroutine[Any, Any, T],
    *,
    budget: Budget | None = None,
    invariants: tuple[str, ...] = (),
) -> Coroutine[Any, Any, T]:
    """Reserve exactly ``budget`` for each request that ``ask`` makes, and have the kernel check ``invariants`` on it.

    ``await bounded(proc.exec("make"), budget=Budget(ms=60_000, io=1_000_000), invariants=("exit_code==0",))``.
    Requests made at the same moment divide what is left evenly; where one of them needs more, reserve it.
    An inner ``bounded`` keeps its budget and adds to its invariants.
    """
    coroutine = ask if isinstance(ask, Coroutine) else _asking(ask)
    return _Bounded(coroutine, budget, invariants)


async def _asking(trap: Trap[T]) -> T:
    return await trap


@attrs.frozen(eq=False)
class _Bounded(Coroutine[Any, Any, T]):
    """Steps a coroutine and puts bounds on what it asks for on the way out."""

    _inner: Coroutine[Any, Any, T]
    _budget: Budget | None
    _invariants: tuple[str, ...]

    def send(self, value: Any) -> Any:
        return self._bind(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        return self._bind(self._inner.throw(*error))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, T]:
        answer: T = yield from self
        return answer

    def __iter__(self) -> _Bounded[T]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def _bind(self, trap: Any) -> Any:
        match trap:
            case Request():
                return Bound(trap, self._budget, self._invariants)
            case Bound(request, budget, invariants):
                return Bound(request, budget or self._budget, (*invariants, *self._invariants))
            case Gather(branches) | Race(branches):
                bound = (bounded(b, budget=self._budget, invariants=self._invariants) for b in branches)
                return attrs.evolve(trap, branches=tuple(bound))
            case _:
                return trap
