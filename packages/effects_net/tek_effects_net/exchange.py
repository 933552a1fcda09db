"""One HTTP/1.1 exchange over a line. Imported with the first request, as httpcore takes its time to load.

httpcore frames the messages and nothing else: it gets a host and port that were read and checked before, and a
network that can reach one line only.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import httpcore

from tek_effects_net.allowance import Allowance
from tek_effects_net.line import Line
from tek_effects_net.target import Target
from tek_kernel.effect import EffectError

HEADER_LIMIT = 64 * 1024
"""How many bytes come before a response's body at most, interim responses included."""

_CHUNK = 64 * 1024
_WORST_FRAMING = 8  # a chunk of one byte takes six; more is padding


@attrs.frozen
class Question:
    """A request as it is sent, but for its framing. ``body`` is ``None`` where there is none.

    ``length`` is how many bytes the body holds, ``None`` where nobody knows and it goes in chunks.
    """

    target: Target
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    body: Iterable[bytes] | None
    length: int | None = None


@attrs.frozen
class Answer:
    """A response whose body is still to be read; ``body`` can be read once. Header names are in lower case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: Iterator[bytes]
    address: str
    http_version: str


class _Stream(httpcore.NetworkStream):
    """The line as httpcore sees it. Timeouts that httpcore passes are the line's own business."""

    def __init__(self, line: Line, allowance: Allowance) -> None:
        self._line = line
        self._allowance = allowance
        self._room = HEADER_LIMIT
        self._in_head = True

    def body_begins(self) -> None:
        """Allow for the body from here on, with the framing around it."""
        self._in_head = False
        self._room += _CHUNK + _WORST_FRAMING * self._allowance.bytes_left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._room == 0 and self._in_head:
            message = f"the response's headers take more than {HEADER_LIMIT} bytes"
            raise EffectError("connection", message, self._allowance.usage)
        if self._room == 0:
            self._allowance.check_fits(self._allowance.bytes_left + 1)
        data = self._line.read(min(max_bytes, self._room))
        self._room -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._line.write(buffer)
        except EffectError as error:
            if error.code != "connection":
                raise
            # A server may answer and close before it has read all; httpcore then goes on to read the answer.
            raise httpcore.WriteError(error.message) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._line.start_tls(ssl_context, (server_hostname or "").strip("[]"))
        return self

    def close(self) -> None:
        self._line.close()


class _Network(httpcore.NetworkBackend):
    """A network on which every host is at the addresses that were checked."""

    def __init__(self, stream: _Stream, line: Line, addresses: Sequence[str]) -> None:
        self._stream = stream
        self._line = line
        self._addresses = addresses
        self.address = ""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.address = self._line.connect(self._addresses, port)
        return self._stream


@contextmanager
def ask(
    question: Question, addresses: Sequence[str], line: Line, allowance: Allowance, tls: ssl.SSLContext | None
) -> Iterator[Answer]:
    """Connect ``line`` to one of ``addresses``, send ``question``, yield the answer, close.

    ``tls`` is needed for https. Raises ``EffectError`` or ``EffectCancelled``.
    """
    resource = question.target.resource
    stream = _Stream(line, allowance)
    network = _Network(stream, line, addresses)
    url = httpcore.URL(
        scheme=resource.scheme, host=resource.host, port=resource.port, target=question.target.path_and_query
    )
    content = None if question.body is None else _sent(question.body, allowance)
    try:
        with (
            httpcore.HTTPConnection(url.origin, tls, http1=True, http2=False, network_backend=network) as connection,
            connection.stream(resource.method, url, headers=_headers(question), content=content) as response,
        ):
            stream.body_begins()
            headers = tuple((name.lower(), value) for name, value in response.headers)
            version = str(response.extensions["http_version"], "ascii")
            yield Answer(response.status, headers, _received(response, allowance), network.address, version)
    except httpcore.RemoteProtocolError as error:
        raise EffectError("connection", f"{resource.host} does not speak HTTP/1.1: {error}", allowance.usage) from None
    finally:
        line.close()


def _headers(question: Question) -> list[tuple[str, str]]:
    if question.body is None:
        framing = []
    elif question.length is None:
        framing = [("transfer-encoding", "chunked")]
    else:
        framing = [("content-length", str(question.length))]
    return [*question.headers, *framing, ("connection", "close")]


def _sent(body: Iterable[bytes], allowance: Allowance) -> Iterator[bytes]:
    for piece in body:
        allowance.spend(len(piece))
        yield piece


def _received(response: httpcore.Response, allowance: Allowance) -> Iterator[bytes]:
    for chunk in response.iter_stream():
        allowance.spend(len(chunk))
        yield chunk
