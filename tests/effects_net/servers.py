"""Real servers on loopback, and a broker's part in miniature: decide, then apply."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import attrs

from tek_abi import Budget, MemoryBlobs, Permit, Subject
from tek_abi.vocabulary.net import Http, Response
from tek_effects_net import Resolve, Trust, http_effects
from tek_kernel.effect import Applied, Cancel, Context

SUBJECT = Subject("TASK-001", "shell")
AT = "2026-01-01T00:00:00.000000Z"
PLENTY = Budget(ms=20_000, io=64 << 20)


def net_permit(*resources: str) -> Permit:
    return Permit(("net.http",), resources, rule=f"net.http:{' & '.join(resources)}")


ANYWHERE = net_permit("* http://*:*/**")
LOOPBACK = net_permit("* http://127.0.0.1:*/**")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@attrs.define
class Call:
    """One connection as a server sees it: ``asked`` is the request, head and body."""

    server: Server
    conn: socket.socket
    asked: bytes = b""

    def say(self, data: bytes) -> None:
        self.conn.sendall(data)

    def pause(self, seconds: float = 30) -> bool:
        """Wait; true if the server is being stopped."""
        return self.server.stopping.wait(seconds)

    def hear(self) -> None:
        while b"\r\n\r\n" not in self.asked:
            if not self._more():
                return
        head, _, body = self.asked.partition(b"\r\n\r\n")
        sizes = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while sizes and len(body) < int(sizes[0]):
            if not self._more():
                return
            body = self.asked.partition(b"\r\n\r\n")[2]

    def _more(self) -> bool:
        data = self.conn.recv(65536)
        self.asked += data
        return bool(data)


Talk = Callable[[Call], object]


def says(*parts: bytes) -> Talk:
    """A server that hears one request and answers with ``parts``."""

    def talk(call: Call) -> None:
        call.hear()
        for part in parts:
            call.say(part)

    return talk


class Server:
    """Gives each connection to ``talk`` in a thread of its own, and remembers the calls."""

    def __init__(self, talk: Talk, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None):
        self._talk = talk
        self._tls = tls
        self.stopping = Event()
        self.calls: list[Call] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def asked(self) -> list[bytes]:
        return [call.asked for call in self.calls]

    def stop(self) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for call in self.calls:
            with suppress(OSError):
                socket.socket.shutdown(call.conn, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                conn, _ = self._listener.accept()
                call = Call(self, conn)
                self.calls.append(call)
                thread = Thread(target=self._serve, args=(call,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, call: Call) -> None:
        with suppress(OSError):  # clients leave when they have seen enough
            if self._tls is not None:
                call.conn = self._tls.wrap_socket(call.conn, server_side=True)
            self._talk(call)
        call.conn.close()


class Names:
    """A resolver over a table: each question about a name takes its next answer, the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("__", "."): list(rounds) for name, rounds in answers.items()}
        self.questions: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.questions.append(host)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        rounds = self.answers[host]
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]


class NotGranted(Exception):
    """No permit covers what the request itself names: the effect is never applied."""


class Client:
    """Asks for requests as a task would."""

    def __init__(
        self, resolve: Resolve, ca_file: str | None = None, client_cert: tuple[str, str] | None = None
    ) -> None:
        (self.effect,) = http_effects(resolve, Trust(ca_file, client_cert))
        self.blobs = MemoryBlobs()

    def apply(
        self,
        request: Http,
        *permits: Permit,
        limits: Budget = PLENTY,
        cancel: Cancel | None = None,
        secrets: dict[str, str] | None = None,
    ) -> Applied:
        permits = permits or (LOOPBACK,)
        access, *_ = self.effect.accesses(request)
        covering = tuple(permit for permit in permits if permit.mismatch(access, SUBJECT, AT) is None)
        if not covering:
            raise NotGranted(access.resource)
        secret = (secrets or {}).get
        return self.effect.apply(
            request,
            Context(
                limits, covering, cancel or Cancel(), self.blobs, "key", covering=lambda _: covering, secret=secret
            ),
        )

    def ask(self, request: Http, *permits: Permit, **more: Any) -> Response:
        response = self.apply(request, *permits, **more).value
        assert isinstance(response, Response)
        return response
