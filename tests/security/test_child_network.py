"""A confined command's network, end to end: one listener, tunnels where its task's permits lead, counted bytes."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.effects_net.pki import make_pki
from tests.effects_net.servers import OK, Server, Talk, says
from tests.integration.cli import plan, tek

THROUGH = """
import http.client, os, sys, urllib.parse
names = ("http_proxy", "https_proxy", "all_proxy")
print("PROXIES", {os.environ.get(name) for lower in names for name in (lower, lower.upper())})
print("EXCEPT", {os.environ.get(name) for name in ("no_proxy", "NO_PROXY")})
proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
connection.set_tunnel(host, port)
try:
    connection.request("GET", "/")
    print("ANSWER", len(connection.getresponse().read()))
except OSError as error:
    print("REFUSED", error)
"""
AROUND = """
import os, socket
def attempt(name, act):
    try:
        act()
        print("ESCAPED", name)
    except OSError as error:
        print("HELD", name, error)
port = int(os.sys.argv[1])
def tcp(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(3)
        sock.connect(address)
attempt("tcp", lambda: tcp(("127.0.0.1", port)))
attempt("tcp6", lambda: tcp(("::1", port), socket.AF_INET6))
attempt("mapped", lambda: tcp(("::ffff:127.0.0.1", port), socket.AF_INET6))
attempt("public", lambda: tcp(("8.8.8.8", 53)))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)))
attempt("unix", lambda: tcp("/run/systemd/private", socket.AF_UNIX))
attempt("abstract", lambda: tcp(b"\\0x", socket.AF_UNIX))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt("dns", lambda: socket.getaddrinfo("example.org", 80))
"""


@pytest.fixture
def serve() -> Iterator[Callable[[Talk], Server]]:
    servers: list[Server] = []

    def start(talk: Talk) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def _run(tmp_path: Path, script: str, *arguments: object, allow: str, fields: str = "") -> tuple[int, str, Any]:
    """Run a script in a task and return exit code, output and the outcome of its command on record."""
    work = tmp_path / "work"
    plan(
        work,
        f"## Queue A — One\n\n### `TASK-001` First\n\n{fields}\n```argv\npython3 ask.py {_words(arguments)}\n```\n",
    )
    (work / "ask.py").write_text(textwrap.dedent(script))
    answer = tek("run", "--json", "--allow", allow, cwd=work)
    result = answer.json
    directory = Path(result["run_dir"])
    lines = [json.loads(line) for line in (directory / "ledger.jsonl").read_text().splitlines()]
    outcome = next(line for line in lines if line["kind"] == "effect.outcome")
    (log,) = (directory / "logs").glob("*.log")
    assert tek("replay", str(directory), cwd=work).code == 0
    return answer.code, log.read_text(), outcome


def _words(arguments: tuple[object, ...]) -> str:
    return " ".join(map(str, arguments))


def test_a_command_reaches_what_its_permits_name_and_its_bytes_are_counted(
    tmp_path: Path, serve: Callable[[Talk], Server]
) -> None:
    server = serve(says(OK))
    code, out, outcome = _run(
        tmp_path, THROUGH, "127.0.0.1", server.port, allow=f"net.http:* http://127.0.0.1:{server.port}/**"
    )
    assert (code, "ANSWER 2" in out) == (0, True), out
    assert "PROXIES {'http://127.0.0.1:3128'}" in out
    assert "EXCEPT {''}" in out
    (tunnel,) = outcome["obs"]["connections"]
    assert (tunnel["to"], tunnel["verdict"], tunnel["received"]) == (f"127.0.0.1:{server.port}", "open", len(OK))
    assert outcome["usage"]["io"] >= tunnel["sent"] + tunnel["received"] + len("ANSWER 2\n")


def test_tls_through_a_tunnel_is_between_the_command_and_the_server(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    server = Server(says(OK), tls=pki.server)
    script = f"""
    import http.client, ssl, sys
    authority = {Path(pki.ca_file).read_text()!r}
    connection = http.client.HTTPSConnection("127.0.0.1", 3128, context=ssl.create_default_context(cadata=authority))
    connection.set_tunnel("127.0.0.1", int(sys.argv[1]))
    connection.request("GET", "/")
    print("ANSWER", connection.getresponse().read().decode())
    """
    try:
        code, out, _ = _run(tmp_path, script, server.port, allow=f"net.http:* https://127.0.0.1:{server.port}/**")
    finally:
        server.stop()
    assert (code, "ANSWER ok" in out) == (0, True), out
    assert server.asked[0].startswith(b"GET / HTTP/1.1")


def test_a_command_is_refused_all_else_and_told_what_would_grant_it(
    tmp_path: Path, serve: Callable[[Talk], Server]
) -> None:
    server = serve(says(OK))
    code, out, outcome = _run(tmp_path, THROUGH, "127.0.0.1", server.port, allow="net.http:* http://example.org/**")
    assert (code, "REFUSED" in out) == (0, True), out
    assert outcome["obs"]["connections"][0]["verdict"] == "denied"
    assert "--allow" in outcome["obs"]["connections"][0]["why"]
    assert not server.calls


def test_there_is_no_way_around_the_proxy(tmp_path: Path, serve: Callable[[Talk], Server]) -> None:
    server = serve(says(OK))
    _, out, _ = _run(tmp_path, AROUND, server.port, allow=f"net.http:* http://127.0.0.1:{server.port}/**")
    assert out.count("HELD") == 12, out
    assert "ESCAPED" not in out
    assert not server.calls


def test_without_a_permit_for_the_network_there_is_not_even_a_listener(tmp_path: Path) -> None:
    script = """
    import os, socket
    print("PROXY", os.environ.get("https_proxy"))
    try:
        socket.create_connection(("127.0.0.1", 3128), 3)
    except OSError as error:
        print("HELD", error)
    """
    _, out, outcome = _run(tmp_path, script, allow="fs.read:x")
    assert "PROXY None" in out
    assert "HELD" in out
    assert "connections" not in outcome["obs"]


def test_a_command_that_fails_for_what_it_made_is_charged_for_its_tunnels_too(
    tmp_path: Path, serve: Callable[[Talk], Server]
) -> None:
    server = serve(says(OK))
    script = THROUGH + 'os.makedirs("sub/.git/hooks")\n'
    allow = f"net.http:* http://127.0.0.1:{server.port}/**"
    code, _, outcome = _run(tmp_path, script, "127.0.0.1", server.port, allow=allow)
    assert (code, outcome["outcome"]["error"]["code"]) == (1, "escapes")
    (tunnel,) = outcome["obs"]["connections"]
    assert outcome["usage"]["io"] >= tunnel["sent"] + tunnel["received"] > 0


def test_a_tunnel_past_the_budget_ends_the_command(tmp_path: Path, serve: Callable[[Talk], Server]) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 100))
    code, _, outcome = _run(
        tmp_path,
        THROUGH,
        "127.0.0.1",
        server.port,
        allow=f"net.http:* http://127.0.0.1:{server.port}/**",
        fields="- Budget: `io=100KiB`\n",
    )
    assert code == 3
    assert outcome["outcome"]["error"]["code"] == "budget-exhausted"
    assert outcome["usage"]["io"] <= 100 * 1024
