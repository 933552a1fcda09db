"""Where a request may go: the one decision of ``net.http`` and of the proxy (DESIGN section 6, *net*).

Permits come first, so that no name is resolved that nobody granted; then the addresses that the name leads to.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

import attrs

from tek_abi import Access, PatternError, Permit
from tek_abi.permit import show_rule
from tek_abi.url import parse_url_pattern
from tek_effects_net.addresses import Unreachable, allowed_addresses
from tek_effects_net.target import TUNNEL, Target
from tek_kernel.effect import EffectRefused


@attrs.frozen
class Way:
    """A target that may be connected to, at exactly these ``addresses``.

    ``max_bytes`` bounds the bodies of a request, or all that a tunnel carries; ``None`` is no bound.
    """

    addresses: tuple[str, ...]
    max_bytes: int | None


Covering = Callable[[Access], tuple[Permit, ...]]
"""Return all permits that cover an access, as ``Context.covering`` does."""


def access_to(target: Target, size: int | None) -> Access:
    """Return the use of authority that a request is. ``size`` is that of its body, ``None`` where nobody knows."""
    return Access("net.http", "net", str(target.resource), bytes=size, method=target.resource.method)


def find_way(target: Target, size: int | None, covering: Covering, resolve: Callable[[str, int], Sequence[str]]) -> Way:
    """Return where a request goes if permits cover it and every address of its host may be connected to.

    Raises ``EffectRefused`` with the rule that would grant it, and what ``resolve`` raises; that is called once, with
    host and port, for a name that is granted.
    """
    access = access_to(target, size)
    permits = _for_tunnel(target, covering) if target.resource.method == TUNNEL else covering(access)
    if not permits:
        raise EffectRefused(access, _not_granted(target, access))
    host, port = target.resource.host, target.resource.port
    addresses = (target.address,) if target.address is not None else tuple(resolve(host, port))
    allowed = allowed_addresses(host, addresses, permits)
    if isinstance(allowed, Unreachable):
        raise EffectRefused(access, _not_reachable(target, allowed))
    return Way(
        allowed, _widest(permit for permit in permits if allowed_addresses(host, addresses, [permit]) == allowed)
    )


def without_counts(covering: Covering) -> Covering:
    """Leave out the permits that limit their uses, for those who ask without being counted."""
    return lambda access: tuple(
        permit for permit in covering(access) if all(caveat.name != "max_uses" for caveat in permit.caveats)
    )


def covers_all(permit: Permit, host: str, port: int) -> bool:
    """Whether a permit that covers something at ``host`` and ``port`` covers every method and path there. Pure."""
    if any(caveat.name == "methods" for caveat in permit.caveats):
        return False
    try:
        wanted = [parse_url_pattern(pattern) for pattern in permit.resource]
        left_out = [parse_url_pattern(pattern) for pattern in permit.exclude]
    except PatternError:
        return False
    if any(pattern.method != "*" or pattern.path != "/**" for pattern in wanted):
        return False
    # Whatever the scheme: what a tunnel carries may be plain or not.
    return not any(pattern.port in (None, port) and _may_be(pattern.host, host) for pattern in left_out)


def _for_tunnel(target: Target, covering: Covering) -> tuple[Permit, ...]:
    resource = target.resource
    found = [
        permit
        for scheme in ("https", "http")
        for permit in covering(access_to(attrs.evolve(target, resource=attrs.evolve(resource, scheme=scheme)), None))
        if covers_all(permit, resource.host, resource.port)
    ]
    return tuple(dict.fromkeys(found))


def _may_be(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _widest(permits: Iterable[Permit]) -> int | None:
    caps = [permit.max_bytes() for permit in permits]
    return None if None in caps else max(cap for cap in caps if cap is not None)


def _not_granted(target: Target, access: Access) -> str:
    if target.resource.method != TUNNEL:
        return f"{target} refused: no rule grants it; --allow {shlex.quote(show_rule(access))}"
    why = "no rule grants every method and path there, and a tunnel cannot be seen into"
    return f"{target} refused: {why}; --allow {shlex.quote(_rule(target, target.resource.host))}"


def _not_reachable(target: Target, unreachable: Unreachable) -> str:
    host, named = target.resource.host, unreachable.named
    if named is None:
        return f"{target} refused: {unreachable}, and no rule can grant that"
    way = "grant it by name:" if named == host else f"ask for {named} itself, with"
    grant = shlex.quote(_rule(target, named))
    return f"{target} refused: {unreachable}, and no rule grants that by name; {way} --allow {grant}"


def _rule(target: Target, host: str) -> str:
    resource = target.resource
    method = "*" if resource.method == TUNNEL else resource.method
    return f"net.http:{method} {resource.scheme}://{host}:{resource.port}/**"
