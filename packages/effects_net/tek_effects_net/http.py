"""``net.http``: one HTTP request."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import attrs

from tek_abi import Access, Blob, Budget, Limit
from tek_abi.canonical import MAX_INTEGER
from tek_abi.vocabulary.net import Http, Response
from tek_effects_net.allowance import Allowance
from tek_effects_net.decision import access_to, find_way
from tek_effects_net.headers import Revealed, check_headers, reveal, secret_names
from tek_effects_net.line import Line
from tek_effects_net.resolver import Resolve, resolve_within
from tek_effects_net.target import Target, read_target
from tek_effects_net.trust import Trust, client_tls
from tek_kernel.effect import (
    Applied,
    Context,
    Cost,
    Effect,
    EffectCancelled,
    EffectError,
    SideEffect,
    secret_access,
)

DEFAULT_TIMEOUT = 30_000
"""Milliseconds for a whole exchange where the request names none."""

_SIDE_EFFECTS = {
    "GET": SideEffect.READ,
    "HEAD": SideEffect.READ,
    "OPTIONS": SideEffect.READ,
    "PUT": SideEffect.IDEMPOTENT,
    "DELETE": SideEffect.IDEMPOTENT,
}
_WITH_BODY = ("PATCH", "POST", "PUT")
_PIECE = 64 * 1024


class HttpEffect(Effect[Http]):
    """Sends one request to an address that was checked, and answers with whatever comes, redirects too."""

    request: ClassVar[type[Any]] = Http

    def __init__(self, resolve: Resolve, trust: Trust) -> None:
        self._resolve = resolve
        self._trust = trust

    def side_effect(self, request: Http) -> SideEffect:
        """Judge by the method: RFC 9110 calls some safe and some idempotent."""
        return _SIDE_EFFECTS.get(request.method.upper(), SideEffect.ONCE)

    def accesses(self, request: Http) -> tuple[Access, ...]:
        """Name the target. Raises ``ValueError`` for a request that is not plain in every part."""
        check_headers(request.headers)
        if request.timeout is not None and request.timeout < 1:
            raise ValueError("a timeout is one millisecond or more")
        target = access_to(read_target(request.method, request.url), _size(request.body))
        return (target, *map(secret_access, secret_names(request.headers)))

    def cost(self, request: Http) -> Cost:
        """Reserve the timeout, and all bytes that are to be had: nobody knows a response's size beforehand."""
        return Cost(Budget(ms=1, io=_size(request.body) or 0), Limit(ms=request.timeout or DEFAULT_TIMEOUT, tokens=0))

    def apply(self, request: Http, context: Context) -> Applied:
        """Resolve once, check every address, connect to one of them, send, and keep the answer as it comes."""
        check_headers(request.headers)
        target = read_target(request.method, request.url)
        allowance = Allowance(context.limits, request.timeout or DEFAULT_TIMEOUT, context.cancel)
        line = Line(allowance, context.cancel)
        try:
            return self._exchange(request, target, context, allowance, line)
        except EffectError as error:
            # A server that has seen some of the request may have acted on it, answer or not.
            raise attrs.evolve(error, usage=allowance.usage, unknown=line.wrote) from None
        except EffectCancelled as stopped:
            raise attrs.evolve(stopped, unknown=line.wrote) from None

    def _exchange(self, request: Http, target: Target, context: Context, allowance: Allowance, line: Line) -> Applied:
        from tek_effects_net.exchange import Question, ask

        body = _body(request, context)
        allowance.check_fits(len(body or b""))
        way = find_way(
            target,
            _size(request.body),
            context.covering,
            lambda host, port: resolve_within(self._resolve, host, port, allowance, context.cancel),
        )
        revealed = reveal(request.headers, context.secret)
        tls = self._tls if target.resource.scheme == "https" else None
        pieces, length = (None, None) if body is None else (_pieces(body), len(body))
        question = Question(target, _with_defaults(revealed.headers), pieces, length)
        with ask(question, way.addresses, line, allowance, tls) as answer:
            if target.resource.method != "HEAD" and answer.status != 304:
                _check_announced(answer.headers, allowance)
            kept = context.blobs.put_stream(revealed.scrub(answer.body))
            response = Response(answer.status, _kept_headers(answer.headers, revealed), kept)
        obs = {"address": answer.address, "http_version": answer.http_version}
        return Applied(response, allowance.usage, obs)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return client_tls(self._trust)


def _size(body: Blob | None) -> int | None:
    return None if body is None else body.size


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def _with_defaults(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    # Bodies are kept as they were sent: asking for none of the encodings spares everyone from decoding them.
    defaults = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "tek"}
    for name, _ in headers:
        defaults.pop(name.lower(), None)
    return (*defaults.items(), *headers)


def _body(request: Http, context: Context) -> bytes | None:
    if request.body is None:
        return b"" if request.method.upper() in _WITH_BODY else None
    try:
        body = request.body.read() if request.body.load else context.blobs.get(request.body.sha256)
    except LookupError as error:
        raise EffectError("bad-request", f"the request's body: {error}") from None
    if len(body) != request.body.size:
        raise EffectError("bad-request", f"the request's body holds {len(body)} bytes, not {request.body.size}")
    return body


def _check_announced(headers: tuple[tuple[bytes, bytes], ...], allowance: Allowance) -> None:
    """Refuse a body that is too long by its own account before any of it is read."""
    announced = dict(headers).get(b"content-length", b"")
    if announced.isdigit():
        allowance.check_fits(min(int(announced), MAX_INTEGER))


def _kept_headers(headers: tuple[tuple[bytes, bytes], ...], revealed: Revealed) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("ascii"), b"".join(revealed.scrub([value])).decode("latin-1")) for name, value in headers)
