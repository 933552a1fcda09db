"""The proxy of a command: tunnels where permits lead, counted bytes, and no other way of asking."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import attrs
import pytest

from tek_abi import Access, Budget, Caveat, MemoryBlobs, Permit
from tek_effects_net import Proxy
from tek_effects_net.proxy import HEAD_LIMIT, MAX_SHOWN, MAX_TUNNELS
from tek_kernel.effect import Cancel, Context
from tests.effects_net.servers import AT, OK, PLENTY, SUBJECT, Call, Names, Server, net_permit, says
from tests.security.ssrf_forms import HOSTS

Serve = Callable[..., Server]
Open = Callable[..., "Gate"]
EVERYTHING = net_permit("* http://*:*/**")


@attrs.define
class Gate:
    """A listener with its proxy, as a command sees it."""

    port: int
    proxy: Proxy
    taken: list[int]

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def say(self, request: bytes) -> bytes:
        """Send a request and return all of the answer."""
        with self.dial() as sock:
            sock.sendall(request)
            return _all(sock)

    def ask(self, to: str) -> bytes:
        return self.say(f"CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\r\n".encode())

    def tunnel(self, to: str) -> socket.socket:
        """Open a tunnel, or fail."""
        sock = self.dial()
        sock.sendall(f"CONNECT {to} HTTP/1.1\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = sock.recv(1)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        return sock


def _shown(gate: Gate) -> list[Any]:
    """Close the proxy and return its account."""
    shown = gate.proxy.close()
    assert isinstance(shown, list)
    return shown


def _all(sock: socket.socket) -> bytes:
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
    return answer


@pytest.fixture
def gate(no_descriptor_leaks: None) -> Iterator[Open]:
    opened: list[tuple[Proxy, socket.socket]] = []

    def start(
        *permits: Permit,
        resolve: Any = None,
        limits: Budget = PLENTY,
        io: int = 1 << 30,
        listener: socket.socket | None = None,
    ) -> Gate:
        def covering(access: Access) -> tuple[Permit, ...]:
            return tuple(permit for permit in permits if permit.mismatch(access, SUBJECT, AT) is None)

        taken: list[int] = []

        def take(count: int) -> int:
            covered = max(0, min(count, io - sum(taken)))
            taken.append(covered)
            return covered

        listener = listener or socket.create_server(("127.0.0.1", 0))
        context = Context(limits, (), Cancel(), MemoryBlobs(), "key", covering=covering)
        proxy = Proxy(listener, context, take, resolve or Names(localhost=[["127.0.0.1"]]))
        opened.append((proxy, listener))
        return Gate(listener.getsockname()[1], proxy, taken)

    yield start
    for proxy, listener in opened:
        proxy.close()
        listener.close()


class TestTunnels:
    def test_bytes_go_both_ways_and_stand_on_record(self, serve: Serve, gate: Open) -> None:
        server = serve(says(OK))
        to = f"127.0.0.1:{server.port}"
        opened = gate(net_permit(f"* http://{to}/**"))
        asked = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
        with opened.tunnel(to) as sock:
            sock.sendall(asked)
            assert _all(sock) == OK
        assert server.asked == [asked]
        shown = opened.proxy.close()
        assert shown == [{"to": to, "verdict": "open", "sent": len(asked), "received": len(OK)}]
        assert sum(opened.taken) == len(asked) + len(OK)

    def test_a_permit_for_https_opens_one_too(self, serve: Serve, gate: Open) -> None:
        server = serve(says(OK))
        to = f"localhost:{server.port}"
        with gate(net_permit(f"* https://{to}/**")).tunnel(to):
            pass

    def test_one_side_may_end_before_the_other(self, serve: Serve, gate: Open) -> None:
        def after_all(call: Call) -> None:
            while piece := call.conn.recv(65536):
                call.asked += piece
            call.say(b"seen %d" % len(call.asked))

        server = serve(after_all)
        to = f"127.0.0.1:{server.port}"
        with gate(net_permit(f"* http://{to}/**")).tunnel(to) as sock:
            sock.sendall(b"x" * 1_000_000)
            sock.shutdown(socket.SHUT_WR)
            assert _all(sock) == b"seen 1000000"

    def test_closing_ends_tunnels_that_nobody_uses(self, serve: Serve, gate: Open) -> None:
        server = serve(lambda call: call.pause())
        to = f"127.0.0.1:{server.port}"
        opened = gate(net_permit(f"* http://{to}/**"))
        with opened.tunnel(to) as sock:
            begun = time.monotonic()
            shown: Any = opened.proxy.close()
            assert time.monotonic() - begun < 5
            assert sock.recv(1) == b""
        assert shown[0]["to"] == to
        with pytest.raises(OSError, match=r"refused|reset"):
            opened.say(b"x")

    def test_bytes_past_the_command_s_budget_are_not_passed_on(self, serve: Serve, gate: Open) -> None:
        server = serve(says(b"y" * 1_000_000))
        to = f"127.0.0.1:{server.port}"
        opened = gate(net_permit(f"* http://{to}/**"), io=5000)
        with opened.tunnel(to) as sock:
            sock.sendall(b"\r\n\r\n")
            assert len(_all(sock)) == 4996
        shown: Any = opened.proxy.close()
        assert shown[0]["sent"] + shown[0]["received"] == 5000
        assert (shown[0]["verdict"], shown[0]["why"]) == ("failed", "the command's io budget is used up")

    def test_max_bytes_bounds_a_tunnel(self, serve: Serve, gate: Open) -> None:
        server = serve(says(b"y" * 1_000_000))
        to = f"127.0.0.1:{server.port}"
        permit = attrs.evolve(net_permit(f"* http://{to}/**"), caveats=(Caveat("max_bytes", 100_000),))
        with gate(permit).tunnel(to) as sock:
            sock.sendall(b"\r\n\r\n")
            assert len(_all(sock)) <= 100_000

    def test_more_than_enough_connections_are_turned_away(self, gate: Open) -> None:
        opened = gate(EVERYTHING)
        socks = [opened.dial() for _ in range(MAX_TUNNELS + 1)]
        try:
            socks[-1].settimeout(10)
            assert socks[-1].recv(1) == b""
        finally:
            for sock in socks:
                sock.close()
        turned_away = [shown for shown in _shown(opened) if shown["verdict"] == "failed"]
        assert len(turned_away) == 1
        assert "at once" in turned_away[0]["why"]

    def test_a_machine_that_is_short_of_descriptors_for_a_while_goes_on(self, serve: Serve, gate: Open) -> None:
        server = serve(says(OK))
        to = f"127.0.0.1:{server.port}"
        listener = Watched()
        opened = gate(net_permit(f"* http://{to}/**"), listener=listener)
        with socket.socket() as first, socket.socket() as second:
            with _no_descriptor_left():
                # One may be taken, with a descriptor that was set aside before.
                for sock in (first, second):
                    sock.settimeout(10)
                    sock.connect(("127.0.0.1", opened.port))
                assert listener.failed.wait(10)
            for sock in (first, second):
                sock.sendall(f"CONNECT {to} HTTP/1.1\r\n\r\n".encode())
                assert sock.recv(64).startswith(b"HTTP/1.1 200 ")


class Watched(socket.socket):
    """A listener that tells when nothing could be taken from it."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = threading.Event()
        self.bind(("127.0.0.1", 0))
        self.listen()

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError:
            self.failed.set()
            raise


