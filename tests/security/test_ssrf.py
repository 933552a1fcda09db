"""Server-side request forgery: no form of an inner address is reached through ``net.http``, through a redirect, or
from inside a confined command at each level that lets one reach hosts.

Every name leads to 127.0.0.1 here, as whoever answers for it may say, and any host is granted, none by name.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from tek_abi import Asked, Bound, Drive, PatternError
from tek_abi.vocabulary.net import Http, Response
from tek_agents import net
from tek_agents.errors import EffectDenied, EffectFailed
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_net.servers import LOOPBACK, OK, Call, Client, Names, NotGranted, Server, net_permit, says
from tests.security.attacks import NETWORK
from tests.security.cell import LEVELS, Cell, Result, granting
from tests.security.ssrf_forms import HOSTS, SCHEMES, SMUGGLED
from tests.security.world import World

ANY_HOST = net_permit("* http://*:*/**")
BY_NAME = net_permit("* http://app.localhost:*/**")
REFUSALS = (PatternError, ValueError, EffectRefused, NotGranted)
WITH_PROXY = tuple(level for level in LEVELS if level in ("root-idmap", "userns"))
WITHOUT = tuple(level for level in LEVELS if level not in WITH_PROXY)


@pytest.fixture
def inner() -> Iterator[Server]:
    """A server that nobody is to reach, on every loopback address."""
    server = Server(says(OK))
    yield server
    server.stop()


@pytest.fixture
def client() -> Client:
    return Client(_here)


def _here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def _served(answer: str) -> Server:
    return Server(says(answer.encode("utf-8", "surrogateescape")))


class TestControl:
    def test_a_granted_address_is_reached(self, inner: Server, client: Client) -> None:
        request = Http("GET", f"http://127.0.0.1:{inner.port}/")
        assert client.ask(request, ANY_HOST, net_permit("* http://127.0.0.1:*/**")).status == 200
        assert len(inner.calls) == 1

    def test_a_granted_name_for_this_machine_is_reached(self, inner: Server, client: Client) -> None:
        request = Http("GET", f"http://app.localhost:{inner.port}/")
        assert client.ask(request, net_permit("* http://app.localhost:*/**")).status == 200
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

    def test_a_granted_name_does_not_grant_where_it_leads(self, inner: Server, client: Client) -> None:
        with pytest.raises(EffectRefused, match=r"leads to 127\.0\.0\.1, which is loopback"):
            client.ask(Http("GET", f"http://allowed.example:{inner.port}/"), net_permit("http://allowed.example:*/**"))
        assert not inner.calls

    def test_an_answer_that_is_partly_public_is_refused_whole(self, inner: Server) -> None:
        client = Client(lambda host, port: ["8.8.8.8", "127.0.0.1"])
        with pytest.raises(EffectRefused, match=r"leads to 127\.0\.0\.1"):
            client.ask(Http("GET", f"http://allowed.example:{inner.port}/"), net_permit("http://allowed.example:*/**"))
        assert not inner.calls

    def test_what_a_name_leads_to_is_asked_once_and_pinned(self, inner: Server) -> None:
        """Rebinding: the second answer is another than the one that was checked."""
        names = Names(app__localhost=[["127.0.0.1"], ["127.0.0.2"]])
        response = Client(names).ask(Http("GET", f"http://app.localhost:{inner.port}/"), BY_NAME)
        assert response.status == 200
        assert names.questions == ["app.localhost"]

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

    def test_a_name_is_resolved_and_checked_again_at_each_hop(self, inner: Server) -> None:
        outer = _redirecting(f"http://app.localhost:{inner.port}/")
        names = Names(app__localhost=[["10.0.0.1"]])
        try:
            assert _get(Client(names), outer, LOOPBACK, BY_NAME) == "refused"
        finally:
            outer.stop()
        assert not inner.calls

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


_ASK = """
import json, socket, sys
def ask(request):
    with socket.create_connection(("127.0.0.1", 3128), 20) as sock:
        sock.sendall(request)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer.decode("latin-1")
