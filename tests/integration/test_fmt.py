"""``tek-runner fmt``: files are tidied in their places, and only files that are plans."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli import TEK_RUNNER, tek

UNTIDY = (
    "# T  \r\n## Queue A — One\r\n###   `TASK-001` First ##\n"
    "* **retries** : 2\n+ timeout:`5m`\n\n```sh\necho  x \n```\n\n\n"
)
TIDY = "# T\n\n## Queue A — One\n\n### `TASK-001` First\n\n- Retries: 2\n- Timeout: 5m\n\n```sh\necho  x \n```\n"


@pytest.fixture
def sot(tmp_path: Path) -> Path:
    path = tmp_path / "sot.md"
    path.write_bytes(UNTIDY.encode())
    return path


def test_a_file_is_tidied_once_and_keeps_its_mode(sot: Path) -> None:
    sot.chmod(0o640)
    first = tek("fmt", cwd=sot.parent)
    assert (first.code, first.out, first.err) == (0, "", "tidied  sot.md\n")
    assert sot.read_bytes().decode() == TIDY
    assert sot.stat().st_mode & 0o777 == 0o640
    assert tek("fmt", cwd=sot.parent).err == "already tidy\n"
    assert os.listdir(sot.parent) == ["sot.md"]


def test_check_and_diff_change_nothing(sot: Path) -> None:
    answer = tek("fmt", "--check", "--diff", cwd=sot.parent)
    assert answer.code == 1
    assert "+- Retries: 2\n" in answer.out
    assert "-* **retries** : 2\n" in answer.out
    assert "would tidy  sot.md" in answer.err
    assert tek("fmt", "--diff", cwd=sot.parent).code == 0
    assert tek("fmt", "--check", "--json", cwd=sot.parent).json == {"untidy": ["sot.md"], "changed": False, "files": 1}
    assert sot.read_bytes().decode() == UNTIDY


def test_stdin_goes_to_stdout(tmp_path: Path) -> None:
    done = subprocess.run(
        [TEK_RUNNER, "fmt", "-"], cwd=tmp_path, input=UNTIDY.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode() == TIDY


def test_what_is_no_plan_is_told_and_left_alone(sot: Path) -> None:
    sot.write_text(UNTIDY.replace("5m", "soon"))
    before = sot.read_bytes()
    answer = tek("fmt", cwd=sot.parent)
    assert (answer.code, "sot.md:5:" in answer.err, "TEK307" in answer.err) == (2, True, True), answer.err
    assert sot.read_bytes() == before
    refused = tek("fmt", "plan.json", cwd=sot.parent)
    assert (refused.code, "is no source of truth" in refused.err) == (2, True)


def test_behind_a_symbolic_link_the_file_itself_is_tidied(sot: Path, tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("sot.md")
    assert tek("fmt", "link.md", cwd=tmp_path).code == 0
    assert (tmp_path / "link.md").is_symlink()
    assert sot.read_bytes().decode() == TIDY


def test_a_byte_order_mark_stays(sot: Path) -> None:
    sot.write_bytes(b"\xef\xbb\xbf" + UNTIDY.encode())
    assert tek("fmt", cwd=sot.parent).code == 0
    assert sot.read_bytes() == b"\xef\xbb\xbf" + TIDY.encode()


def test_the_older_kits_file_loses_blanks_at_line_ends_alone(tmp_path: Path) -> None:
    text = "### G. Execution Queue & Task Hooks\n1. **Queue A — Old**  \n   - Tasks: `TASK-001`\t\n\n\n\ntext\n\n"
    (tmp_path / "sot.md").write_text(text)
    before = tek("plan", "--json", cwd=tmp_path).json["plan"]["queues"]
    assert tek("fmt", cwd=tmp_path).code == 0
    assert (tmp_path / "sot.md").read_text() == (
        "### G. Execution Queue & Task Hooks\n1. **Queue A — Old**\n   - Tasks: `TASK-001`\n\n\n\ntext\n"
    )
    assert tek("plan", "--json", cwd=tmp_path).json["plan"]["queues"] == before