@contextmanager
def _no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


class TestDecision:
    @pytest.mark.parametrize(
        "resource",
        [
            "http://127.0.0.1:{port}/**",
            "GET|POST http://127.0.0.1:{port}/**",
            "* http://127.0.0.1:{port}/api/**",
            "* http://127.0.0.1:1/**",
            "* http://example.org:{port}/**",
        ],
    )
    def test_what_does_not_grant_every_method_and_path_there_opens_nothing(
        self, serve: Serve, gate: Open, resource: str
    ) -> None:
        server = serve(says(OK))
        opened = gate(net_permit(resource.format(port=server.port)))
        answer = opened.ask(f"127.0.0.1:{server.port}")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert f"--allow 'net.http:* https://127.0.0.1:{server.port}/**'".encode() in answer
        assert not server.calls
        shown: Any = opened.proxy.close()
        assert shown[0]["verdict"] == "denied"

    @pytest.mark.parametrize(
        "narrower",
        [
            {"caveats": (Caveat("methods", ("GET",)),)},
            {"caveats": (Caveat("max_uses", 1),)},
            {"caveats": (Caveat("unknown", 1),)},
            {"exclude": ("* http://127.0.0.1:*/admin/**",)},
            {"expires_at": "2025-01-01T00:00:00.000000Z"},
        ],
    )
    def test_a_narrower_permit_opens_nothing(self, serve: Serve, gate: Open, narrower: dict[str, Any]) -> None:
        server = serve(says(OK))
        permit = attrs.evolve(net_permit(f"* http://127.0.0.1:{server.port}/**"), **narrower)
        assert gate(permit).ask(f"127.0.0.1:{server.port}").startswith(b"HTTP/1.1 403 ")
        assert not server.calls

    @pytest.mark.parametrize("form", HOSTS)
    def test_no_form_of_a_host_leads_to_what_is_not_public(self, serve: Serve, gate: Open, form: str) -> None:
        server = serve(says(OK))
        resolve = Names(localhost=[["127.0.0.1"]], a__localhost=[["127.0.0.1"]])
        answer = gate(EVERYTHING, resolve=resolve).ask(f"{HOSTS[form]}:{server.port}")
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 502"), answer
        assert not server.calls

    @pytest.mark.parametrize("answers", [[["127.0.0.1"]], [["8.8.8.8", "127.0.0.1"]], [["::ffff:127.0.0.1"]]])
    def test_a_name_does_not_grant_where_it_leads(self, serve: Serve, gate: Open, answers: list[list[str]]) -> None:
        server = serve(says(OK))
        opened = gate(net_permit("* http://inner.example:*/**"), resolve=Names(inner__example=answers))
        answer = opened.ask(f"inner.example:{server.port}")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"ask for" in answer
        assert not server.calls

    def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(self, serve: Serve, gate: Open) -> None:
        server = serve(says(OK))
        names = Names(app__localhost=[["127.0.0.1"], ["10.0.0.1"]])
        to = f"app.localhost:{server.port}"
        with gate(net_permit(f"* http://{to}/**"), resolve=names).tunnel(to):
            assert names.questions == ["app.localhost"]

    def test_a_name_that_nobody_granted_is_not_resolved(self, gate: Open) -> None:
        names = Names()
        assert gate(LOCAL, resolve=names).ask("secret-in-a-name.example:443").startswith(b"HTTP/1.1 403 ")
        assert names.questions == []


