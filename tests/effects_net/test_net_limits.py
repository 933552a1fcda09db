"""Deadlines, byte budgets and cancellation, whatever the server does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tek_abi import CODEC, Blob, Budget, canonical
from tek_abi.vocabulary.net import Http
from tek_kernel.effect import Cancel, EffectCancelled, EffectError
from tests.effects_net.servers import ANYWHERE, OK, Call, Client, Names, Server, Talk, net_permit, says

Serve = Callable[..., Server]
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@contextmanager
def takes_less_than(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def silent(call: Call) -> None:
    call.hear()
    call.pause()


def drips(data: bytes) -> Talk:
    """A server that sends a byte every few milliseconds, so that no single wait is ever long."""

    def talk(call: Call) -> None:
        call.hear()
        while True:
            for byte in data:
                call.say(bytes([byte]))
                if call.pause(0.01):
                    return

    return talk


def drips_after(start: bytes, data: bytes) -> Talk:
    def talk(call: Call) -> None:
        call.hear()
        call.say(start)
        drips(data)(Call(call.server, call.conn, b"\r\n\r\n"))

    return talk


def floods(start: bytes, more: bytes) -> Talk:
    """A server that does not stop by itself."""

    def talk(call: Call) -> None:
        call.hear()
        call.say(start)
        while not call.server.stopping.is_set():
            call.say(more)

    return talk


SLOW = {
    "silence": silent,
    "head": drips(b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 100_000),
    "body": drips_after(HEAD, b"x"),
    "chunks": drips_after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "interim answers": drips(b"HTTP/1.1 103 E\r\n\r\n"),
}


@pytest.mark.parametrize("slow", SLOW)
def test_the_timeout_holds_for_the_whole_exchange(serve: Serve, client: Client, slow: str) -> None:
    server = serve(SLOW[slow])

    with takes_less_than(3), pytest.raises(EffectError, match="within 300 ms") as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/", timeout=300))
    assert caught.value.code == "timeout"
    assert caught.value.exhausted is None


def test_the_reservation_is_a_deadline_too_and_is_named_as_the_cause(serve: Serve, client: Client) -> None:
    server = serve(silent)

    with takes_less_than(3), pytest.raises(EffectError) as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/", timeout=5000), limits=Budget(ms=300, io=1000))
    assert caught.value.code == "timeout"
    assert caught.value.exhausted is not None
    assert caught.value.exhausted.dimension == "ms"


def test_a_server_that_does_not_read_is_left_at_the_deadline(serve: Serve, client: Client) -> None:
    server = serve(Call.pause)
    body = Blob.of(b"x" * 32_000_000)

    with takes_less_than(3), pytest.raises(EffectError) as caught:
        client.ask(Http("POST", f"http://127.0.0.1:{server.port}/", body=body, timeout=300))
    assert caught.value.code == "timeout"
    assert 0 < caught.value.usage.io < body.size


def test_whether_a_request_was_acted_on_is_unknown_once_some_of_it_was_sent(serve: Serve, client: Client) -> None:
    unanswered, cut, ended = (
        serve(silent),
        serve(says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")),
        serve(says()),
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]

    def is_unknown(port: int, io: int = 100) -> bool:
        with pytest.raises(EffectError) as caught:
            client.ask(
                Http("POST", f"http://127.0.0.1:{port}/", body=Blob.of(b"12345"), timeout=200),
                limits=Budget(ms=9000, io=io),
            )
        return caught.value.unknown

    assert all(is_unknown(server.port) for server in (unanswered, cut, ended))
    assert is_unknown(cut.port, io=6)
    assert not is_unknown(cut.port, io=4)
    assert not is_unknown(nobody)


@contextmanager
def deaf_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port that drops connection attempts: it listens, its queue is full and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind((address, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_an_address_that_stays_silent_leaves_time_for_the_next(serve: Serve) -> None:
    with deaf_port("127.0.0.3") as port:
        server = serve(says(OK), port=port)
        client = Client(Names(app__localhost=[["127.0.0.3", "127.0.0.1"]]))

        response = client.ask(
            Http("GET", f"http://app.localhost:{port}/", timeout=800), net_permit("http://app.localhost:*/**")
        )

    assert response.status == 200
    assert len(server.calls) == 1


def test_connecting_ends_at_the_deadline(client: Client) -> None:
    with deaf_port() as port, takes_less_than(3), pytest.raises(EffectError) as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{port}/", timeout=300))
    assert caught.value.code == "timeout"


def test_resolving_ends_at_the_deadline() -> None:
    released = Event()

    def never(host: str, port: int) -> Sequence[str]:
        released.wait(20)
        return []

    with takes_less_than(3), pytest.raises(EffectError) as caught:
        Client(never).ask(Http("GET", "http://example.org/", timeout=200), ANYWHERE)
    released.set()
    assert caught.value.code == "timeout"


ENDLESS = {
    "body": (HEAD, b"x" * 10_000),
    "chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n" * 1000),
    "padded chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1;" + b"p" * 60_000 + b"\r\nx\r\n",
    ),
    "announced": (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", b"x" * 10_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_body_ends_with_the_byte_budget(serve: Serve, client: Client, kind: str) -> None:
    server = serve(floods(*ENDLESS[kind]))

    with takes_less_than(10), pytest.raises(EffectError) as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"), limits=Budget(ms=9_000, io=100_000))

    assert caught.value.code == "budget-exhausted"
    assert caught.value.exhausted is not None
    assert caught.value.exhausted.dimension == "io"
    assert caught.value.usage.io <= 100_000


def test_a_body_that_is_announced_too_long_is_not_read(serve: Serve, client: Client) -> None:
    server = serve(floods(*ENDLESS["announced"]))

    with pytest.raises(EffectError) as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"), limits=Budget(ms=9_000, io=100_000))

    assert (caught.value.code, caught.value.usage) == ("budget-exhausted", Budget())
    canonical(CODEC.encode(caught.value.exhausted))  # however long it is said to be, the ledger can hold it


@pytest.mark.parametrize(("io", "fits"), [(7, True), (6, False)])
def test_both_bodies_share_the_byte_budget_to_the_byte(serve: Serve, client: Client, io: int, fits: bool) -> None:
    server = serve(says(OK))
    request = Http("POST", f"http://127.0.0.1:{server.port}/", body=Blob.of(b"12345"))

    if fits:
        assert client.apply(request, limits=Budget(ms=5000, io=io)).usage == Budget(io=7)
    else:
        with pytest.raises(EffectError) as caught:
            client.ask(request, limits=Budget(ms=5000, io=io))
        assert (caught.value.code, caught.value.usage) == ("budget-exhausted", Budget(io=5))


def test_a_request_body_over_the_budget_is_never_sent(serve: Serve, client: Client) -> None:
    server = serve(says(OK))

    with pytest.raises(EffectError) as caught:
        client.ask(
            Http("POST", f"http://127.0.0.1:{server.port}/", body=Blob.of(b"12345")), limits=Budget(ms=5000, io=4)
        )
    assert (caught.value.code, caught.value.usage) == ("budget-exhausted", Budget())
    assert not server.calls


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"a" * 1000 + b"\r\n"), (b"", b"HTTP/1.1 103 E\r\nlink: x\r\n\r\n" * 100)],
    ids=["headers", "interim answers"],
)
def test_endless_headers_are_cut(serve: Serve, client: Client, start: bytes, more: bytes) -> None:
    server = serve(floods(start, more))

    with takes_less_than(5), pytest.raises(EffectError, match="headers") as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"))
    assert caught.value.code == "connection"


def test_headers_just_below_the_limit_pass(serve: Serve, client: Client) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 65_000 + b"\r\ncontent-length: 2\r\n\r\nok"))

    assert client.ask(Http("GET", f"http://127.0.0.1:{server.port}/")).body.read() == b"ok"


def cancelling(cancel: Cancel, start: bytes = b"") -> Talk:
    """A server that has the request cancelled once it has it, and says nothing more."""

    def talk(call: Call) -> None:
        call.hear()
        call.say(start)
        call.pause(0.1)  # so that the client most likely waits for more; it is to end in any case
        cancel.cancel("interrupt")
        call.pause()

    return talk


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", HEAD + b"ab", OK[:-1]])
def test_cancelling_ends_an_exchange_at_once(serve: Serve, client: Client, start: bytes) -> None:
    cancel = Cancel()
    server = serve(cancelling(cancel, start))

    with takes_less_than(3), pytest.raises(EffectCancelled):
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"), cancel=cancel)


def test_cancelling_says_how_much_was_moved(serve: Serve, client: Client) -> None:
    cancel = Cancel()
    server = serve(cancelling(cancel))

    with pytest.raises(EffectCancelled) as caught:
        client.ask(Http("POST", f"http://127.0.0.1:{server.port}/", body=Blob.of(b"12345")), cancel=cancel)
    assert caught.value.usage == Budget(io=5)


def connection_attempts(port: int) -> int:
    wanted = f":{port:04X} 02 "  # the remote port, then SYN_SENT
    return Path("/proc/self/net/tcp").read_text("ascii").count(wanted)


def test_cancelling_ends_a_connection_attempt(client: Client) -> None:
    cancel = Cancel()

    def cancel_once_connecting(port: int, others: int) -> None:
        while connection_attempts(port) <= others and not cancel.cancelled:
            time.sleep(0.01)  # nothing tells of a connection attempt but the system's table
        cancel.cancel("race")

    with deaf_port() as port, takes_less_than(5):
        watcher = Thread(target=cancel_once_connecting, args=(port, connection_attempts(port)))
        watcher.start()
        with pytest.raises(EffectCancelled):
            client.ask(Http("GET", f"http://127.0.0.1:{port}/"), cancel=cancel)
        cancel.cancel("the test is over")
        watcher.join(5)


def test_cancelling_ends_a_resolution() -> None:
    cancel, released = Cancel(), Event()

    def cancelled_meanwhile(host: str, port: int) -> Sequence[str]:
        cancel.cancel("timeout")
        released.wait(20)
        return []

    with takes_less_than(3), pytest.raises(EffectCancelled):
        Client(cancelled_meanwhile).ask(Http("GET", "http://example.org/"), ANYWHERE, cancel=cancel)
    released.set()


def test_a_cancelled_request_is_not_begun(serve: Serve, client: Client) -> None:
    server, cancel = serve(says(OK)), Cancel()
    cancel.cancel("race")

    with pytest.raises(EffectCancelled):
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"), cancel=cancel)
    assert not server.calls


def test_an_answer_that_is_whole_stays_when_cancelled_later(serve: Serve, client: Client) -> None:
    server, cancel = serve(says(OK)), Cancel()

    response = client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"), cancel=cancel)
    cancel.cancel("race")

    assert response.body.read() == b"ok"


def test_requests_leave_no_descriptor_open_however_they_end(serve: Serve) -> None:
    # The fixture around every test counts descriptors; here they would add up.
    good, bad, slow = serve(says(OK)), serve(says(b"nonsense\r\n\r\n")), serve(silent)
    client = Client(Names(app__localhost=[["127.0.0.9", "127.0.0.1"]]))
    permit = net_permit("http://app.localhost:*/**")

    for _ in range(5):
        client.ask(Http("GET", f"http://app.localhost:{good.port}/"), permit)
        for server in (bad, slow):
            with pytest.raises(EffectError):
                client.ask(Http("GET", f"http://app.localhost:{server.port}/", timeout=100), permit)
