"""Every command that the tutorial shows is run, in its order, and its output compared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.cli import REPOSITORY, TEK_RUNNER
from tests.integration.test_readme import normalised

BLOCK = re.compile(r'^(`{3,})(console|\w+ title="([^"]+)")\n(.*?)^\1$', re.M | re.S)
COMMAND = re.compile(r"^\$ ", re.M)
INTERRUPTED = re.compile(r"timeout -s INT \d+ (.+)")


def interrupted_while_it_waits(command: str, directory: Path, env: dict[str, str]) -> str:
    """Press Ctrl-C as soon as the task says that it waits, which is what the page lets ``timeout`` do after a while."""
    with (directory / "output").open("w+b") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=directory, env=env, stdout=output, stderr=output
        )
        deadline = time.monotonic() + 60
        while not (directory / "waiting.txt").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        output.seek(0)
        return output.read().decode()


def output_of(command: str, directory: Path, env: dict[str, str]) -> str:
    interrupted = INTERRUPTED.fullmatch(command)
    if interrupted is not None:
        return interrupted_while_it_waits(interrupted[1], directory, env)
    done = subprocess.run(
        ["sh", "-c", command], cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout


def test_what_the_tutorial_shows_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tutorial = tmp_path / "tutorial"
    tutorial.mkdir()
    monkeypatch.delenv("REPORT_KEY", raising=False)
    env = {**os.environ, "PATH": f"{Path(TEK_RUNNER).parent}:{os.environ['PATH']}"}
    commands = 0
    for match in BLOCK.finditer((REPOSITORY / "docs" / "tutorial.md").read_text()):
        if match[3]:
            path = tutorial / match[3]
            path.parent.mkdir(exist_ok=True)
            path.write_text(match[4])
            continue
        for command, _, expected in (part.partition("\n") for part in COMMAND.split(match[4])[1:]):
            if command.startswith(("export PATH=", "mkdir /tmp/tutorial")):
                continue  # done above
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                env[name] = value
                continue
            assert normalised(output_of(command, tutorial, env), tutorial) == normalised(expected, tutorial), command
            commands += 1
    assert commands >= 15
