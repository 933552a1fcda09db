"""The target of a request: one reading of its URL, from which permit check, resolution and connection all go on."""

from __future__ import annotations

import re

import attrs

from tek_abi import PatternError
from tek_abi.pattern import UrlResource, parse_url
from tek_effects_net.addresses import literal

TUNNEL = "CONNECT"
"""The method of a target that bytes are carried to unseen, whatever they ask for."""

_METHODS_REFUSED = (TUNNEL, "TRACE")
_AUTHORITY = re.compile(r"[^/?#@]+:[0-9]+")


@attrs.frozen
class Target:
    """Where a request goes: the resource that permits see, and the path with its query as sent."""

    resource: UrlResource
    path_and_query: str

    @property
    def address(self) -> str | None:
        """The address that the host spells, ``None`` where it is a name to be resolved."""
        address = literal(self.resource.host)
        return None if address is None else str(address)

    @property
    def authority(self) -> str:
        """The host and port."""
        return f"{self.resource.host}:{self.resource.port}"

    def __str__(self) -> str:
        return f"{TUNNEL} {self.authority}" if self.resource.method == TUNNEL else str(self.resource)


def read_target(method: str, url: str) -> Target:
    """Read a method and a URL. Raises ``PatternError`` for whatever could be read in more than one way.

    What is sent is the path that the permits judged, in its normal form.
    """
    resource = parse_url(method, url)
    if resource.method in _METHODS_REFUSED:
        # One asks for a tunnel, past every other check; the other has credentials sent back.
        raise PatternError(method, "net.http does not send this method")
    if "#" in url:
        raise PatternError(url, "a fragment is never sent; leave it out")
    _, question, query = url.partition("?")
    return Target(resource, resource.path + question + query)


def read_tunnel(authority: str) -> Target:
    """Read the ``host:port`` that a tunnel is asked for to. Raises ``PatternError``."""
    if not _AUTHORITY.fullmatch(authority):
        raise PatternError(authority, "write a host and a port, and nothing else")
    return Target(parse_url(TUNNEL, f"https://{authority}"), "/")
