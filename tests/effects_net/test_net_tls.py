"""TLS: the peer proves to be the host of the URL, whatever address it was found at."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tek_abi.vocabulary.net import Http
from tek_kernel.effect import Cancel, EffectCancelled, EffectError
from tests.effects_net.pki import Pki, make_pki
from tests.effects_net.servers import OK, Call, Client, Names, Server, net_permit, says

Serve = Callable[..., Server]
PERMIT = net_permit("https://app.localhost:*/**")
OTHER = net_permit("https://other.localhost:*/**")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def trusting(pki: Pki) -> Client:
    names = Names(app__localhost=[["127.0.0.1"]], other__localhost=[["127.0.0.1"]])
    return Client(names, pki.ca_file)


def test_a_server_that_is_trusted_and_has_the_name_answers(serve: Serve, trusting: Client, pki: Pki) -> None:
    server = serve(says(OK), tls=pki.server)

    response = trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)

    assert response.body.read() == b"ok"
    assert f"Host: app.localhost:{server.port}".encode() in server.asked[0]


def test_the_name_asked_for_is_that_of_the_url_and_not_the_address(serve: Serve, trusting: Client, pki: Pki) -> None:
    asked: list[str | None] = []
    context = pki.server
    context.sni_callback = lambda sock, name, _: asked.append(name)
    server = serve(says(OK), tls=context)

    trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
    context.sni_callback = None

    assert asked == ["app.localhost"]


def test_an_address_is_verified_as_an_address(serve: Serve, trusting: Client, pki: Pki) -> None:
    server = serve(says(OK), tls=pki.server)

    response = trusting.ask(Http("GET", f"https://127.0.0.1:{server.port}/"), net_permit("https://127.0.0.1:*/**"))

    assert response.status == 200


def test_an_ipv6_address_is_verified_without_its_brackets(serve: Serve, trusting: Client, pki: Pki) -> None:
    try:
        server = serve(says(OK), "::1", tls=pki.server)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    assert trusting.ask(Http("GET", f"https://[::1]:{server.port}/"), net_permit("https://[::1]:*/**")).status == 200


def test_a_server_with_another_name_fails(serve: Serve, trusting: Client, pki: Pki) -> None:
    server = serve(says(OK), tls=pki.server)

    with pytest.raises(EffectError, match=r"no TLS with other\.localhost: Hostname mismatch") as caught:
        trusting.ask(Http("GET", f"https://other.localhost:{server.port}/"), OTHER)
    assert (caught.value.code, caught.value.unknown) == ("tls", False)
    assert server.asked == [b""]


def test_a_server_that_is_not_trusted_fails(serve: Serve, pki: Pki) -> None:
    server = serve(says(OK), tls=pki.server)
    client = Client(Names(app__localhost=[["127.0.0.1"]]))

    with pytest.raises(EffectError, match="self-signed certificate") as caught:
        client.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
    assert (caught.value.code, caught.value.unknown) == ("tls", False)
    assert server.asked == [b""]


def test_a_server_without_tls_fails(serve: Serve, trusting: Client) -> None:
    server = serve(lambda call: call.say(b"HTTP/1.1 400 Plain\r\n\r\n"))

    with pytest.raises(EffectError) as caught:
        trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
    assert caught.value.code == "tls"


def test_a_connection_that_is_cut_is_not_the_end_of_a_body(serve: Serve, trusting: Client, pki: Pki) -> None:
    # Without close_notify someone on the way may have cut the body short.
    server = serve(says(b"HTTP/1.1 200 OK\r\n\r\nonly the first ha"), tls=pki.server)

    with pytest.raises(EffectError) as caught:
        trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
    assert caught.value.code == "tls"


def test_a_body_may_end_with_a_proper_close(serve: Serve, trusting: Client, pki: Pki) -> None:
    def closes_properly(call: Call) -> None:
        says(b"HTTP/1.1 200 OK\r\n\r\nall of it")(call)
        assert isinstance(call.conn, ssl.SSLSocket)
        call.conn.unwrap()

    server = serve(closes_properly, tls=pki.server)

    response = trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)

    assert response.body.read() == b"all of it"


def silent_after_hello(call: Call) -> None:
    call.conn.recv(65536)
    call.pause()


def test_a_handshake_ends_at_the_deadline(serve: Serve, trusting: Client) -> None:
    server = serve(silent_after_hello)

    with pytest.raises(EffectError) as caught:
        trusting.ask(Http("GET", f"https://app.localhost:{server.port}/", timeout=300), PERMIT)
    assert caught.value.code == "timeout"


def test_a_handshake_ends_when_cancelled(serve: Serve, trusting: Client) -> None:
    cancel = Cancel()

    def cancelling(call: Call) -> None:
        call.conn.recv(65536)
        call.pause(0.1)  # so that the client most likely waits for more
        cancel.cancel("interrupt")
        call.pause()

    server = serve(cancelling)

    with pytest.raises(EffectCancelled):
        trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT, cancel=cancel)


def test_an_exchange_over_tls_ends_when_cancelled(serve: Serve, trusting: Client, pki: Pki) -> None:
    cancel = Cancel()

    def cancelling(call: Call) -> None:
        says(b"HTTP/1.1 200 OK\r\n\r\nab")(call)
        call.pause(0.1)  # so that the client most likely waits for more
        cancel.cancel("interrupt")
        call.pause()

    server = serve(cancelling, tls=pki.server)

    with pytest.raises(EffectCancelled):
        trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT, cancel=cancel)


def test_authorities_that_cannot_be_read_fail_and_are_named(serve: Serve) -> None:
    server = serve(says(OK))
    client = Client(Names(app__localhost=[["127.0.0.1"]]), "/nowhere/ca.pem")

    with pytest.raises(EffectError, match=r"/nowhere/ca\.pem") as caught:
        client.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
    assert caught.value.code == "tls"
    assert not server.calls


class TestClientCertificate:
    @pytest.fixture
    def curious(self, pki: Pki) -> ssl.SSLContext:
        """A server that wants to know who asks."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.ca_file)
        context.load_cert_chain(pki.ca_file, pki.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def test_it_is_shown_to_a_server_that_asks(self, serve: Serve, pki: Pki, curious: ssl.SSLContext) -> None:
        server = serve(says(OK), tls=curious)
        client = Client(Names(app__localhost=[["127.0.0.1"]]), pki.ca_file, (pki.ca_file, pki.key))
        applied = client.apply(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
        assert applied.value.status == 200
        assert Path(pki.key).read_text().splitlines()[1] not in f"{applied} {applied.value.body.read()!r}"

    def test_without_it_such_a_server_does_not_answer(self, serve: Serve, trusting: Client, curious: Any) -> None:
        server = serve(says(OK), tls=curious)
        with pytest.raises(EffectError) as caught:
            trusting.ask(Http("GET", f"https://app.localhost:{server.port}/"), PERMIT)
        assert caught.value.code in ("tls", "connection")

    def test_a_pair_that_does_not_fit_is_told_without_the_key(self, pki: Pki, tmp_path: Path) -> None:
        (tmp_path / "other.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        client = Client(Names(app__localhost=[["127.0.0.1"]]), pki.ca_file, (pki.ca_file, str(tmp_path / "other.key")))
        with pytest.raises(EffectError, match="cannot be used") as caught:
            client.ask(Http("GET", "https://app.localhost:1/"), PERMIT)
        assert (caught.value.code, "AAAA" in caught.value.message) == ("tls", False)
