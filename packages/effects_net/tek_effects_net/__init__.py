"""The network effect ``net.http``: one HTTP request, to an address that was checked and to no other.

``decision`` says where a request may go; whatever connects on a task's behalf asks it. ``http`` is the effect. It
follows no redirects, knows no proxies, cookies or credentials of the environment, and ends at its deadline, at its
byte budget or when it is cancelled, whatever the server does. ``proxy`` opens tunnels for a confined command.
"""

import socket
from collections.abc import Callable
from typing import Any

from tek_effects_net.addresses import Unreachable, allowed_addresses
from tek_effects_net.http import HttpEffect
from tek_effects_net.proxy import Proxy
from tek_effects_net.resolver import Resolve, system_resolve
from tek_effects_net.trust import SYSTEM_TRUST, Trust
from tek_kernel.effect import Context, Effect

__all__ = [
    "Proxy", "Resolve", "Trust", "Unreachable", "allowed_addresses", "http_effects", "open_proxy", "system_resolve",
]  # fmt: skip


def http_effects(resolve: Resolve = system_resolve, trust: Trust = SYSTEM_TRUST) -> tuple[Effect[Any], ...]:
    """Return the effects of ``net.*``. Touches nothing before the first of them is applied.

    ``resolve`` answers which addresses a host has; ``trust`` says whom TLS believes and how it shows who asks.
    """
    return (HttpEffect(resolve, trust),)


def open_proxy(listener: socket.socket, context: Context, take: Callable[[int], int]) -> Proxy:
    """Serve a command's listener until the proxy is closed."""
    return Proxy(listener, context, take, system_resolve)
