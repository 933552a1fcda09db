"""examples/agent_plugin: a third party's agent, installed, tested with the kit, run and replayed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.integration.cli import REPOSITORY, Answer, tek

EXAMPLE = REPOSITORY / "examples" / "agent_plugin"
DOCUMENTATION = REPOSITORY / "docs" / "testing-agents.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example."""
    ignored = shutil.ignore_patterns("runs", "__pycache__", ".*")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project", ignore=ignored))


@pytest.fixture
def site(project: Path, tmp_path: Path) -> Path:
    """A directory where the example is installed, as ``pip install --target`` leaves it, without asking a registry."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    information = site / f"tek_changelog-{about['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    points = about["entry-points"]["tek.agents"].items()
    (information / "entry_points.txt").write_text(
        "[tek.agents]\n" + "".join(f"{name} = {place}\n" for name, place in points)
    )
    shutil.copytree(project / "tek_changelog", site / "tek_changelog")
    return site


def call(site: Path, cwd: Path, *words: str) -> Answer:
    return tek(*words, cwd=cwd, env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"})


def pytest_in(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words]
    return subprocess.run(command, cwd=project, env=os.environ, capture_output=True, text=True, timeout=120)


def test_its_own_tests_and_those_of_the_documentation_pass_whatever_the_seed(project: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENTATION.read_text(), re.M | re.S)
    shown = "from tek_changelog import Changelog\n" + "\n".join(blocks)
    (project / "tests" / "test_documentation.py").write_text(shown)

    done = pytest_in(project)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


def test_its_tests_find_what_is_broken_in_it(project: Path) -> None:
    agent = project / "tek_changelog" / "agent.py"
    removed_first = agent.read_text().replace(
        "        for name in names:\n            await fs.remove(name)\n", ""
    ).replace(
        "        today =", "        for name in names:\n            await fs.remove(name)\n        today ="
    )  # fmt: skip
    agent.write_text(removed_first)

    done = pytest_in(project, "--tek-seed=3", "-k", "whatever_goes")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "assert" in done.stdout
    assert "see it again: pytest" in done.stdout
    assert "--tek-seed=3" in done.stdout


def test_it_runs_under_the_permits_of_its_plan_and_replays(site: Path, project: Path) -> None:
    assert "changelog" in call(site, project, "list", "--agents").out

    answer = call(site, project, "run", "--json")

    assert answer.code == 0, answer
    log = (project / "CHANGELOG.md").read_text()
    assert log.index("- a faster start") < log.index("- one bug less") < log.index("## 2029-12-31")
    assert list((project / "changes").iterdir()) == []
    assert '["changelog","tek-changelog","1.0"]' in Path(answer.json["ledger"]).read_text()
    assert call(site, project, "replay", "last", "--json").json["replay_hash"] == answer.json["replay_hash"]
    assert call(site, project, "run", "--json").json["results"][0]["status"] == "noop"
