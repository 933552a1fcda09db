"""The pytest plugin: fixtures, the seed of a session, and the command that shows a failure again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pathlib
import pytest
from tek_abi import TaskReport
from tek_agents import fs

class Writing:
    async def run(self, task):
        await fs.write_text("out", "x")
        return TaskReport()

class Swallowing:
    async def run(self, task):
        try:
            await fs.write_text("out", "x")
        except OSError:
            pass
        return TaskReport()

def test_good(tek_world, tek_ledger):
    tek_world.simulate(Writing())
    assert [intent.envelope.effect for intent in tek_ledger.intents()] == ["fs.write"]

class TestBad:
    def test_one(self, tek_world):
        tek_world.simulate(Swallowing())

@pytest.mark.parametrize("number", range(4))
def test_seed(tek_world, number):
    pathlib.Path(f"seed-{number}").write_text(str(tek_world.seed))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_agents.py").write_text(TESTS)
    return tmp_path


def pytest_in(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60)


def test_a_plain_assertion_about_a_run_prints_them_too(project: Path) -> None:
    (project / "test_plain.py").write_text(
        "from tek_agents import TaskReport\n"
        "class Fine:\n"
        "    async def run(self, assignment):\n"
        "        return TaskReport('ok')\n"
        "def test_plain(tek_world):\n"
        "    assert tek_world.run(Fine()).status == 'failed'\n"
    )
    done = pytest_in(project, "test_plain.py")
    assert re.search(r"seed \d+; see it again: pytest test_plain.py::test_plain --tek-seed=\d+", done.stdout)


def test_a_failure_prints_the_seed_of_the_session_and_a_command_that_shows_it_again(project: Path) -> None:
    first = pytest_in(project, "-n", "2")
    assert (first.returncode, "1 failed, 5 passed" in first.stdout) == (1, True), first.stdout + first.stderr
    found = re.search(r"seed (\d+); see it again: (pytest .*)", first.stdout)
    assert found is not None, first.stdout
    assert {(project / f"seed-{number}").read_text() for number in range(4)} == {found[1]}, "workers have one seed"
    words = shlex.split(found[2])
    assert words[1:] == ["test_agents.py::TestBad::test_one", f"--tek-seed={found[1]}"]

    again = pytest_in(project, *words[1:])

    assert message(again.stdout) == message(first.stdout) != []


def message(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("E ")]


def test_the_plugin_says_what_its_option_does(project: Path) -> None:
    assert "--tek-seed=N" in pytest_in(project, "--help").stdout
