"""A real run of every kind of side effect, killed at any moment: what is on record happened once, and what is in doubt
is told and never repeated by itself.

One task appends to a file, one starts processes that append, one posts to a server, each several times.
"""

from __future__ import annotations

import http.server
import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.integration.cli import TEK_RUNNER, Answer, plan, queue, tek
from tests.size import NIGHTLY

KILLS = 500 if NIGHTLY else 8
STEPS = 3
AGENTS = f"""
from tek_abi import TaskReport
from tek_agents import fs, net, proc

class Appending:
    async def run(self, task):
        for step in range({STEPS}):
            await fs.append_text("appended", f"file-{{step}}\\n")
        return TaskReport("ok")

class Starting:
    async def run(self, task):
        for step in range({STEPS}):
            await proc.exec("sh", "-c", f"echo proc-{{step}} >>started; sleep 0.05")
        return TaskReport("ok")

class Posting:
    async def run(self, task):
        url = (await fs.read_text("url")).strip()
        for step in range({STEPS}):
            await net.post(f"{{url}}/post-{{step}}", body=b"x")
        return TaskReport("ok")
"""
TASKS = ("appending", "starting", "posting")
PLAN = queue(*(f"### `TASK-00{number}` {name}\n\n- Agent: {name}\n\n" for number, name in enumerate(TASKS, 1)))


@attrs.define
class Server:
    """A server that counts what is posted, and answers the same always."""

    url: str = ""
    posted: Counter[str] = attrs.field(factory=Counter)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found.posted[self.path.strip("/")] += 1
            time.sleep(0.05)
            self.send_response_only(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        found.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield found
        listening.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What makes the agents known to tek-runner."""
    site = tmp_path_factory.mktemp("site")
    information = site / "killed-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: killed\nVersion: 1.0\n")
    points = "".join(f"{name} = killed_agents:{name.title()}\n" for name in TASKS)
    (information / "entry_points.txt").write_text(f"[tek.agents]\n{points}")
    (site / "killed_agents.py").write_text(AGENTS)
    return {"PYTHONPATH": str(site)}


def prepared(home: Path, server: Server) -> list[str]:
    """Make a workspace; return the words that run it."""
    plan(home, PLAN)
    (home / "url").write_text(server.url)
    server.posted.clear()
    return ["run", "--allow", f"net.http:POST {server.url}/**"]


def done(home: Path, server: Server) -> Counter[str]:
    """Count what really happened."""
    files = (home / "appended", home / "started")
    lines = [line for file in files if file.exists() for line in file.read_text().split()]
    return Counter(lines) + server.posted


STEP_NAMES = {f"{kind}-{n}": f"{kind}-{n}" for kind in ("proc", "post") for n in range(STEPS)} | {
    sha256(f"file-{n}\n".encode()).hexdigest(): f"file-{n}" for n in range(STEPS)
}
"""What tells a step in the arguments of a request, and its name: what is appended stands there as a digest."""


def step_of(args: dict[str, Any]) -> str:
    """Return the name of the step that a request is, nothing for the one that reads the server's address."""
    text = json.dumps(args)
    found = [name for told, name in STEP_NAMES.items() if told in text]
    assert len(found) == ("url" not in args.get("path", "")), args
    return found[0] if found else ""


def recorded(home: Path) -> tuple[set[str], list[dict[str, Any]]]:
    """Return the steps whose outcome is on record, and all whole lines."""
    asked: dict[str, str] = {}
    ended: set[str] = set()
    lines: list[dict[str, Any]] = []
    (ledger,) = home.glob("runs/*/ledger.jsonl")
    for raw in ledger.read_bytes().splitlines():
        try:
            line = json.loads(raw)
        except json.JSONDecodeError:
            break  # torn
        lines.append(line)
        position = str(line.get("position"))
        if line["kind"] == "effect.intent":
            asked[position] = step_of(line["envelope"]["args"])
        elif line["kind"] == "effect.outcome" and line["outcome"]["status"] == "ok":
            ended.add(asked[position])
    return ended - {""}, lines


def finish(home: Path, server: Server, environment: dict[str, str]) -> tuple[Answer, Counter[str]]:
    """Resume until the run is closed, looking for each request in doubt whether it happened; say what was repeated."""
    again = Counter[str]()
    answer = tek("resume", "last", "--json", cwd=home, env=environment)
    while answer.code == 6:
        words = []
        for one in (one for result in answer.json["results"] for one in result.get("in_doubt", ())):
            step = step_of(one["args"])
            assert step, one
            happened = done(home, server)[step] > 0
            word = "done" if happened and "done" in one["answers"] else "retry"
            again[step] += happened and word == "retry"
            words.append(f"--in-doubt={one['position']}={word}")
        assert words, answer
        answer = tek("resume", "last", "--json", *words, cwd=home, env=environment)
    assert answer.code == 0, answer
    return answer, +again


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, server: Server, environment: dict[str, str]
) -> tuple[str, float]:
    """The replay hash of a run that nobody touches, and how long it takes."""
    home = tmp_path_factory.mktemp("undisturbed")
    words = prepared(home, server)
    begun = time.monotonic()
    answer = tek(*words, "--json", cwd=home, env=environment)
    length = time.monotonic() - begun
    assert answer.code == 0, answer
    assert done(home, server) == Counter(STEP_NAMES.values())
    return str(answer.json["replay_hash"]), length


