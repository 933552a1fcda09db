"""Which addresses a host may lead to: the one decision about addresses (DESIGN section 6, *net*).

A name is granted by its owner's word, but where it leads is said by whoever answers for it. So a name may lead to
public addresses only, and an answer that holds a single other one is refused whole. What is not public is reached
where permits name that very address, or ``localhost`` for loopback.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import attrs

from tek_abi import PatternError, Permit
from tek_abi.pattern import parse_url_pattern

_GLOBAL_UNICAST = ip_network("2000::/3")

# Beside ``is_global``, which calls several of these global and differs between versions of Python.
_NOT_PUBLIC = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this machine"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a provider's inner network"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local, where clouds serve credentials"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "this machine"),
        ("::1/128", "loopback"),
        ("::/96", "an IPv4 address in IPv6 form"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
        ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form"),
        ("64:ff9b::/96", "an IPv4 address in IPv6 form"),
        ("64:ff9b:1::/48", "an IPv4 address in IPv6 form"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("2002::/16", "an IPv4 address in IPv6 form"),
        ("3fff::/20", "reserved for documentation"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "a private network"),
        ("ff00::/8", "multicast"),
    )
)


@attrs.frozen
class Unreachable:
    """Why a host may not be connected to: the first address of its answer that is not allowed.

    ``named`` is the host that a permit would have to name and a request to ask for, ``None`` where there is none.
    """

    host: str
    address: str
    why: str
    named: str | None

    def __str__(self) -> str:
        return f"{self.host} leads to {self.address}, which is {self.why}"


def allowed_addresses(host: str, addresses: Sequence[str], permits: Sequence[Permit]) -> tuple[str, ...] | Unreachable:
    """Return ``addresses`` if every one of them may be connected to for ``host``, else why none may.

    ``host`` is written as in ``UrlResource``: lower case, IPv6 in brackets. ``permits`` are those that cover the
    request; a permit names a host only if each of its patterns does, as attenuation is conjunction. Pure.
    """
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            return Unreachable(host, text, "not an address", None)
        why = not_public(address)
        if why is not None and not _granted(host, address, permits):
            return Unreachable(host, text, why, _name_for(host, address))
    return tuple(addresses)


def not_public(address: IPv4Address | IPv6Address) -> str | None:
    """Return what an address is other than a public one, or ``None`` if it is public."""
    for network, why in _NOT_PUBLIC:
        if address in network:
            return why
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address.scope_id is not None):
        return "outside the public range"
    return None if address.is_global else "not public"


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host spells, or ``None`` where it is a name."""
    try:
        return ip_address(host[1:-1] if host.startswith("[") else host)
    except ValueError:
        return None


def _granted(host: str, address: IPv4Address | IPv6Address, permits: Sequence[Permit]) -> bool:
    if literal(host) != address and not (_is_localhost(host) and _is_loopback(address)):
        return False
    return any(all(_names(pattern, host) for pattern in permit.resource) for permit in permits)


def _names(pattern: str, host: str) -> bool:
    try:
        return parse_url_pattern(pattern).host == host
    except PatternError:
        return False


def _name_for(host: str, address: IPv4Address | IPv6Address) -> str | None:
    if _is_localhost(host) and _is_loopback(address):
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    if address.scope_id is not None:
        return None
    return f"[{address}]" if address.ipv4_mapped is None else str(address.ipv4_mapped)


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _is_loopback(address: IPv4Address | IPv6Address) -> bool:
    # Not ``is_loopback``: newer versions of Python say yes to mapped forms too.
    return address in ip_network("127.0.0.0/8") or address == IPv6Address("::1")