LOCAL = net_permit("* http://127.0.0.1:*/**")


class TestRequests:
    @pytest.mark.parametrize(
        "request_",
        [
            b"GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\nhost: x\n\n\r\n\r\n",
            b"CONNECT  127.0.0.1:{port} HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/2\r\n\r\n",
            b"connect 127.0.0.1:{port} HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1:0{port} HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1:99999 HTTP/1.1\r\n\r\n",
            b"CONNECT http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1:{port}/x HTTP/1.1\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost : x\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: x\ry: z\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\ncontent-length: 4\r\n\r\nGET ",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"CONNECT \xff:{port} HTTP/1.1\r\n\r\n",
            b"\x05\x01\x00\r\n\r\n",
            b"\x16\x03\x01\r\n\r\n",
            b"\r\n\r\n",
        ],
    )
    def test_only_a_plain_connect_is_taken(self, serve: Serve, gate: Open, request_: bytes) -> None:
        server = serve(says(OK))
        answer = gate(LOCAL).say(request_.replace(b"{port}", str(server.port).encode()))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"tek: " in answer
        assert not server.calls

    @pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/x?token", "http://u:token@127.0.0.1:{port}/", "ftp://x/"])
    def test_a_url_is_refused_with_what_to_do_however_much_follows(self, serve: Serve, gate: Open, url: str) -> None:
        server = serve(says(OK))
        opened = gate(LOCAL)
        url = url.format(port=server.port)
        with opened.dial() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that sending waits for who reads
            sock.sendall(f"POST {url} HTTP/1.1\r\ncontent-length: 999999\r\n\r\n".encode() + b"x" * 999_999)
            answer = _all(sock)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"--proxytunnel" in answer
        assert b"--allow" in answer
        assert not server.calls
        (shown,) = _shown(opened)
        assert (shown["to"], shown["verdict"]) in [(f"127.0.0.1:{server.port}", "denied"), ("", "denied")]
        assert "token" not in str(shown)

    def test_what_is_no_request_is_on_record_without_its_words(self, gate: Open) -> None:
        opened = gate(LOCAL)
        assert opened.ask("user:secret@127.0.0.1:1").startswith(b"HTTP/1.1 400 ")
        (shown,) = _shown(opened)
        assert shown["verdict"] == "bad"
        assert "secret" not in str(shown)

    def test_the_record_of_connections_is_bounded(self, gate: Open) -> None:
        opened = gate(LOCAL)
        for _ in range(MAX_SHOWN + 3):
            assert opened.ask("example.org:443").startswith(b"HTTP/1.1 403 ")
        *shown, rest = _shown(opened)
        assert (len(shown), rest) == (MAX_SHOWN, {"more": 3})

    def test_a_request_that_never_ends_is_cut(self, gate: Open) -> None:
        opened = gate(LOCAL)
        with opened.dial() as sock:
            sock.sendall((b"CONNECT x:1 HTTP/1.1\r\n" + b"a: b\r\n" * HEAD_LIMIT)[: HEAD_LIMIT + 1])
            assert _all(sock).startswith(b"HTTP/1.1 400 ")

    def test_what_cannot_be_reached_is_a_bad_gateway(self, gate: Open) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        opened = gate(LOCAL)
        assert opened.ask(f"127.0.0.1:{port}").startswith(b"HTTP/1.1 502 ")
        shown: Any = opened.proxy.close()
        assert shown[0]["verdict"] == "failed"
