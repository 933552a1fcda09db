"""HTTP. Redirects are followed by new requests, so that each hop is checked against the permits by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urldefrag, urljoin

import attrs

from tek_abi import Blob, Failure, PatternError
from tek_abi.pattern import parse_url
from tek_abi.vocabulary.net import Http, Response
from tek_agents.errors import EffectFailed, UnexpectedStatus

__all__ = ["Response", "get", "get_json", "header", "post", "request"]

FOLLOW: Final = 5
"""How many redirects are followed where a call does not say."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


async def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: int | None = None,
    follow: int = FOLLOW,
) -> Response:
    """Send a request and return the answer, whatever its status, after at most ``follow`` redirects.

    ``timeout`` is in milliseconds, for each hop. A header value ``secret:NAME`` stands for the operator's variable.
    A hop to another scheme, host or port loses ``Authorization``, ``Cookie`` and every header that holds a secret, for
    good. 303 turns into GET, as 301 and 302 do for POST; 307 and 308 send the same again.

    Raises ``EffectDenied``, ``EffectFailed`` (code ``redirects`` past the bound). With ``follow=0`` a redirect is an
    answer like any other.
    """
    data = None if body is None else Blob.of(body)
    ask = Http(method.upper(), url, tuple((headers or {}).items()), data, timeout)
    response = await ask
    hops = 0
    while follow and (target := _target(ask, response)) is not None:
        if hops == follow:
            raise EffectFailed(Failure("redirects", f"more than {follow} redirects from {url}"))
        hops += 1
        ask = _next_hop(ask, response.status, target)
        response = await ask
    return response


async def get(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: int | None = None,
    follow: int = FOLLOW,
) -> Response:
    """``request`` with GET."""
    return await request("GET", url, headers=headers, timeout=timeout, follow=follow)


async def post(
    url: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    timeout: int | None = None,
    follow: int = FOLLOW,
) -> Response:
    """``request`` with POST."""
    return await request("POST", url, headers=headers, body=body, timeout=timeout, follow=follow)


async def get_json(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: int | None = None,
    follow: int = FOLLOW,
) -> Any:
    """GET a JSON document. Raises ``UnexpectedStatus`` unless the answer is 2xx, ``ValueError`` unless it is JSON."""
    response = await get(url, headers=headers, timeout=timeout, follow=follow)
    if not 200 <= response.status < 300:
        raise UnexpectedStatus(Failure("http-status", f"GET {url} answered {response.status}"), response)
    return json.loads(response.body.read())


def header(response: Response, name: str) -> str | None:
    """Return the first header of that name, in any case, or ``None``."""
    wanted = name.lower()
    return next((value for key, value in response.headers if key.lower() == wanted), None)


def _target(ask: Http, response: Response) -> str | None:
    """Return where a redirect leads, or ``None`` for any other answer."""
    location = header(response, "location") if response.status in _REDIRECTS else None
    if not location:
        return None
    try:
        return urldefrag(urljoin(ask.url, location)).url
    except ValueError as error:
        raise EffectFailed(Failure("redirects", f"{ask.url} redirects to {location!r}: {error}")) from None


def _next_hop(ask: Http, status: int, target: str) -> Http:
    headers, method, body = ask.headers, ask.method, ask.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))
    origin = _origin(target)
    if origin is None or origin != _origin(ask.url):
        headers = tuple(pair for pair in headers if not _is_credential(*pair))
    return attrs.evolve(ask, method=method, url=target, headers=headers, body=body)


def _is_credential(name: str, value: str) -> bool:
    return name.lower() in _CREDENTIALS or "secret:" in value


def _origin(url: str) -> tuple[str, str, int] | None:
    """Read scheme, host and port as permits do; ``None`` for what the broker will refuse."""
    try:
        resource = parse_url("GET", url)
    except PatternError:
        return None
    return resource.scheme, resource.host, resource.port
