"""Where a request is refused for the address that its host leads to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tek_abi.vocabulary.net import Http
from tek_kernel.effect import EffectRefused
from tests.effects_net.servers import ANYWHERE, OK, Client, Names, Server, net_permit, says

Serve = Callable[..., Server]


def test_loopback_is_reached_only_where_a_permit_names_it(serve: Serve, client: Client) -> None:
    server = serve(says(OK))
    request = Http("GET", f"http://127.0.0.1:{server.port}/x")

    with pytest.raises(EffectRefused) as caught:
        client.ask(request, ANYWHERE)
    assert not server.calls
    assert client.ask(request, ANYWHERE, net_permit(f"http://127.0.0.1:{server.port}/**")).status == 200

    assert str(caught.value) == (
        f"GET http://127.0.0.1:{server.port}/x refused: 127.0.0.1 leads to 127.0.0.1, which is loopback, and no rule "
        f"grants that by name; grant it by name: --allow 'net.http:GET http://127.0.0.1:{server.port}/**'"
    )
    assert caught.value.access.resource == f"GET http://127.0.0.1:{server.port}/x"


def test_the_rule_that_a_refusal_proposes_grants_it(serve: Serve, client: Client) -> None:
    server = serve(says(OK))
    request = Http("POST", f"http://localhost:{server.port}/x")

    with pytest.raises(EffectRefused) as caught:
        client.ask(request, ANYWHERE)
    proposed = str(caught.value).rpartition("'net.http:")[2].removesuffix("'")

    assert client.ask(request, net_permit(proposed)).status == 200


def test_localhost_is_granted_by_its_name(serve: Serve, client: Client) -> None:
    server = serve(says(OK))

    request = Http("GET", f"http://localhost:{server.port}/")

    assert client.ask(request, net_permit(f"http://localhost:{server.port}/**")).status == 200


def test_a_name_that_is_granted_does_not_grant_where_it_leads(serve: Serve) -> None:
    server = serve(says(OK))
    client = Client(Names(intranet__example=[["127.0.0.1"]]))
    permit = net_permit(f"http://intranet.example:{server.port}/**")

    with pytest.raises(EffectRefused, match=r"ask for 127\.0\.0\.1 itself, with --allow") as caught:
        client.ask(Http("GET", f"http://intranet.example:{server.port}/"), permit)
    assert f"'net.http:GET http://127.0.0.1:{server.port}/**'" in str(caught.value)
    assert not server.calls


def test_where_nothing_can_grant_it_a_refusal_says_so() -> None:
    client = Client(Names(odd__example=[["fe80::1%lo"]]))

    with pytest.raises(EffectRefused, match=r"leads to fe80::1%lo, which is link-local, and no rule can grant that"):
        client.ask(Http("GET", "http://odd.example/"), ANYWHERE)


@pytest.mark.parametrize("answer", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "::ffff:7f00:1"]])
def test_a_mixed_answer_is_refused_whole(serve: Serve, answer: list[str]) -> None:
    server = serve(says(OK))
    client = Client(Names(mixed__example=[answer]))

    with pytest.raises(EffectRefused, match=r"mixed\.example leads to"):
        client.ask(Http("GET", f"http://mixed.example:{server.port}/"), ANYWHERE)
    assert not server.calls


def test_a_name_that_moves_to_another_address_is_checked_again(serve: Serve) -> None:
    server = serve(says(OK))
    client = Client(Names(app__localhost=[["127.0.0.1"], ["169.254.169.254"]]))
    request = Http("GET", f"http://app.localhost:{server.port}/")
    permit = net_permit(f"http://app.localhost:{server.port}/**")

    assert client.ask(request, permit).status == 200
    with pytest.raises(EffectRefused, match=r"169\.254\.169\.254, which is link-local"):
        client.ask(request, permit)


def test_no_secret_is_read_for_a_request_that_is_refused() -> None:
    client = Client(Names(evil__example=[["127.0.0.1"]]))
    request = Http("GET", "http://evil.example/", (("X", "secret:UNSET"),))

    with pytest.raises(EffectRefused):
        client.ask(request, ANYWHERE)
