"""Every example that a command's help shows is run as it stands, in a place that has what it names."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, plan, queue, task
from tools.reference.cli import commands

EXAMPLES = sorted({re.split(r"\s{3,}", example)[0] for command in commands() for example in command.examples})

ENDS_WITH = {
    "tek-runner fmt sot.md --check --diff": 1,
    "tek-runner resume last": 6,
    "tek-runner resume runs/20260131_101500Z": 6,
}
"""What an example ends with that tells of something other than success."""

TASKS = [task(number, f"mkdir -p out; echo {number} | tee out/{number}") for number in (1, 2, 4)]
PLAN = queue(*TASKS[:2], task(3, "mkdir -p out; test -e out/quick || sleep 60", "Needs: `TASK-002`"), TASKS[2])
NAMED = "runs/20260131_101500Z"


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes whatever is sent to it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def tek(cwd: Path, *words: str) -> None:
    subprocess.run([TEK_RUNNER, *words], cwd=cwd, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with ``etc``, the place of ``/etc/tek``, and ``work``, a workspace with two finished runs."""
    base = tmp_path_factory.mktemp("examples")
    work, etc = base / "work", base / "etc"
    etc.mkdir()
    tek(etc, "keygen", "ledger.key", "--name", "example.org/ci")
    granted = [{"action": "env.get", "resource": "API_TOKEN"}]
    granted.append({"action": "fs.write", "resource": "out/**", "subject": "TASK-003"})
    plan(work, PLAN, manifest={"preset": "workspace-write", "permits": granted})
    (etc / "manifest.json").write_text(json.dumps({"preset": "workspace-write"}))
    (work / "stricter.json").write_text(json.dumps({"preset": "read-only"}))
    shutil.copy(etc / "ledger.key", work.parent / "ledger.key")
    shutil.copy(etc / "ledger.key.pub", work)
    (work / "out").mkdir()
    (work / "out/quick").touch()
    tek(work, "plan", "--out", "plan.json")
    tek(work, "run", "--run-dir", NAMED)
    tek(work, "run")
    tek(work, "checkpoint", "last", "--key", str(etc / "ledger.key"))
    tek(work, "prove", "last", "--line", "12", "--out", "line-12.tlog-proof")
    (last,) = [path for path in (work / "runs").iterdir() if path.name != Path(NAMED).name]
    shutil.copy(last / "ledger.jsonl", work)
    (work / "plans").mkdir()
    shutil.copy(work / "sot.md", work / "plans")
    for name in ("before", "after", "work/runs/20260101_000000Z"):
        shutil.copytree(last, work / name)
    return base


def cut_off(work: Path) -> None:
    """Leave one run in a workspace, that was killed in its third task."""
    shutil.rmtree(work / "runs")
    (work / "out/quick").unlink()
    run = subprocess.Popen([TEK_RUNNER, "run", "--run-dir", NAMED], cwd=work, stdout=subprocess.DEVNULL)
    ledger = work / NAMED / "ledger.jsonl"
    while not (ledger.exists() and b'"position":["TASK-003",1,0]' in ledger.read_bytes()):
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.wait()
    (work / "out/quick").touch()


def as_typed(example: str, work: Path, collector: str) -> str:
    """Return an example with the places of this test in it, and what stands for something that only a user knows."""
    (last,) = sorted((work / "runs").glob("*Z"))[-1:]
    digest = next(
        iter(re.findall(rb'"stdout":\{"\$blob":\{"sha256":"([0-9a-f]{64})"', (last / "ledger.jsonl").read_bytes())), b""
    )
    typed = example.replace("/tmp/", f"{work.parent}/").replace("/etc/tek", str(work.parent / "etc"))
    typed = typed.replace("--key ledger.key ", f"--key {work.parent}/ledger.key ")
    typed = re.sub(r"http://127.0.0.1:\d+", collector, typed)
    typed = re.sub(r"(?<=--blob )\S+", digest.decode(), typed)
    typed = re.sub(r"(?<=keygen )\S+", f"{work.parent}/new.key", typed)
    return re.sub(r'^eval "\$\((.* zsh)\)"$', r"\1", typed)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_does_what_it_says(example: str, prepared: Path, collector: str, tmp_path: Path) -> None:
    work, home = tmp_path / "base/work", tmp_path / "home"
    shutil.copytree(prepared, work.parent)
    if " resume " in example:
        cut_off(work)
    if " checkpoint " in example or (" redact " in example and "--key" not in example):
        for checkpoint in work.glob("runs/*/checkpoint"):
            checkpoint.unlink()  # a run is signed once, and then asks for its key
    (home / ".config/fish/completions").mkdir(parents=True)
    call = as_typed(example, work, collector)
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", call],
        cwd=work,
        env={"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == ENDS_WITH.get(example, 0), f"{call}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
