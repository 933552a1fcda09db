"""The proxy of a confined command: tunnels out of its network namespace, each only where its task's permits lead.

The command reaches one listener and nothing else; it asks there with CONNECT (RFC 9110, section 9.3.6), and where a
tunnel may lead is decided by the function that decides for ``net.http``. A tunnel cannot be seen into, so only permits
that give every method and path of a host and port open one. All that tunnels carry counts as the command's bytes.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress

import attrs

from tek_abi import Budget, PatternError, TekError, Value
from tek_abi.canonical import MAX_INTEGER
from tek_effects_net.allowance import Allowance
from tek_effects_net.decision import find_way, without_counts
from tek_effects_net.line import Line
from tek_effects_net.resolver import Resolve, resolve_within
from tek_effects_net.target import Target, read_target, read_tunnel
from tek_kernel.effect import Cancel, Context, EffectCancelled, EffectError, EffectRefused

MAX_TUNNELS = 64
"""How many connections a command may have open at once; more are turned away."""

MAX_SHOWN = 100
"""How many connections stand in a command's observations; the rest is counted."""

HEAD_LIMIT = 16 * 1024
"""Bytes of the longest request for a tunnel, its headers included."""

_HEAD_TIMEOUT = 10_000
_CONNECT_TIMEOUT = 30_000
_PIECE = 64 * 1024
_LINGER = 64  # pieces
_BREATH = 0.05  # seconds until a machine short of descriptors or memory is asked again
_REQUEST = re.compile(rb"CONNECT ([!-~]{1,300}) HTTP/1\.[01]")
_URL_ASKED = re.compile(rb"((?!CONNECT )[A-Za-z]+) ([A-Za-z]+://[^ ]+)")
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\t -~\x80-\xff]*")
_FRAMING = (b"content-length", b"transfer-encoding", b"upgrade")
_TUNNELS_ALONE = (
    "this proxy opens tunnels alone, under permits such as --allow 'net.http:* https://HOST/**': "
    "ask with CONNECT (curl --proxytunnel), or use https"
)


@attrs.define(str=False)
class _Refused(TekError):
    """A request that is answered with an error. ``verdict`` is bad, denied or failed; ``to`` is its target if read."""

    status: str
    verdict: str
    why: str
    to: str = ""

    def __str__(self) -> str:
        return self.why


@attrs.define
class _Tunnel:
    """One connection for the record."""

    to: str = ""
    verdict: str = "open"
    why: str = ""
    sent: int = 0
    received: int = 0

    def value(self) -> Value:
        facts: dict[str, Value] = {"to": self.to, "verdict": self.verdict, "sent": self.sent, "received": self.received}
        return {**facts, "why": self.why} if self.why else facts


