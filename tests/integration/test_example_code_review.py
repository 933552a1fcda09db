"""examples/code_review: third-party agents read everything, write one file, and are denied the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from tests.integration.cli import REPOSITORY, Answer, tek
from tests.integration.example import copy, ended, install, plain, shown

PAGE = (REPOSITORY / "examples/code_review/README.md").read_text()


@attrs.frozen
class Project:
    """A copy of the example whose agents are installed."""

    home: Path
    env: Mapping[str, str]

    def call(self, *words: str) -> Answer:
        return tek(*words, cwd=self.home, env=self.env)

    def files(self) -> dict[str, str]:
        """Return what the shop's files hold."""
        return {path.name: path.read_text() for path in (self.home / "shop").iterdir()}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    home = copy("code_review", tmp_path / "project")
    return Project(home, install(home, tmp_path / "site"))


def test_the_run_is_what_the_page_shows(project: Project) -> None:
    (expected,) = shown(PAGE, "tek-runner run sot.md")
    before = project.files()

    answer = project.call("run", "sot.md")

    assert answer.code == 3
    assert expected <= plain(answer.out + answer.err)
    assert project.files() == before
    (review,) = re.findall(r"^```markdown\n(.*?)^```$", PAGE, re.M | re.S)
    assert (project.home / "review.md").read_text() == review


def test_each_finding_is_told_with_its_line_and_no_other_place(project: Project) -> None:
    project.call("run", "sot.md")
    for name, line in re.findall(r"^- `(\S+):(\d+)`", (project.home / "review.md").read_text(), re.M):
        text = (project.home / name).read_text().splitlines()[int(line) - 1]
        assert re.search(r"except:|=\[\]|= \[\]|shell=True|# TODO:|def total", text), text


def test_it_replays_without_touching_a_file(project: Project) -> None:
    ran = project.call("run", "sot.md", "--json").json
    (project.home / "review.md").unlink()
    shutil.rmtree(project.home / "shop")

    answer = project.call("replay", "last", "--json")

    assert (answer.code, answer.json["replay_hash"]) == (0, ran["replay_hash"])
    assert not (project.home / "review.md").exists()


def test_what_to_try_does_what_the_page_says(project: Project) -> None:
    before = project.files()
    small = project.call("run", "sot.md", "--budget", "io=1KiB", "--json")
    assert (small.code, ended(small)["TASK-001"]) == (3, "denied")
    assert not (project.home / "review.md").exists()

    granted = project.call("run", "sot.md", "--allow", "fs.write:shop/**", "--json")

    assert (granted.code, ended(granted)) == (0, {"TASK-001": "ok", "TASK-002": "ok"})
    changed = {name for name, text in project.files().items() if text != before[name]}
    assert changed == {"cart.py"}
    assert "    except Exception:\n" in project.files()["cart.py"]
    for words in ("--budget io=1KiB", "--allow 'fs.write:shop/**'"):
        assert f"`tek-runner run sot.md {words}`" in PAGE


def test_the_plan_cannot_send_the_findings_elsewhere(project: Project) -> None:
    plan = project.home / "sot.md"
    plan.write_text(plan.read_text().replace("- Outputs: `review.md`", "- Outputs: `shop/review.md`"))

    answer = project.call("run", "sot.md", "--only", "TASK-001", "--json")

    assert (answer.code, ended(answer)["TASK-001"]) == (3, "denied")
    assert not (project.home / "shop/review.md").exists()


def test_its_own_tests_pass_and_find_what_is_broken_in_it(project: Project) -> None:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*words, *more], cwd=project.home, capture_output=True, text=True, timeout=120)

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    agents = project.home / "tek_review/agents.py"
    write = "        await fs.write_text("
    assert write in agents.read_text()
    agents.write_text(agents.read_text().replace(write, '        await fs.write_text("src/a.py", "")\n' + write))
    broken = run("-k", "sources_stay")
    assert broken.returncode == 1, broken.stdout + broken.stderr
