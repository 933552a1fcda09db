"""Attacks end to end, as a user would meet them: ``tek-runner run``, by root and by an ordinary user, at each level."""

from __future__ import annotations

import glob
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tek_abi.policy import ENVIRONMENT
from tests.integration.cli import REPOSITORY
from tests.security.cell import NOBODY

_PLAN = """## Queue A — One

### `TASK-001` Attack

- Allow: `fs.write:out/**`

```argv
python3 attack.py {port} {runner} {outside}
```
"""
_ATTACKS = """
import os, signal, socket, subprocess, sys
port, runner, outside = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def attempt(name, act):
    try:
        act()
        print("ESCAPED", name)
    except Exception as error:
        print("HELD", name, error)

def reading(path):
    return lambda: open(path).read(1)

def writing(path):
    return lambda: open(path, "a").write("x")

def through_a_link():
    os.symlink(outside + "/secret", "out/link")
    open("out/link").read()

def by_renaming():
    os.rename(".git", "out/git")

def over_the_network():
    socket.create_connection(("127.0.0.1", port), 3)

def environ_of_anyone():
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
    found = [open(f"/proc/{pid}/environ").read() for pid in others]
    assert any("CANARY" in text for text in found)

def write_the_ledger():
    files = [os.path.join(at, name) for at, _, names in os.walk("runs") for name in names]
    writing(files[0])()

def own_environ():
    assert "CANARY" in os.environ or "CANARY" in open("/proc/self/environ").read()

writing("out/made")()
print("CONTROL", open("out/made").read(), open("readable").read())
attempt("read outside", reading(outside + "/secret"))
attempt("read by /proc/self/root", reading("/proc/self/root" + outside + "/secret"))
attempt("read by a link", through_a_link)
attempt("read shadow", reading("/etc/shadow"))
attempt("write outside", writing(outside + "/secret"))
attempt("write beside", writing("beside"))
attempt("write a hook", writing(".git/hooks/post-commit"))
attempt("write the manifest", writing("config/manifest.json"))
attempt("write the ledger", write_the_ledger)
attempt("move the repository", by_renaming)
attempt("reach a server", over_the_network)
attempt("signal the runner", lambda: os.kill(runner, signal.SIGSTOP))
attempt("see another's environment", environ_of_anyone)
attempt("have a secret of the operator", own_environ)
attempt("become root", lambda: os.setuid(0))
attempt("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "out"], check=True, capture_output=True))
attempt("make a namespace", lambda: subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True))
subprocess.Popen(["setsid", "sleep", "{mark}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""
_COUNT = 17
_START = "import sys; from tek_runner.start import entry; entry()"


@attrs.frozen
class Who:
    """A user at a level."""

    uid: int
    level: str

    def __str__(self) -> str:
        return f"{self.uid}-{self.level}"


_ROOT = [Who(0, "root-idmap")] if os.getuid() == 0 else []
_USERS = [Who(NOBODY if os.getuid() == 0 else os.getuid(), level) for level in ("userns", "bwrap", "landlock")]


@pytest.fixture(params=[*_ROOT, *_USERS], ids=str)
def who(request: pytest.FixtureRequest) -> Who:
    found: Who = request.param
    return found


@pytest.fixture
def base() -> Iterator[Path]:
    # Not in pytest's own directory, which an ordinary user cannot enter.
    with tempfile.TemporaryDirectory(prefix="tek-escapes-") as directory:
        path = Path(directory).resolve()
        path.chmod(0o755)
        yield path


def _workspace(base: Path, who: Who, port: int, mark: str) -> Path:
    work, outside = base / "ws", base / "outside"
    for directory in (work / ".git/hooks", work / "config", work / "out", outside):
        directory.mkdir(parents=True)
    (outside / "secret").write_text("told")
    (work / "readable").write_text("own")
    (work / "config/manifest.json").write_text("{}")
    (work / "attack.py").write_text(_ATTACKS.replace("{mark}", mark))
    (work / "sot.md").write_text(_PLAN.format(port=port, runner=os.getpid(), outside=outside))
    for path in (base, *base.rglob("*")):
        if who.uid != os.getuid():
            os.chown(path, who.uid, who.uid)
    return work


def _run(work: Path, who: Who) -> subprocess.CompletedProcess[str]:
    python = sys.executable if who.uid == os.getuid() else "/usr/bin/python3"
    site = next(path for path in sys.path if path.endswith("site-packages"))
    packages = [*sorted(glob.glob(f"{REPOSITORY}/packages/*")), site]
    user: dict[str, Any] = {}
    if who.uid != os.getuid():
        user = {"user": who.uid, "group": who.uid, "extra_groups": ()}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [python, "-c", _START, "run", f"--sandbox={who.level}"],
        cwd=work,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": ":".join(packages), "CANARY": "told"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **user,
    )
    return done


def _unfit(who: Who, done: subprocess.CompletedProcess[str]) -> str:
    """Return why the machine cannot do it, which the doctor says too."""
    if done.returncode == 5 and not any(word in done.stderr for word in ("what must work", "could ", "self-test")):
        return done.stderr
    if who.uid != os.getuid() and "No module named" in done.stderr:
        return f"an ordinary user cannot import tek from here: {done.stderr.splitlines()[-1]}"
    return ""


def test_nothing_gets_out(base: Path, who: Who) -> None:
    assert "CANARY" not in ENVIRONMENT
    mark = f"5002.{os.getpid()}{len(who.level)}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        work = _workspace(base, who, server.getsockname()[1], mark)
        done = _run(work, who)
        server.settimeout(0.01)
        with pytest.raises(TimeoutError):
            server.accept()
    if reason := _unfit(who, done):
        pytest.skip(reason)
    logs = "".join(path.read_text() for path in work.glob("runs/*/logs/*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert f"confined by the OS ({who.level}" in done.stdout
    assert "CONTROL x own" in logs
    assert "ESCAPED" not in logs.replace('print("ESCAPED"', "")
    assert logs.count("HELD ") == _COUNT, logs
    assert (base / "outside" / "secret").read_text() == "told"
    assert (work / ".git" / "hooks").is_dir()
    assert not list((work / ".git" / "hooks").iterdir())
    assert not _living(mark)


def _living(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(str(entry))
    return found
