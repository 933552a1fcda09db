"""Server-side request forgery: no form of an inner address is reached through ``net.http`` or a redirect.

``tests/effects_net/test_net_proxy.py`` tries the same forms through the proxy of a command.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tek_abi import Asked, Bound, Drive, PatternError
from tek_abi.vocabulary.net import Http, Response
from tek_agents import net
from tek_agents.errors import EffectDenied, EffectFailed
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_net.servers import OK, Call, Client, Names, NotGranted, Server, net_permit, says
from tests.security.ssrf_forms import HOSTS, SCHEMES

ANY_HOST = net_permit("* http://*:*/**")
REFUSALS = (PatternError, ValueError, EffectRefused, NotGranted)


@pytest.fixture
def inner() -> Iterator[Server]:
    """A server that nobody is to reach, on every loopback address."""
    server = Server(says(OK))
    yield server
    server.stop()


@pytest.fixture
def client() -> Client:
    return Client(Names(localhost=[["127.0.0.1"]], a__localhost=[["127.0.0.1"]], moving__example=[["8.8.8.8"]]))


def _served(answer: str) -> Server:
    return Server(says(answer.encode("utf-8", "surrogateescape")))


class TestControl:
    def test_a_granted_address_is_reached(self, inner: Server, client: Client) -> None:
        request = Http("GET", f"http://127.0.0.1:{inner.port}/")
        assert client.ask(request, ANY_HOST, net_permit("* http://127.0.0.1:*/**")).status == 200
        assert len(inner.calls) == 1

    def test_a_granted_redirect_is_followed(self, inner: Server, client: Client) -> None:
        outer = _redirecting(f"http://127.0.0.1:{inner.port}/")
        try:
            assert _get(client, outer, net_permit("* http://127.0.0.1:*/**")) == 200
        finally:
            outer.stop()


class TestThroughARequest:
    @pytest.mark.parametrize("form", HOSTS)
    def test_no_form_of_a_host_is_reached(self, inner: Server, client: Client, form: str) -> None:
        with pytest.raises((*REFUSALS, EffectError)):
            client.ask(Http("GET", f"http://{HOSTS[form]}:{inner.port}/"), ANY_HOST)
        assert not inner.calls

    @pytest.mark.parametrize("form", HOSTS)
    def test_no_form_is_reached_as_part_of_a_granted_host(self, inner: Server, client: Client, form: str) -> None:
        with pytest.raises((*REFUSALS, EffectError)):
            client.ask(
                Http("GET", f"http://{HOSTS[form]}:{inner.port}/"),
                net_permit(f"http://allowed.example:{inner.port}/**"),
            )
        assert not inner.calls

    @pytest.mark.parametrize("url", SCHEMES)
    def test_no_other_scheme_is_spoken(self, client: Client, url: str) -> None:
        with pytest.raises(REFUSALS):
            client.ask(Http("GET", url), ANY_HOST)


class TestThroughARedirect:
    @pytest.mark.parametrize("form", HOSTS)
    def test_no_form_of_a_host_is_reached(self, inner: Server, client: Client, form: str) -> None:
        outer = _redirecting(f"http://{HOSTS[form]}:{inner.port}/")
        try:
            status = _get(client, outer, net_permit(f"GET http://127.0.0.1:{outer.port}/**"), ANY_HOST)
        finally:
            outer.stop()
        assert not inner.calls
        # Where the target cannot even stand in a header, the answer is broken off there: the agent sees a failure.
        assert status in ("refused", "failed", 302)

    @pytest.mark.parametrize("url", SCHEMES)
    def test_no_other_scheme_is_followed(self, client: Client, url: str) -> None:
        outer = _redirecting(url)
        try:
            assert _get(client, outer, net_permit(f"GET http://127.0.0.1:{outer.port}/**")) in ("refused", 302)
        finally:
            outer.stop()

    def test_another_port_path_or_method_is_a_check_of_its_own(self, inner: Server, client: Client) -> None:
        outer = _redirecting(f"http://127.0.0.1:{inner.port}/admin")
        try:
            assert _get(client, outer, net_permit(f"GET http://127.0.0.1:{outer.port}/**")) == "refused"
            only_api = net_permit(f"GET http://127.0.0.1:{inner.port}/api/**")
            assert _get(client, outer, net_permit(f"GET http://127.0.0.1:{outer.port}/**"), only_api) == "refused"
        finally:
            outer.stop()
        assert not inner.calls


def _redirecting(location: str) -> Server:
    def talk(call: Call) -> None:
        call.hear()
        head = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: "
        call.say(head.encode() + location.encode("utf-8") + b"\r\n\r\n")

    return Server(talk)


def _get(client: Client, server: Server, *permits: Any) -> int | str:
    """Follow redirects as an agent does; return the last status, ``refused`` or ``failed``."""

    async def agent() -> int | str:
        try:
            response: Response = await net.get(f"http://127.0.0.1:{server.port}/")
        except EffectDenied:
            return "refused"
        except EffectFailed:
            return "failed"
        return response.status

    drive = Drive(agent())
    events = drive.start()
    while not drive.finished:
        (asked,) = [event for event in events if isinstance(event, Asked)]
        events = _answer(client, drive, asked.path, asked.bound, permits)
    result: int | str = drive.result
    return result


def _answer(client: Client, drive: Drive, path: Any, bound: Bound[Any], permits: tuple[Any, ...]) -> list[Any]:
    from tek_abi import Denial, Denied, Failed, Failure
    from tek_executor import Host

    host = Host(None)  # type: ignore[arg-type]  # no agent is loaded by it
    assert isinstance(bound.request, Http)
    try:
        return drive.answer(path, client.ask(bound.request, *permits))
    except REFUSALS as refusal:
        return drive.fail(path, host.exception(Denied(Denial("permit", str(refusal)))))
    except EffectError as error:
        return drive.fail(path, host.exception(Failed(Failure(error.code, error.message))))
