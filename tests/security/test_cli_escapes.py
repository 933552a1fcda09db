"""Attacks end to end, as a user would meet them: ``tek-runner run``, by root and by an ordinary user, at each level."""

from __future__ import annotations

import glob
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from tek_abi.policy import ENVIRONMENT
from tests.integration.cli import REPOSITORY
from tests.security.cell import NOBODY

_ATTACKS = Path(__file__).with_name("escaping.py").read_text()
_PLAN = """## Queue A — One

### `TASK-001` Attack

{allow}

```argv
python3 out/escaping.py {port} {outside} {mark} {width}
```
"""
_RACE = """## Queue A — One

### `TASK-001` Swap a directory and a symlink that leads outside

- Allow: `fs.write:race/**`

```argv
python3 race/swap.py
```
"""
_VICTIM = """
### `TASK-{number:03d}` Use what is in the directory

- Allow: `fs.write:race/d/in/**`
- Cwd: `race/d/in`
{needs}
```argv
sh -c 'echo x >made-{number}; cat secret'
```
"""
_SWAP = """
import ctypes, time
renameat2 = ctypes.CDLL(None).renameat2
count, until = 0, time.monotonic() + 1
while time.monotonic() < until or count % 2:
    count += renameat2(-100, b"race/d", -100, b"race/link", 2) == 0
print("SWAPPED", count)
"""
_START = """
import os, sys
from tek_runner.start import entry
with open("runner.pid", "w") as file:
    file.write(str(os.getpid()))
entry()
"""
_NEVER = {"have what the operator keeps", "read password hashes", "become root", "mount"}
"""What an ordinary user's command cannot do even where nothing confines it."""


@attrs.frozen
class Who:
    """A user at a level. ``wide`` is the default policy: all of the workspace but what is protected in it."""

    uid: int
    level: str
    wide: bool = False

    def __str__(self) -> str:
        return f"{self.uid}-{self.level}-{self.width}"

    @property
    def width(self) -> str:
        return "wide" if self.wide else "narrow"

    @property
    def is_other(self) -> bool:
        """Whether it is not who runs these tests."""
        return self.uid != os.getuid()


_USER = NOBODY if os.getuid() == 0 else os.getuid()
_ROOT = [Who(0, "root-idmap"), Who(0, "root-idmap", wide=True)] if os.getuid() == 0 else []
# The other levels cannot keep a part of a tree closed, and refuse the default policy where there is a repository.
_USERS = [Who(_USER, "userns"), Who(_USER, "userns", wide=True), Who(_USER, "bwrap"), Who(_USER, "landlock")]


@pytest.fixture
def base() -> Iterator[Path]:
    # Not in pytest's own directory, which an ordinary user cannot enter.
    with tempfile.TemporaryDirectory(prefix="tek-escapes-") as directory:
        path = Path(directory).resolve()
        path.chmod(0o755)
        yield path


@attrs.frozen
class Attacked:
    """How a run with attacks in it ended. ``log`` is what they said of themselves, ``callers`` who reached a server."""

    work: Path
    done: subprocess.CompletedProcess[str]
    log: str
    callers: int
    survivors: list[str]

    @property
    def escaped(self) -> set[str]:
        return {line.removeprefix("ESCAPED ") for line in self.log.splitlines() if line.startswith("ESCAPED ")}

    @property
    def held(self) -> int:
        return sum(line.startswith("HELD ") for line in self.log.splitlines())


def _attack(base: Path, who: Who) -> Attacked:
    mark = f"5002.{os.getpid()}{abs(hash(str(who))) % 10**6}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port = server.getsockname()[1]
        abstract.bind(f"\0tek-escapes-{port}")
        abstract.listen()
        work = _workspace(base, who, port, mark)
        done = _run(work, who)
        callers = _callers(server) + _callers(abstract)
    log = "".join(path.read_text() for path in work.glob("runs/*/logs/*.log"))
    return Attacked(work, done, log, callers, _living(mark))


def _workspace(base: Path, who: Who, port: int, mark: str) -> Path:
    work, outside = base / "ws", base / "outside"
    for directory in (work / ".git/hooks", work / "config", work / "out", outside):
        directory.mkdir(parents=True)
    for file in (outside / "secret", outside / "spare"):
        file.write_text("told")
    (work / "readable").write_text("own")
    (work / ".git/config").write_text("[core]\n")
    (work / "config/manifest.json").write_text("{}")
    (work / "out/escaping.py").write_text(_ATTACKS)
    allow = "" if who.wide else "- Allow: `fs.write:out/**`"
    text = _PLAN.format(allow=allow, port=port, outside=outside, mark=mark, width=who.width)
    (work / "sot.md").write_text(text)
    _own(base, who)
    return work


