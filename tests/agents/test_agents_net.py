"""HTTP requests of agents, and how they follow redirects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Blob, Denial, Denied
from tek_abi.vocabulary.net import Http, Response
from tek_agents import EffectDenied, EffectFailed, UnexpectedStatus, net
from tek_agents.testing import script

A = "https://a.example/one"
SECRETS = {
    "Authorization": "Bearer secret:TOKEN",
    "cookie": "session=1",
    "X-Api-Key": "secret:KEY",
    "Accept": "text/plain",
}


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    return Response(status, tuple(headers.items()), Blob.of(body))


def to(location: str, status: int = 302) -> Response:
    return answer(status, location=location)


def pairs(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items())


def test_get_sends_headers_and_timeout_and_returns_the_response_whatever_its_status() -> None:
    asked = Http("GET", A, (("Accept", "text/plain"),), None, 500)

    got = script([(asked, answer(404))]).run(net.get(A, headers={"Accept": "text/plain"}, timeout=500))

    assert got.status == 404


def test_post_sends_its_body() -> None:
    assert script([(Http("POST", A, (), Blob.of(b"x")), answer(201))]).run(net.post(A, b"x")).status == 201


def test_request_takes_any_method_in_any_case() -> None:
    assert script([(Http("DELETE", A), answer(204))]).run(net.request("delete", A)).status == 204


def test_get_json_reads_floats_and_all() -> None:
    assert script([(Http("GET", A), answer(200, b'{"a": 1.5}'))]).run(net.get_json(A)) == {"a": 1.5}


def test_get_json_refuses_other_answers_than_2xx_and_other_bodies_than_json() -> None:
    with pytest.raises(UnexpectedStatus, match=r"GET https://a\.example/one answered 500") as caught:
        script([(Http("GET", A), answer(500, b"oops"))]).run(net.get_json(A))
    assert caught.value.response.body.read() == b"oops"
    with pytest.raises(ValueError, match="Expecting value"):
        script([(Http("GET", A), answer(200, b"oops"))]).run(net.get_json(A))


def test_headers_are_found_in_any_case() -> None:
    assert net.header(answer(200, etag="1"), "ETag") == "1"
    assert net.header(answer(200), "ETag") is None


# Redirects


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://b.example/two", "https://b.example/two"),
        ("/two", "https://a.example/two"),
        ("two?x=1#part", "https://a.example/two?x=1"),
        ("//b.example/", "https://b.example/"),
    ],
)
def test_each_hop_is_a_request_of_its_own(location: str, target: str) -> None:
    got = script([(Http("GET", A), to(location)), (Http("GET", target), answer(200, b"end"))]).run(net.get(A))

    assert got.body.read() == b"end"


def test_a_hop_that_is_denied_ends_the_call() -> None:
    metadata = "http://169.254.169.254/latest"
    denied = Denied(Denial("permit", "no rule grants it"))

    with pytest.raises(EffectDenied):
        script([(Http("GET", A), to(metadata)), (Http("GET", metadata), denied)]).run(net.get(A))


def test_redirects_are_bounded() -> None:
    def hop(number: int) -> tuple[Http, Response]:
        return Http("GET", f"https://a.example/{number}"), to(f"/{number + 1}")

    with pytest.raises(EffectFailed, match=r"more than 2 redirects from https://a\.example/0") as caught:
        script([hop(0), hop(1), hop(2)]).run(net.get("https://a.example/0", follow=2))
    assert caught.value.code == "redirects"


def test_follow_0_returns_the_redirect_itself() -> None:
    assert script([(Http("GET", A), to("/two"))]).run(net.get(A, follow=0)).status == 302


@pytest.mark.parametrize("response", [answer(302), answer(304, location="/x"), answer(201, location="/x")])
def test_what_leads_nowhere_is_an_answer(response: Response) -> None:
    assert script([(Http("GET", A), response)]).run(net.get(A)) == response


def test_a_location_that_is_no_url_is_a_failure() -> None:
    with pytest.raises(EffectFailed, match="redirects to"):
        script([(Http("GET", A), to("http://[::1"))]).run(net.get(A))


@pytest.mark.parametrize(
    ("status", "method", "next_method"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
    ],
)
def test_the_status_decides_whether_method_and_body_are_kept(status: int, method: str, next_method: str) -> None:
    has_body, kept = method in ("POST", "PUT"), method == next_method
    kind = (("Content-Type", "text/plain"),) if has_body else ()
    body = Blob.of(b"x") if has_body else None
    second = Http(next_method, "https://a.example/two", kind if kept else (), body if kept else None)

    call = net.request(method, A, headers=dict(kind), body=b"x" if has_body else None)

    assert script([(Http(method, A, kind, body), to("/two", status)), (second, answer())]).run(call).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://b.example/two",
        "https://sub.a.example/two",
        "http://a.example/two",
        "https://a.example:8443/two",
        "https://a.example@b.example/two",
        "https://a.example\\@b.example/two",
    ],
)
def test_another_origin_never_gets_credentials_or_secrets(target: str) -> None:
    second = Http("GET", target, (("Accept", "text/plain"),))

    script([(Http("GET", A, pairs(SECRETS)), to(target)), (second, answer())]).run(net.get(A, headers=SECRETS))


@pytest.mark.parametrize("target", ["/two", "https://A.example:443/two"])
def test_the_same_origin_keeps_them(target: str) -> None:
    full = "https://a.example/two" if target == "/two" else target

    script([(Http("GET", A, pairs(SECRETS)), to(target)), (Http("GET", full, pairs(SECRETS)), answer())]).run(
        net.get(A, headers=SECRETS)
    )


def test_an_address_that_cannot_be_read_is_like_no_other_not_even_like_itself() -> None:
    odd = "https://user@a.example/one"
    second = Http("GET", "https://user@a.example/two", (("Accept", "text/plain"),))

    script([(Http("GET", odd, pairs(SECRETS)), to("/two")), (second, answer())]).run(net.get(odd, headers=SECRETS))


def test_what_was_dropped_does_not_come_back_on_the_way_home() -> None:
    plain = (("Accept", "text/plain"),)
    hops = [
        (Http("GET", A, pairs(SECRETS)), to("https://b.example/")),
        (Http("GET", "https://b.example/", plain), to(A)),
        (Http("GET", A, plain), answer()),
    ]

    assert script(hops).run(net.get(A, headers=SECRETS)).status == 200


class Recorder:
    """Answers every request with the next redirect, and keeps what was asked."""

    def __init__(self, locations: list[str]) -> None:
        self.locations = locations
        self.asked: list[Http] = []

    def run(self, call: Any) -> None:
        answers = iter([to(location, 307) for location in self.locations])
        ask = call.send(None)
        while True:
            self.asked.append(ask)
            try:
                ask = call.send(next(answers, answer()))
            except StopIteration:
                return


origins = st.sampled_from(["https://a.example", "https://b.example", "http://a.example", "https://a.example:444"])


@given(st.lists(origins.map(lambda origin: origin + "/x"), max_size=5))
def test_along_any_chain_a_secret_is_sent_only_until_the_first_foreign_hop(locations: list[str]) -> None:
    recorder = Recorder(locations)
    recorder.run(net.get(A, headers=SECRETS))

    home = True
    for ask in recorder.asked:
        home = home and ask.url.startswith("https://a.example/")
        assert ask.headers == (pairs(SECRETS) if home else (("Accept", "text/plain"),))