@pytest.mark.parametrize("kill", range(KILLS))
def test_each_recorded_effect_happened_once(
    tmp_path: Path, server: Server, environment: dict[str, str], undisturbed: tuple[str, float], kill: int
) -> None:
    expected, length = undisturbed
    words = prepared(tmp_path, server)
    child = subprocess.Popen(
        [TEK_RUNNER, *words], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with child:
        time.sleep(random.Random(kill).uniform(0.3, 1.0) * length)
        child.send_signal(signal.SIGKILL)
    time.sleep(0.1)  # what was sent arrives; nothing else is under way any more
    if not list(tmp_path.glob("runs/*/ledger.jsonl")):
        return  # it had not begun
    before, lines = recorded(tmp_path)
    happened = done(tmp_path, server)
    assert all(happened[step] == 1 for step in before), "an outcome is on record of what was not done, or done twice"
    if len(lines) < 2 or lines[-1]["kind"] == "run.closed":
        return

    answer, again = finish(tmp_path, server, environment)

    assert answer.json["replay_hash"] == expected
    assert done(tmp_path, server) == Counter(STEP_NAMES.values()) + again, (
        "only what somebody said to do again was done twice"
    )
    assert set(again) <= {f"post-{n}" for n in range(STEPS)}, "what can be taken for done was not repeated"
    replayed = tek("replay", "last", "--json", cwd=tmp_path, env=environment)
    assert (replayed.code, replayed.json["replay_hash"]) == (0, expected)


def test_what_would_be_written_is_shown_where_nobody_knows_whether_it_was(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Given a ledger that ends with the intent of an append; then whoever is asked sees what to look for."""
    plan(tmp_path, queue("### `TASK-001` Append\n\n- Agent: appending\n"))
    assert tek("run", cwd=tmp_path, env=environment).code == 0
    (ledger,) = tmp_path.glob("runs/*/ledger.jsonl")
    lines = ledger.read_bytes().splitlines(keepends=True)
    asked = next(n for n, line in enumerate(lines) if b'"effect.intent"' in line)
    ledger.write_bytes(b"".join(lines[: asked + 1]))

    answer = tek("resume", "last", cwd=tmp_path, env=environment)

    assert answer.code == 6
    assert "TASK-001[1].0  fs.append  appended\n    with data 'file-0\\n' (7 bytes)\n" in answer.out
