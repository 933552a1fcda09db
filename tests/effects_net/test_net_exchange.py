"""What is sent and what comes back."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tek_abi import Blob, Budget, MemoryBlobs
from tek_abi.vocabulary.net import Http
from tek_kernel.effect import Applied, EffectError
from tests.effects_net.servers import ANYWHERE, OK, Call, Client, Names, Server, net_permit, says

Serve = Callable[..., Server]


def lines_of(asked: bytes) -> list[str]:
    return asked.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def address_of(applied: Applied) -> object:
    assert isinstance(applied.obs, dict)
    return applied.obs["address"]


def test_get_sends_a_plain_request_and_returns_status_headers_and_body(serve: Serve, client: Client) -> None:
    server = serve(
        says(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nSet-Cookie: a\r\nx-a: 2\r\nContent-Length: 4\r\n\r\ngone")
    )

    applied = client.apply(Http("get", f"http://127.0.0.1:{server.port}/a?b=c&d"))

    response = applied.value
    assert response.status == 404
    assert response.headers == (("x-a", "1"), ("set-cookie", "a"), ("x-a", "2"), ("content-length", "4"))
    assert response.body.read() == b"gone"
    assert applied.usage == Budget(io=4)
    assert applied.obs == {"address": "127.0.0.1", "http_version": "HTTP/1.1"}
    (asked,) = server.asked
    assert lines_of(asked) == [
        "GET /a?b=c&d HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "accept: */*",
        "accept-encoding: identity",
        "user-agent: tek",
        "connection: close",
    ]


@pytest.mark.parametrize(
    ("written", "sent"),
    [("", "/"), ("?a=b", "/?a=b"), ("/%41%2d?%41", "/A-?%41"), ("/a?b?c=http://x/../y", "/a?b?c=http://x/../y")],
)
def test_what_is_sent_is_the_path_that_the_permit_judged(serve: Serve, client: Client, written: str, sent: str) -> None:
    server = serve(says(OK))

    client.ask(Http("GET", f"http://127.0.0.1:{server.port}{written}"))

    assert lines_of(server.asked[0])[0] == f"GET {sent} HTTP/1.1"


def test_post_sends_headers_and_body_and_both_bodies_count(serve: Serve, client: Client) -> None:
    server = serve(says(OK))
    headers = (("X-One", "1"), ("X-One", "2"), ("User-Agent", "mine"))
    body = bytes(range(256)) * 1000

    applied = client.apply(Http("POST", f"http://127.0.0.1:{server.port}/", headers, Blob.of(body)))

    assert applied.usage == Budget(io=len(body) + 2)
    (asked,) = server.asked
    assert asked.partition(b"\r\n\r\n")[2] == body
    assert {"X-One: 1", "X-One: 2", "User-Agent: mine", f"content-length: {len(body)}"} <= set(lines_of(asked))
    assert "user-agent: tek" not in lines_of(asked)


def test_a_post_without_a_body_says_that_it_is_empty(serve: Serve, client: Client) -> None:
    server = serve(says(OK))

    client.ask(Http("POST", f"http://127.0.0.1:{server.port}/"))

    assert "content-length: 0" in lines_of(server.asked[0])


def test_a_body_may_stand_in_the_store_alone(serve: Serve, client: Client) -> None:
    server = serve(says(OK))
    stored = client.blobs.put(b"stored")

    client.ask(Http("PUT", f"http://127.0.0.1:{server.port}/", body=Blob(stored.sha256, stored.size)))

    assert server.asked[0].endswith(b"\r\n\r\nstored")


@pytest.mark.parametrize("body", [Blob("0" * 64, 3), Blob(Blob.of(b"abc").sha256, 2, lambda: b"abc")])
def test_a_body_that_is_missing_or_lies_about_its_size_is_not_sent(serve: Serve, client: Client, body: Blob) -> None:
    server = serve(says(OK))

    with pytest.raises(EffectError, match="body") as caught:
        client.ask(Http("POST", f"http://127.0.0.1:{server.port}/", body=body))
    assert caught.value.code == "bad-request"
    assert not server.calls


def test_a_redirect_is_an_answer_and_not_followed(serve: Serve, client: Client) -> None:
    trap = serve(says(OK))
    server = serve(says(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{trap.port}/\r\n\r\n".encode()))

    response = client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"))

    assert response.status == 302
    assert ("location", f"http://127.0.0.1:{trap.port}/") in response.headers
    assert len(server.calls) == 1
    assert not trap.calls


def test_an_encoded_body_is_kept_as_it_was_sent(serve: Serve, client: Client) -> None:
    packed = gzip.compress(b"\0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    server = serve(says(head.encode() + packed))

    applied = client.apply(Http("GET", f"http://127.0.0.1:{server.port}/"))

    assert applied.value.body.read() == packed
    assert applied.usage.io == len(packed)


def test_chunks_are_joined_and_bodies_end_with_the_connection(serve: Serve, client: Client) -> None:
    chunked = serve(
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n")
    )
    closed = serve(says(b"HTTP/1.0 200 OK\r\n\r\nab", b"cde"))

    for server in (chunked, closed):
        assert client.ask(Http("GET", f"http://127.0.0.1:{server.port}/")).body.read() == b"abcde"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_have_none_whatever_they_announce(serve: Serve, client: Client, status: str) -> None:
    server = serve(says(f"HTTP/1.1 {status}\r\ncontent-length: 999999999999\r\n\r\n".encode()))
    method = "GET" if status.startswith("304") else "HEAD"

    response = client.ask(Http(method, f"http://127.0.0.1:{server.port}/"), limits=Budget(ms=5000, io=10))

    assert response.body.size == 0


def test_interim_answers_are_passed_over(serve: Serve, client: Client) -> None:
    server = serve(says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK))

    assert client.ask(Http("GET", f"http://127.0.0.1:{server.port}/")).status == 200


def test_an_answer_that_comes_before_all_was_sent_counts(serve: Serve, client: Client) -> None:
    def impatient(call: Call) -> None:
        call.conn.recv(1000)
        call.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    server = serve(impatient)
    body = Blob.of(b"x" * 16_000_000)

    assert client.ask(Http("POST", f"http://127.0.0.1:{server.port}/", body=body)).status == 413


def test_the_address_is_that_of_the_one_answer_that_was_checked(serve: Serve) -> None:
    # The resolver changes its mind between questions: there is one question only.
    checked = serve(says(OK))
    other = serve(says(OK), "127.0.0.2", checked.port)
    names = Names(app__localhost=[["127.0.0.1"], ["127.0.0.2"]])
    permit = net_permit(f"http://app.localhost:{checked.port}/**")

    applied = Client(names).apply(Http("GET", f"http://app.localhost:{checked.port}/"), permit)

    assert address_of(applied) == "127.0.0.1"
    assert names.questions == ["app.localhost"]
    assert lines_of(checked.asked[0])[1] == f"Host: app.localhost:{checked.port}"
    assert not other.calls


def test_an_address_that_does_not_answer_leaves_time_for_the_next(serve: Serve) -> None:
    server = serve(says(OK))
    names = Names(app__localhost=[["127.0.0.3", "127.0.0.1"]])
    permit = net_permit(f"http://app.localhost:{server.port}/**")

    applied = Client(names).apply(Http("GET", f"http://app.localhost:{server.port}/"), permit)

    assert address_of(applied) == "127.0.0.1"


def test_addresses_are_never_resolved(serve: Serve, client: Client, names: Names) -> None:
    server = serve(says(OK))

    client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"))

    assert names.questions == []


def test_ipv6_addresses_stand_in_brackets(serve: Serve, client: Client) -> None:
    try:
        server = serve(says(OK), "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    applied = client.apply(Http("GET", f"http://[::1]:{server.port}/"), net_permit(f"http://[::1]:{server.port}/**"))

    assert address_of(applied) == "::1"
    assert lines_of(server.asked[0])[1] == f"Host: [::1]:{server.port}"


def test_nothing_of_the_environment_changes_where_a_request_goes_or_what_it_carries(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trap, server = serve(says(OK)), serve(says(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hidden\n")

    for _ in range(2):
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"))

    assert not trap.calls
    assert len(server.calls) == 2
    assert not any(name in asked.lower() for asked in server.asked for name in (b"authorization", b"cookie"))


@pytest.mark.parametrize(
    "answer",
    [
        *(
            b"",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        ),
        *(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",),
        b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_that_is_not_http_or_not_whole_fails(serve: Serve, client: Client, answer: bytes) -> None:
    server = serve(says(answer))

    with pytest.raises(EffectError) as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{server.port}/"))
    assert caught.value.code == "connection"


def test_nobody_listening_fails_and_says_where(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(EffectError, match=f"127.0.0.1 port {port}: Connection refused") as caught:
        client.ask(Http("GET", f"http://127.0.0.1:{port}/"))
    assert caught.value.code == "connection"


@pytest.mark.parametrize("host", ["nowhere.example", "empty.example"])
def test_a_name_without_an_address_fails_and_says_so(host: str) -> None:
    client = Client(Names(empty__example=[[]]))

    with pytest.raises(EffectError, match=host) as caught:
        client.ask(Http("GET", f"http://{host}/"), ANYWHERE)
    assert caught.value.code == "connection"


def test_a_secret_is_sent_by_value_and_kept_by_name(serve: Serve) -> None:
    # The server echoes what it was sent, in a header and in pieces of a body.
    echo = b"HTTP/1.1 200 OK\r\nx-echo: t0ps3cret\r\n\r\n"
    server = serve(says(echo + b"got t0p", b"s3cret, t0ps3cret and k3y; t0ps3c"))
    headers = (("Authorization", "Bearer secret:TOKEN"), ("X-Key", "secret:KEY"))
    client = Client(Names())

    response = client.ask(
        Http("GET", f"http://127.0.0.1:{server.port}/", headers), secrets={"TOKEN": "t0ps3cret", "KEY": "k3y"}
    )

    assert {"Authorization: Bearer t0ps3cret", "X-Key: k3y"} <= set(lines_of(server.asked[0]))
    assert response.body.read() == b"got secret:TOKEN, secret:TOKEN and secret:KEY; t0ps3c"
    assert ("x-echo", "secret:TOKEN") in response.headers
    assert isinstance(client.blobs, MemoryBlobs)
    assert not any(b"t0ps3cret" in blob for blob in client.blobs.blobs.values())


@pytest.mark.parametrize(("value", "problem"), [(None, "not set"), ("", "not set"), ("a\r\nHost: b", "characters")])
def test_a_secret_that_no_header_can_carry_fails_without_showing_it(
    serve: Serve, client: Client, value: str | None, problem: str
) -> None:
    server = serve(says(OK))
    request = Http("GET", f"http://127.0.0.1:{server.port}/", (("X-Key", "secret:KEY"),))

    with pytest.raises(EffectError, match=f"KEY .*{problem}") as caught:
        client.ask(request, secrets={} if value is None else {"KEY": value})
    assert caught.value.code == "bad-request"
    assert "Host: b" not in str(caught.value)
    assert not server.calls


def test_importing_the_package_does_not_import_the_http_library() -> None:
    code = "import sys, tek_effects_net; sys.exit('httpcore' in sys.modules or 'httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
