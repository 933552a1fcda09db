"""The network effect ``net.http``: one HTTP request, to an address that was checked and to no other.

``addresses`` holds the decision which addresses a name may lead to; whatever connects on a task's behalf asks it.
``http`` is the effect. It follows no redirects, knows no proxies, cookies or credentials of the environment, and
ends at its deadline, at its byte budget or when it is cancelled, whatever the server does.
"""

from typing import Any

from tek_effects_net.addresses import Unreachable, allowed_addresses
from tek_effects_net.http import HttpEffect
from tek_effects_net.resolver import Resolve, system_resolve
from tek_kernel.effect import Effect

__all__ = ["Resolve", "Unreachable", "allowed_addresses", "http_effects", "system_resolve"]


def http_effects(resolve: Resolve = system_resolve, ca_file: str | None = None) -> tuple[Effect[Any], ...]:
    """Return the effects of ``net.*``. Touches nothing before the first of them is applied.

    ``resolve`` answers which addresses a host has. ``ca_file`` names a PEM file of the authorities that servers are
    verified against, in place of the system's.
    """
    return (HttpEffect(resolve, ca_file),)