def _own(base: Path, who: Who) -> None:
    if who.is_other:
        for path in (base, *base.rglob("*")):
            os.chown(path, who.uid, who.uid, follow_symlinks=False)


def _run(work: Path, who: Who) -> subprocess.CompletedProcess[str]:
    python = "/usr/bin/python3" if who.is_other else sys.executable
    site = next(path for path in sys.path if path.endswith("site-packages"))
    packages = [*sorted(glob.glob(f"{REPOSITORY}/packages/*")), site]
    user: dict[str, Any] = {"user": who.uid, "group": who.uid, "extra_groups": ()} if who.is_other else {}
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
    if reason := _unfit(who, done):
        pytest.skip(reason)
    return done


def _unfit(who: Who, done: subprocess.CompletedProcess[str]) -> str:
    """Return why the machine cannot do it, which the doctor says too."""
    if done.returncode == 5 and not any(word in done.stderr for word in ("what must work", "could ", "self-test")):
        return done.stderr
    if who.is_other and "No module named" in done.stderr:
        return f"an ordinary user cannot import tek from here: {done.stderr.splitlines()[-1]}"
    return ""


def _callers(server: socket.socket) -> int:
    server.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def _living(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark.encode() in entry.read_bytes().split(b"\0")[:-1]:
                found.append(str(entry))
    return found


def test_the_attacks_work_where_nothing_confines_them(base: Path) -> None:
    attacked = _attack(base, Who(_USER, "off"))
    assert attacked.done.returncode == 0, (attacked.done, attacked.log)
    assert attacked.escaped == {name for name in _names() if name not in _NEVER}, attacked.log
    assert attacked.callers == 2


@pytest.mark.parametrize("who", [*_ROOT, *_USERS], ids=str)
def test_nothing_gets_out(base: Path, who: Who) -> None:
    assert "CANARY" not in ENVIRONMENT
    attacked = _attack(base, who)
    assert attacked.done.returncode == 0, (attacked.done, attacked.log)
    assert f"confined by the OS ({who.level}" in attacked.done.stdout
    assert "CONTROL x own" in attacked.log
    assert not attacked.escaped, attacked.log
    assert attacked.held == len(_names()) - who.wide, attacked.log
    assert attacked.callers == 0
    assert not attacked.survivors
    _check_untouched(base)


@pytest.mark.parametrize("who", [who for who in (*_ROOT, *_USERS) if not who.wide], ids=str)
def test_a_symlink_that_is_swapped_in_while_commands_start_leads_nowhere(base: Path, who: Who) -> None:
    work, outside = base / "ws", base / "outside"
    for directory, text in ((work / "race/d/in", "own"), (outside / "in", "told")):
        directory.mkdir(parents=True)
        (directory / "secret").write_text(text)
    (work / "race/link").symlink_to(outside)
    (work / "race/swap.py").write_text(_SWAP)
    (work / "sot.md").write_text(_RACE + _victims())
    _own(base, who)
    done = _run(work, who)
    assert "Traceback" not in done.stdout + done.stderr
    logs = [path.read_text() for path in work.glob("runs/*/logs/*.log")]
    assert any("SWAPPED" in log for log in logs), (done, logs)
    assert not any("told" in log for log in logs)
    assert [path.name for path in (outside / "in").iterdir()] == ["secret"]
    assert {path.name for path in outside.iterdir()} == {"in"}
    made = {path.relative_to(work / "race") for path in work.rglob("made-*")}
    assert Path("d/in/made-42") in made, (done, logs)
    assert {path.parent for path in made} == {Path("d/in")}


def _victims() -> str:
    """Return tasks that start while the symlink is swapped in, and one after that."""
    racing = "".join(_VICTIM.format(number=number, needs="") for number in range(2, 42))
    return racing + _VICTIM.format(number=42, needs="- Needs: `TASK-001`\n")


def _names() -> list[str]:
    return [line.split('"')[1] for line in _ATTACKS.splitlines() if line.strip().startswith("attempt(")]


def _check_untouched(base: Path) -> None:
    outside, work = base / "outside", base / "ws"
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "told", "spare": "told"}
    assert (work / ".git/config").read_text() == "[core]\n"
    assert not list((work / ".git/hooks").iterdir())
    assert (work / "config/manifest.json").read_text() == "{}"
