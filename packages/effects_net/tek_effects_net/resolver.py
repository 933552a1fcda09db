"""Resolving a name within an allowance: getaddrinfo(3) itself knows neither deadline nor cancellation."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeAlias

from tek_effects_net.allowance import Allowance
from tek_kernel.effect import Cancel, EffectError

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""Return the addresses of a host for a port, the preferred first. Raises ``OSError`` where there are none."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def resolve_within(resolve: Resolve, host: str, port: int, allowance: Allowance, cancel: Cancel) -> tuple[str, ...]:
    """Return a host's addresses, at least one, asking once.

    Raises ``EffectError`` with code connection or timeout, or ``EffectCancelled``. A resolver that is still asking
    then is left behind in a thread that ends with its answer.
    """
    answers: SimpleQueue[Sequence[str] | Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port))
        except Exception as error:  # handed over to the thread that waits
            answers.put(error)

    cancel.on_cancel(lambda: answers.put(None))
    left = allowance.seconds_left()
    Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=left)
    except Empty:
        raise allowance.late() from None
    allowance.check_cancelled()
    if isinstance(answer, OSError | UnicodeError):
        reason = getattr(answer, "strerror", None) or answer
        raise EffectError("connection", f"{host} cannot be resolved: {reason}", allowance.usage)
    if isinstance(answer, Exception):
        raise answer
    if not answer:
        raise EffectError("connection", f"{host} has no address", allowance.usage)
    return tuple(answer)