class Proxy:
    """Serves one command's listener from its creation until ``close``.

    ``take`` is told of bytes before they are passed on and returns how many of them the command's budget covers.
    """

    def __init__(self, listener: socket.socket, context: Context, take: Callable[[int], int], resolve: Resolve) -> None:
        self._listener = listener
        self._context = context
        self._covering = without_counts(context.covering)
        self._take = take
        self._resolve = resolve
        self._lock = threading.Lock()
        self._cancels: dict[Cancel, threading.Thread] = {}
        self._closed = threading.Event()
        self._tunnels: list[_Tunnel] = []
        self._more = 0
        self._acceptor = threading.Thread(target=self._accept, name="tek-proxy", daemon=True)
        self._acceptor.start()

    def close(self) -> Value:
        """End every tunnel and return what was asked for, as far as it is shown."""
        with self._lock:
            self._closed.set()
            running = list(self._cancels.items())
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for cancel, _ in running:
            cancel.cancel("end")
        self._acceptor.join()
        for _, thread in running:
            thread.join()
        with self._lock:
            shown: list[Value] = [tunnel.value() for tunnel in self._tunnels]
            return [*shown, {"more": self._more}] if self._more else shown

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                # Closing ends the loop; a machine that is short of something may have it again.
                self._closed.wait(_BREATH)
                continue
            sock.settimeout(None)
            if not self._begin(sock):
                sock.close()
                self._record(_Tunnel(verdict="failed", why="more connections at once than are served"))

    def _begin(self, sock: socket.socket) -> bool:
        """Serve a connection in a thread of its own, if there is room for one."""
        cancel = Cancel()
        thread = threading.Thread(target=self._serve, args=(sock, cancel), name="tek-tunnel", daemon=True)
        with self._lock:
            if self._closed.is_set() or len(self._cancels) >= MAX_TUNNELS:
                return False
            try:
                thread.start()
            except RuntimeError:  # the machine has no thread to give
                return False
            self._cancels[cancel] = thread
        return True

    def _serve(self, sock: socket.socket, cancel: Cancel) -> None:
        tunnel = _Tunnel()
        try:
            with closing(Line(self._allowance(_HEAD_TIMEOUT, cancel), cancel, sock)) as client:
                self._answer(client, tunnel, cancel)
        except EffectCancelled:
            pass  # the command has ended, and with it what it had open
        except EffectError as error:
            tunnel.verdict, tunnel.why = "failed", error.message
        finally:
            with self._lock:
                del self._cancels[cancel]
            self._record(tunnel)

    def _record(self, tunnel: _Tunnel) -> None:
        if not tunnel.to and tunnel.verdict == "open":
            return  # nothing was asked for
        with self._lock:
            if len(self._tunnels) < MAX_SHOWN:
                self._tunnels.append(tunnel)
            else:
                self._more += 1

    def _answer(self, client: Line, tunnel: _Tunnel, cancel: Cancel) -> None:
        try:
            target = _read_request(client)
            tunnel.to = target.authority
            server, allowance = self._connect(target, cancel)
        except _Refused as refused:
            tunnel.to = tunnel.to or refused.to
            tunnel.verdict, tunnel.why = refused.verdict, refused.why
            _refuse(client, refused)
            return
        with closing(server):
            client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            client.allow(allowance)
            self._relay(client, server, allowance, tunnel)

    def _connect(self, target: Target, cancel: Cancel) -> tuple[Line, Allowance]:
        allowance = self._allowance(_CONNECT_TIMEOUT, cancel)
        try:
            way = find_way(
                target,
                None,
                self._covering,
                lambda host, port: resolve_within(self._resolve, host, port, allowance, cancel),
            )
            server = Line(allowance, cancel)
            server.connect(way.addresses, target.resource.port)
        except EffectRefused as error:
            raise _Refused("403 Forbidden", "denied", error.message) from None
        except EffectError as error:
            raise _Refused("502 Bad Gateway", "failed", error.message) from None
        whole = Allowance(self._bounded(way.max_bytes), self._context.limits.ms, cancel)
        server.allow(whole)
        return server, whole

    def _bounded(self, max_bytes: int | None) -> Budget:
        """Return what one tunnel may carry; what all of them may is for ``take`` to say."""
        return Budget(self._context.limits.ms, 0, MAX_INTEGER if max_bytes is None else max_bytes)

    def _allowance(self, timeout: int, cancel: Cancel) -> Allowance:
        return Allowance(self._context.limits, timeout, cancel)

    def _relay(self, client: Line, server: Line, allowance: Allowance, tunnel: _Tunnel) -> None:
        """Pass bytes on in both directions until both have ended, or something has gone wrong in one."""
        failures: list[TekError] = []
        counting = threading.Lock()

        def carry(source: Line, sink: Line, direction: str) -> None:
            try:
                while piece := source.read(_PIECE):
                    with counting:
                        allowance.spend(len(piece))
                        covered = self._take(len(piece))
                        setattr(tunnel, direction, getattr(tunnel, direction) + covered)
                    sink.write(piece[:covered])
                    if covered < len(piece):
                        raise EffectError("budget-exhausted", "the command's io budget is used up")
                sink.end()
            except TekError as failure:
                failures.append(failure)
                client.interrupt()
                server.interrupt()

        back = threading.Thread(target=carry, args=(server, client, "received"), name="tek-tunnel-back", daemon=True)
        back.start()
        carry(client, server, "sent")
        back.join()
        if failures:
            raise failures[0]


def _read_request(client: Line) -> Target:
    """Read the request for a tunnel. Raises ``_Refused`` for whatever is not plainly one."""
    head = b""
    while b"\r\n\r\n" not in head:
        if len(head) > HEAD_LIMIT:
            raise _bad("the request is too long")
        piece = client.read(HEAD_LIMIT + 1 - len(head))
        if not piece:
            raise _bad("the request is not complete")
        head += piece
    head, _, rest = head.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    if (plain := _URL_ASKED.match(first)) is not None:
        raise _Refused("403 Forbidden", "denied", _TUNNELS_ALONE, _authority(*plain.groups()))
    request = _REQUEST.fullmatch(first)
    if request is None:
        raise _bad("write CONNECT host:port HTTP/1.1")
    if rest:
        raise _bad("something follows the request before it was answered")
    for header in headers:
        if not _HEADER.fullmatch(header):
            raise _bad("a header is a name, a colon and a value on one line")
        if header.partition(b":")[0].lower() in _FRAMING:
            raise _bad("a request for a tunnel has no body and no upgrade")
    try:
        return read_tunnel(request[1].decode("ascii"))
    except PatternError as error:
        raise _bad(error.problem) from None  # without the text: a user's password may stand in it


def _authority(method: bytes, url: bytes) -> str:
    """Return the host and port of a request that is not for a tunnel, nothing where they cannot be told."""
    try:
        return read_target(method.decode("ascii"), url.decode("ascii")).authority
    except (PatternError, UnicodeDecodeError):
        return ""


def _bad(why: str) -> _Refused:
    return _Refused("400 Bad Request", "bad", why)


def _refuse(client: Line, refused: _Refused) -> None:
    """Say why, and read on for a while: closing with something unread would take the answer back (RFC 9112, 9.6)."""
    body = f"tek: {refused.why}\n".encode("ascii", "backslashreplace")
    head = f"HTTP/1.1 {refused.status}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
    client.write(head.encode() + b"connection: close\r\n\r\n" + body)
    client.end()
    with suppress(EffectError):
        for _ in range(_LINGER):
            if not client.read(_PIECE):
                return
