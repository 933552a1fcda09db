"""How a confined command gets out of its network namespace: through one listener that somebody serves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from tek_abi import Value
from tek_effects_proc.spawn import PROXY_PORT
from tek_kernel.effect import Context


class Serving(Protocol):
    """A listener that is being served."""

    def close(self) -> Value:
        """End every connection and return what is worth knowing about them."""
        ...


Serve: TypeAlias = Callable[[socket.socket, Context, Callable[[int], int]], Serving]
"""Serve a command's listener under its task's permits.

The last argument is told of bytes before they are passed on, and returns how many the command's budget covers.
"""

_PROXY = f"http://127.0.0.1:{PROXY_PORT}".encode()

VARIABLES: Final = {
    **dict.fromkeys((b"http_proxy", b"HTTP_PROXY", b"https_proxy", b"HTTPS_PROXY", b"ALL_PROXY"), _PROXY),
    b"all_proxy": _PROXY,
    b"no_proxy": b"",
    b"NO_PROXY": b"",
}
"""What tells programs to ask the proxy, and to ask it for every host."""
