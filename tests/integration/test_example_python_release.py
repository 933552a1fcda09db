"""examples/python_release: a release is made, confined, and is what its page says."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.integration.cli import REPOSITORY, Answer, tek
from tests.integration.example import copy, ended

EXAMPLE = REPOSITORY / "examples" / "python_release"
PAGE = (EXAMPLE / "README.md").read_text()
RELEASED = {"NOTES.md", "SHA256SUMS", "romanum-1.2.0-py3-none-any.whl", "romanum-1.2.0.tar.gz"}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """A copy in which the release was made, and what the run answered."""
    here = copy("python_release", tmp_path_factory.mktemp("release") / "here")
    answer = tek("run", "sot.md", "--json", cwd=here)
    assert answer.code == 0, answer
    return here, answer


def test_the_tasks_end_as_the_page_shows(released: tuple[Path, Answer]) -> None:
    shown = dict(re.findall(r"^ok +(TASK-\d+)  (.*?)  \d+ms$", PAGE, re.M))
    assert ended(released[1]) == dict.fromkeys(shown, "ok")
    assert f"done: {len(shown)} ok\n" in PAGE
    assert shown == dict(re.findall(r"^### `(TASK-\d+)` (.*)$", (EXAMPLE / "sot.md").read_text(), re.M))


def test_the_release_is_complete_and_its_checksums_are_true(released: tuple[Path, Answer]) -> None:
    release = released[0] / "out/release"
    assert {path.name for path in release.iterdir()} == RELEASED
    lines = (release / "SHA256SUMS").read_text().splitlines()
    released_files = sorted(RELEASED - {"SHA256SUMS"})
    assert lines == [f"{hashlib.sha256((release / name).read_bytes()).hexdigest()}  {name}" for name in released_files]
    assert (release / "NOTES.md").read_text().startswith("# 1.2.0, 2026-11-20\n\n- `romanum MMXXVI`")
    assert "1.1.0" not in (release / "NOTES.md").read_text()


def test_each_grant_to_write_is_one_folder_for_one_task() -> None:
    permits = json.loads((EXAMPLE / "config/manifest.json").read_text())["permits"]
    assert {permit["action"] for permit in permits} == {"fs.write"}
    assert len({permit["subject"] for permit in permits}) == len({permit["resource"] for permit in permits}) == 5


def test_pip_takes_the_wheel_and_builds_the_same_by_the_backend(released: tuple[Path, Answer], tmp_path: Path) -> None:
    release = released[0] / "out/release"
    with tarfile.open(release / "romanum-1.2.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    offline = ["--no-index", "--no-deps", "--quiet"]
    built = tmp_path / "built"
    words = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(built), str(tmp_path / "romanum-1.2.0")]
    subprocess.run([*pip, *words], check=True, timeout=60)
    subprocess.run([*pip, "install", *offline, "--target", tmp_path / "site", *built.iterdir()], check=True, timeout=60)

    (wheel,) = built.iterdir()
    assert wheel.read_bytes() == (release / wheel.name).read_bytes()
    said = subprocess.run(
        [sys.executable, "-m", "romanum", "MMXXVI"], cwd=tmp_path / "site", capture_output=True, text=True, timeout=20
    )
    assert (said.returncode, said.stdout) == (0, "2026\n")


def test_it_replays_and_gives_the_same_again_in_another_directory(
    released: tuple[Path, Answer], tmp_path: Path
) -> None:
    here, first = released
    there = copy("python_release", tmp_path / "over there")
    again = tek("run", "sot.md", "--json", "--max-workers", "1", cwd=there).json

    assert tek("replay", "last", "--json", cwd=here).json["replay_hash"] == first.json["replay_hash"]
    assert again["replay_hash"] == first.json["replay_hash"]
    for name in RELEASED:
        assert (there / "out/release" / name).read_bytes() == (here / "out/release" / name).read_bytes()


def test_a_version_without_notes_is_not_built(tmp_path: Path) -> None:
    here = copy("python_release", tmp_path / "here")
    (command,) = re.findall(r"^\$ (sed .*)$", PAGE, re.M)
    subprocess.run(command, shell=True, cwd=here, check=True, timeout=10)

    answer = tek("run", "sot.md", "--json", cwd=here)

    assert answer.code == 1
    assert ended(answer) == {
        "TASK-001": "ok", "TASK-002": "failed", **{f"TASK-{number:03d}": "skipped" for number in range(3, 10)}
    }  # fmt: skip
    (reason,) = re.findall(r"has the reason: `(.*?)`", PAGE)
    (log,) = here.glob("runs/*/logs/TASK-002_cmd1.log")
    assert reason in log.read_text()
    assert not (here / "out/build").exists()


def test_a_test_that_writes_into_the_release_is_held_and_its_plan_cannot_help_it(tmp_path: Path) -> None:
    here = copy("python_release", tmp_path / "here")
    with (here / "tests/test_romanum.py").open("a") as file:
        file.write('\n\nopen("out/release/romanum.whl", "w")\n')
    (here / "out/release").mkdir(parents=True)
    plan = here / "sot.md"
    asking = "- Env: `PYTHONPATH=src`\n"
    assert plan.read_text().count(asking) == 1
    for text in (plan.read_text(), plan.read_text().replace(asking, f"{asking}- Allow: `fs.write:out/**`\n")):
        plan.write_text(text)
        answer = tek("run", "sot.md", "--json", cwd=here)
        assert answer.code == 1
        assert ended(answer)["TASK-001"] == "failed"
        assert set(ended(answer).values()) == {"failed", "ok", "skipped"}
        logs = sorted(here.glob("runs/*/logs/TASK-001_cmd1.log"))
        assert "Read-only file system" in logs[-1].read_text()
        assert not list((here / "out/release").iterdir())


def test_a_member_that_is_not_what_the_record_says_is_not_installed(
    released: tuple[Path, Answer], tmp_path: Path
) -> None:
    wheel = tmp_path / "romanum-1.2.0-py3-none-any.whl"
    with zipfile.ZipFile(released[0] / "out/release" / wheel.name) as old, zipfile.ZipFile(wheel, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"MMXXVI", b"MMXXV"))
    words = [sys.executable, str(EXAMPLE / "tools/install.py"), str(wheel), str(tmp_path / "venv")]

    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "romanum/__main__.py is not what RECORD says" in done.stderr
    assert not list(tmp_path.glob("venv/lib/*/site-packages/romanum"))
