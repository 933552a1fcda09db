"""Programs and servers in memory: ``proc.exec`` and ``net.http`` answered from what a test says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from tek_abi import Access, Blob, Budget, Limit
from tek_abi.pattern import match_argv, match_url, parse_url
from tek_abi.vocabulary.net import Http, Response
from tek_abi.vocabulary.proc import Exec, Exit
from tek_executor.testing.files import Files
from tek_kernel import Applied, Context, Cost, Effect, EffectError, SideEffect

Command: TypeAlias = Exit | Callable[[Exec, Files], Exit]
"""How a program ends: always so, or as a function of the request that may change files."""

Page: TypeAlias = Response | Callable[[Http], Response]
"""What a server answers: always so, or as a function of the request."""

_REPEATABLE = {"GET": SideEffect.READ, "HEAD": SideEffect.READ, "OPTIONS": SideEffect.READ}
_IDEMPOTENT = ("PUT", "DELETE")


class Run(Effect[Exec]):
    """``proc.exec``: the first command whose pattern, as permits have it, matches. Any other is not found."""

    request: ClassVar[type[Any]] = Exec

    def __init__(self, commands: Mapping[str, Command], files: Files) -> None:
        self._commands, self._files = dict(commands), files

    def side_effect(self, request: Exec) -> SideEffect:
        """Nobody knows what a command did."""
        return SideEffect.ONCE

    def accesses(self, request: Exec) -> tuple[Access, ...]:
        """Name the program with its arguments."""
        return (Access("proc.exec", "proc", shlex.join(request.argv), request.argv),)

    def cost(self, request: Exec) -> Cost:
        """Ask for any time up to the timeout, and any output."""
        return Cost(Budget(ms=1), Limit(ms=request.timeout, tokens=0, io=None))

    def apply(self, request: Exec, context: Context) -> Applied:
        """Answer."""
        found = next((end for pattern, end in self._commands.items() if match_argv(pattern, request.argv)), None)
        if found is None:
            raise EffectError("not-found", f"{request.argv[0]!r}: the simulated world has no such command")
        if isinstance(found, Exit):
            done = found
        else:
            with self._files.lock:
                done = found(request, self._files)
        return Applied(done, Budget(io=min(context.limits.io, done.stdout.size + done.stderr.size)))

    def presumed(self, request: Exec) -> Exit:
        """Return the end of a command that somebody saw end well, whose output is lost."""
        return Exit(0, Blob.of(b""), Blob.of(b""))


class Serve(Effect[Http]):
    """``net.http``: the first page whose pattern, as permits have it, matches. Any other host is not reached."""

    request: ClassVar[type[Any]] = Http

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = dict(pages)

    def side_effect(self, request: Http) -> SideEffect:
        """Judge by the method."""
        method = request.method.upper()
        return _REPEATABLE.get(method, SideEffect.IDEMPOTENT if method in _IDEMPOTENT else SideEffect.ONCE)

    def accesses(self, request: Http) -> tuple[Access, ...]:
        """Name the target."""
        url, size = parse_url(request.method, request.url), request.body.size if request.body else None
        return (Access("net.http", "net", str(url), (), size, url.method),)

    def cost(self, request: Http) -> Cost:
        """Ask for the timeout and any answer."""
        return Cost(Budget(ms=1, io=request.body.size if request.body else 0), Limit(ms=request.timeout, tokens=0))

    def apply(self, request: Http, context: Context) -> Applied:
        """Answer."""
        url = str(parse_url(request.method, request.url))
        found = next((page for pattern, page in self._pages.items() if match_url(pattern, url)), None)
        if found is None:
            raise EffectError("connection", f"{request.url}: the simulated world has no such page")
        response = found if isinstance(found, Response) else found(request)
        return Applied(response, Budget(io=min(context.limits.io, response.body.size)))


def page(body: bytes | str = b"", status: int = 200, **headers: str) -> Response:
    """Build the answer to ``net.http``; ``content_type="text/html"`` is the header ``content-type``."""
    data = body.encode() if isinstance(body, str) else body
    return Response(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), Blob.of(data))