print(json.dumps([ask(request.encode("utf-8", "surrogateescape")) for request in json.loads(sys.argv[1])]))
"""


def _requests(world: World, requests: list[str], *net: str) -> tuple[list[str], Result]:
    """Have a command send requests to its proxy, each on a connection of its own; return the answers."""
    held = granting(reads=("free/**",), net=net)
    command = ("/usr/bin/python3", "-c", _ASK, json.dumps(requests))
    result = world.cell.run(world.workspace, *command, held=held)
    assert result.code == 0, result
    return json.loads(result.out), result


def _connect(to: str) -> str:
    return f"CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\r\n"


@pytest.mark.parametrize("cell", WITH_PROXY, indirect=True)
class TestFromInside:
    """One command a test, as each takes the time of a process."""

    def test_control_what_is_granted_by_name_is_reached(self, world: World) -> None:
        to = f"127.0.0.1:{world.port}"
        (answer,), result = _requests(world, [_connect(to)], f"* http://{to}/**")
        assert answer.startswith("HTTP/1.1 200 "), answer
        assert world.hits == ["tcp"]
        assert [(seen["to"], seen["verdict"]) for seen in result.connections] == [(to, "open")]

    def test_no_form_of_a_host_is_reached(self, world: World) -> None:
        hosts = [*HOSTS.values(), "name.example", "moved.localhost"]
        answers, result = _requests(world, [_connect(f"{host}:{world.port}") for host in hosts], "* http://*:*/**")
        reached = [host for host, answer in zip(hosts, answers, strict=True) if answer[9:12] not in ("400", "403")]
        assert not reached
        assert not world.hits
        assert {seen["verdict"] for seen in result.connections} == {"bad", "denied"}

    def test_no_form_is_reached_as_part_of_a_granted_host(self, world: World) -> None:
        forms = [form for form in HOSTS.values() if form != "127.0.0.1"]
        granted = f"* http://127.0.0.1:{world.port}/**"
        answers, _ = _requests(world, [_connect(f"{form}:{world.port}") for form in forms], granted)
        assert {answer[9:12] for answer in answers} == {"400", "403"}
        assert not world.hits

    def test_nothing_is_smuggled_past_the_decision(self, world: World) -> None:
        requests = [request.replace("PORT", str(world.port)) for request in SMUGGLED.values()]
        answers, _ = _requests(world, requests, "* http://*:*/**", "* http://allowed.example/**")
        assert {name: answer[9:12] for name, answer in zip(SMUGGLED, answers, strict=True)} == {
            name: "403" if "http://" in request.partition("\r\n")[0] or name == "another host header" else "400"
            for name, request in SMUGGLED.items()
        }
        assert not world.hits

    def test_a_granted_name_does_not_grant_where_it_leads(self, world: World) -> None:
        (answer,), _ = _requests(world, [_connect(f"allowed.example:{world.port}")], "* http://allowed.example:*/**")
        assert answer.startswith("HTTP/1.1 403 ")
        assert "leads to 127.0.0.1, which is loopback" in answer
        assert not world.hits

    @pytest.mark.parametrize(
        "net",
        [
            "GET http://127.0.0.1:PORT/**",
            "CONNECT http://127.0.0.1:PORT/**",
            "* http://127.0.0.1:PORT/",
            "* http://127.0.0.1:PORT/api/**",
        ],
    )
    def test_a_permit_for_less_than_all_of_a_host_opens_no_tunnel(self, world: World, net: str) -> None:
        (answer,), _ = _requests(world, [_connect(f"127.0.0.1:{world.port}")], net.replace("PORT", str(world.port)))
        assert answer.startswith("HTTP/1.1 403 ")
        assert f"--allow 'net.http:* https://127.0.0.1:{world.port}/**'" in answer
        assert not world.hits

    def test_with_a_proxy_there_is_no_other_way_out(self, world: World) -> None:
        held = granting(reads=("**",), writes=("free/**",), net=(f"* http://127.0.0.1:{world.port}/**",))
        attacks = {**NETWORK, "every other family": NETWORK["every other family"].replace("range(2, 64)", _BUT_TCP)}
        results = {name: world.attack(body, held) for name, body in attacks.items()}
        assert {name for name, result in results.items() if "HELD" not in result.out} == AMONG_THEMSELVES
        assert not world.hits

    def test_the_proxy_of_another_command_is_out_of_reach(self, world: World) -> None:
        to = f"127.0.0.1:{world.port}"
        (world.workspace / "free").chmod(0o777)
        with closing(Cell(world.cell.level)) as other:
            assert not other.unavailable, other.unavailable
            held = granting(reads=("**",), writes=("free/**",), net=(f"* http://{to}/**",))
            command = ("/usr/bin/python3", "-c", _WHILE.format(to=to))
            results: list[Result] = []
            beside = threading.Thread(target=lambda: results.append(other.run(world.workspace, *command, held=held)))
            beside.start()
            held = granting(reads=("**",), writes=("free/**",), net=("* http://elsewhere.example/**",))
            attempt = world.cell.run(world.workspace, "/usr/bin/python3", "-c", _BESIDE.format(to=to), held=held)
            beside.join()
        assert "REACHED" in results[0].out, results
        assert attempt.out == "HELD\n", attempt
        assert world.hits == ["tcp"]
        assert {seen["verdict"] for seen in attempt.connections} == {"denied"}


_BUT_TCP = "(one for one in range(2, 64) if one not in (2, 10))"
AMONG_THEMSELVES = {"a family with high bits set", "listening without an address"}
"""What a command may do with TCP in a namespace in which it is alone: nobody outside is there to be reached."""

_WHILE = """
import os, socket, time
with socket.create_connection(("127.0.0.1", 3128), 20) as sock:
    sock.sendall(b"CONNECT {to} HTTP/1.1\\r\\n\\r\\n")
    if sock.recv(64).startswith(b"HTTP/1.1 200 "):
        print("REACHED")
    open("free/up", "w").close()
    until = time.monotonic() + 20
    while not os.path.exists("free/done") and time.monotonic() < until:
        time.sleep(0.01)
"""
_BESIDE = """
import os, socket, time
until = time.monotonic() + 20
while not os.path.exists("free/up") and time.monotonic() < until:
    time.sleep(0.01)
reached = []
for host in ["127.0.0.1", "127.0.0.2", "127.1.2.3", "0.0.0.0", "::1", "::ffff:127.0.0.1"]:
    try:
        with socket.create_connection((host, 3128), 5) as sock:
            sock.sendall(b"CONNECT {to} HTTP/1.1\\r\\n\\r\\n")
            answer = sock.recv(64)
            if not answer.startswith(b"HTTP/1.1 403 "):
                reached.append((host, answer))
    except OSError:
        pass
open("free/done", "w").close()
print(reached or "HELD")
"""


@pytest.mark.parametrize("cell", WITHOUT, indirect=True)
def test_a_level_without_a_proxy_refuses_a_command_that_may_reach_hosts(world: World) -> None:
    held = granting(reads=("free/**",), net=(f"* http://127.0.0.1:{world.port}/**",))
    result = world.cell.run(world.workspace, "true", held=held)
    assert result.code is None
    assert "may reach hosts, which only root-idmap and userns hold a command to" in result.error
