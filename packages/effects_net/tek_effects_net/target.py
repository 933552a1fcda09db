"""The target of a request: one reading of its URL, from which permit check, resolution and connection all go on.

Readers of URLs disagree about odd ones, and bypasses live in that disagreement; so odd ones are refused.
"""

from __future__ import annotations

import re

import attrs

from tek_abi import PatternError
from tek_abi.pattern import UrlResource, parse_url
from tek_effects_net.addresses import literal

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_METHODS_REFUSED = ("CONNECT", "TRACE")


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


def read_target(method: str, url: str) -> Target:
    """Read a method and a URL. Raises ``PatternError`` for whatever could be read in more than one way."""
    resource = parse_url(method, url)
    if resource.method in _METHODS_REFUSED:
        raise PatternError(method, "not a method that net.http sends")
    if "#" in url:
        raise PatternError(url, "a fragment is never sent; leave it out")
    authority, _, rest = url.partition("://")[2].partition("/")
    authority, question, _ = authority.partition("?")
    if question:
        raise PatternError(url, "a query comes after a path; write host/?query")
    if authority.lower() not in (resource.host, f"{resource.host}:{resource.port}"):
        raise PatternError(url, "after :// comes host or host:port and nothing else")
    _check_host(url, resource.host)
    _, question, query = rest.partition("?")
    return Target(resource, resource.path + question + query)


def _check_host(url: str, host: str) -> None:
    if literal(host) is not None:
        return
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # What inet_aton(3) takes for an address (127.1, 0x7f000001, 017700000001) is one in no one else's reading.
        raise PatternError(url, "an address is written as four decimal numbers, or in brackets for IPv6")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise PatternError(url, "a host is a name of letters, digits, '-', '_' and '.', or an address")
