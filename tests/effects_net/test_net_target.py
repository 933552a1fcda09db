"""Reading a request: the forms of a URL that are refused, and the headers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tek_abi import Blob, Budget, Limit, PatternError
from tek_abi.vocabulary.net import Http
from tek_kernel.effect import Cost, EffectRefused, SideEffect
from tests.effects_net.servers import ANYWHERE, OK, Client, NotGranted, Server, net_permit, says

Serve = Callable[..., Server]


def test_an_access_names_method_scheme_host_port_and_path(client: Client) -> None:
    (access,) = client.effect.accesses(Http("post", "HTTP://Example.ORG/a/b?c=d", body=Blob.of(b"12345")))

    assert (access.action, access.family) == ("net.http", "net")
    assert access.resource == "POST http://example.org:80/a/b"
    assert (access.method, access.bytes) == ("POST", 5)


def test_without_a_body_only_the_effect_knows_how_much_it_moves(client: Client) -> None:
    assert client.effect.accesses(Http("GET", "https://example.org"))[0].bytes is None


@pytest.mark.parametrize(
    "authority",
    [
        *(
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0x7F.1",
            "017700000001",
            "127.1",
            "0",
            "0.0.0.0",
            "[::]",
            "127.0.0.1.",
        ),
        *("127.0.0.01", "127.0.0.1.0x", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "[fe80::1%lo]"),
        *("[::1", "::1", "[::1]x", "x[::1]", "[v1.x]", "[127.0.0.1]", "[]"),
        *("１２７.０.０.１", "127。0。0。1", "ⓛocalhost", "localhost.", "localhost", "LOCALHOST"),
        *("127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1"),
        *("allowed@127.0.0.1", "allowed:pw@127.0.0.1", "@127.0.0.1", "127.0.0.1\\@allowed", "127.0.0.1%00.allowed"),
        *("127.0.0.1%2f@allowed", "allowed\r\nHost:127.0.0.1", "allowed\t", "allowed ", "a..b", ".a", "*", "*.a", "-a"),
        *("a" * 64, "a;b", "a,b", "a&b", "a=b", "a!b", "(a)", "a'b", "a~b", "a+b", "a$b"),
    ],
)
def test_no_form_of_a_host_reaches_loopback_under_a_wildcard(serve: Serve, authority: str) -> None:
    trap = serve(says(OK))
    client = Client(lambda host, port: ["127.0.0.1"])  # the worst of resolvers

    for url in (f"http://{authority}:{trap.port}/", f"http://{authority}/"):
        with pytest.raises((PatternError, EffectRefused)):
            client.ask(Http("GET", url), ANYWHERE)
    assert not trap.calls


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "gopher://127.0.0.1/_x", "ftp://127.0.0.1/", "unix:///run/x", "data:,x", "//h/", "h/"),
        *("http:", "http:/h", "http:///h", "https://", "javascript:x", "http+unix://x/", "", "ws://h/"),
        *("http://127.0.0.1#@allowed/", "http://h/#f", "http://h/a#", "http://h?q#f"),
        *(
            "http://h:0/",
            "http://h:65536/",
            "http://h:-1/",
            "http://h:8_0/",
            "http://h:080/",
            "http://h:/",
            "http://h:x/",
        ),
        *("http://h:80:80/", "http://h/a/../b", "http://h/./a", "http://h/%2e%2e/a", "http://h/a%2Fb", "http://h/%2E/"),
        *(
            "http://h/a b",
            "http://h/a\r\nX: y",
            "http://h/a\x00",
            "http://h/é",
            "http://h/\\x",
            " http://h/",
            "http://h/\n",
        ),
        "http://h/\u202e",
    ],
)
def test_odd_urls_are_refused(client: Client, url: str) -> None:
    with pytest.raises(PatternError):
        client.effect.accesses(Http("GET", url))


@pytest.mark.parametrize("method", ["CONNECT", "connect", "TRACE", "GET /", "GET\r\n", "", "G-T", "ＧＥＴ"])
def test_odd_methods_are_refused(client: Client, method: str) -> None:
    with pytest.raises(PatternError):
        client.effect.accesses(Http(method, "http://example.org/"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X", "a\r\nHost: evil"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\x00b"), ("X", "a\x7f"), ("X", "é")),
        *(("X", " a"), ("X", "a "), ("X", "\ta"), ("X\r\nY", "a"), ("X Y", "a"), ("X:", "a"), ("", "a"), ("É", "a")),
        *(("Host", "evil"), ("hOST", "evil"), ("Connection", "x"), ("Transfer-Encoding", "chunked")),
        *(("Content-Length", "3"), ("Proxy-Authorization", "x"), ("proxy-connection", "x"), ("TE", "trailers")),
        *(("Upgrade", "h2c"), ("HTTP2-Settings", "x"), ("Trailer", "x"), ("Expect", "100-continue")),
        *(("X", "secret:"), ("X", "secret:a-b"), ("X", "Basic secret:A"), ("X", "secret:A tail"), ("X", "a secret:A")),
        ("X", "a" * 70_000),
    ],
)
def test_headers_that_could_reframe_a_request_are_refused(client: Client, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"header|value"):
        client.effect.accesses(Http("GET", "http://example.org/", ((name, value),)))


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_is_positive(client: Client, timeout: int) -> None:
    with pytest.raises(ValueError, match="timeout"):
        client.effect.accesses(Http("GET", "http://example.org/", timeout=timeout))


@pytest.mark.parametrize(
    ("method", "side_effect"),
    [
        *(("GET", SideEffect.READ), ("head", SideEffect.READ), ("OPTIONS", SideEffect.READ)),
        *(("PUT", SideEffect.IDEMPOTENT), ("DELETE", SideEffect.IDEMPOTENT)),
        *(("POST", SideEffect.ONCE), ("PATCH", SideEffect.ONCE), ("PURGE", SideEffect.ONCE)),
    ],
)
def test_the_method_says_what_a_second_request_would_do(client: Client, method: str, side_effect: SideEffect) -> None:
    assert client.effect.side_effect(Http(method, "http://example.org/")) is side_effect


def test_a_request_reserves_its_timeout_its_body_and_whatever_bytes_there_are(client: Client) -> None:
    assert client.effect.cost(Http("GET", "http://h/")) == Cost(Budget(ms=1), Limit(ms=30_000, tokens=0))
    posted = Http("POST", "http://h/", body=Blob.of(b"12345"), timeout=700)
    assert client.effect.cost(posted) == Cost(Budget(ms=1, io=5), Limit(ms=700, tokens=0))


@pytest.mark.parametrize("url", ["http://127.0.0.1:{other}/", "https://127.0.0.1:{port}/", "http://127.0.0.1:{port}/b"])
def test_another_port_scheme_or_path_is_not_granted(serve: Serve, client: Client, url: str) -> None:
    server = serve(says(OK))
    permit = net_permit(f"http://127.0.0.1:{server.port}/a/**")

    with pytest.raises(NotGranted):
        client.ask(Http("GET", url.format(port=server.port, other=server.port % 65535 + 1)), permit)
    assert not server.calls
