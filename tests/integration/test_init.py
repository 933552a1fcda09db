"""``tek-runner init``: a start that runs, proposed from what is there, with nothing run and nothing written over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tek_runner.proposing import propose
from tests.integration.cli import Answer, tek

MAKEFILE = """\
SHELL := /bin/sh
FILES = $(shell touch pwned)
.PHONY: all build test clean deploy help
all: build test
build: src.txt ## make it
\tcp src.txt built.txt
test: build | src.txt
\ttest "$$(cat built.txt)" = here
clean:
\trm -f built.txt
deploy: ; @echo no
help:
%.o: %.c
src.txt:
"""


def passes(directory: Path) -> Answer:
    """Check and run what was written."""
    checked = tek("check", cwd=directory)
    assert (checked.code, checked.err) == (0, ""), checked
    assert tek("fmt", "--check", cwd=directory).code == 0
    ran = tek("run", "--json", cwd=directory)
    assert ran.code == 0, ran
    return ran


def test_an_empty_directory_gets_a_plan_that_runs(tmp_path: Path) -> None:
    answer = tek("init", "fresh", cwd=tmp_path)

    assert answer.code == 0
    assert sorted(str(p.relative_to(tmp_path / "fresh")) for p in (tmp_path / "fresh").rglob("*") if p.is_file()) == [
        "config/README.md", "config/manifest.json", "sot.md",
    ]  # fmt: skip
    assert passes(tmp_path / "fresh").json["tasks"]["ok"] == 2


def test_targets_of_a_makefile_become_tasks_with_their_needs(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "src.txt").write_text("here")

    answer = tek("init", "--json", cwd=tmp_path)

    assert [one["title"] for one in answer.json["tasks"]] == ["make build", "make test", "make all"]
    assert "Left out: clean, deploy, help." in answer.json["plan"]
    assert "### `TASK-002` make test\n\n- Needs: `TASK-001`\n" in answer.json["plan"]
    assert not (tmp_path / "pwned").exists(), "init runs nothing"
    assert passes(tmp_path).json["tasks"]["ok"] == 3
    assert (tmp_path / "built.txt").exists()


def test_scripts_of_a_package_become_tasks(tmp_path: Path) -> None:
    scripts = {
        "build": "node -e 'require(`fs`).writeFileSync(`built`, `1`)'", "pretest": "node -e 1", "test": "node -e 1",
        "start": "node server", "lint:js": "node -e 1", "bad name; rm -rf": "x", "postinstall": "x",
    }  # fmt: skip
    (tmp_path / "package.json").write_text(json.dumps({"name": "x", "scripts": scripts}))

    answer = tek("init", "--json", cwd=tmp_path)

    assert [one["title"] for one in answer.json["tasks"]] == ["npm run build", "npm run test", "npm run lint:js"]
    assert "rm -rf" not in answer.json["plan"]
    if shutil.which("npm"):
        passes(tmp_path)


def test_recipes_of_a_justfile_and_tools_of_python_become_tasks(tmp_path: Path) -> None:
    (tmp_path / "justfile").write_text(
        "set shell := ['sh']\nx := 'y'\nbuild:\n  echo\ntest: build\n  echo\n"
        "greet name:\n  echo\n_hidden:\n  echo\n[private]\nsecret:\n  echo\nlint flag='-q':\n  echo\n"
    )
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n[tool.pytest.ini_options]\n[tool.black]\n")

    answer = tek("init", "--json", cwd=tmp_path)

    titles = [one["title"] for one in answer.json["tasks"]]
    assert titles == ["just build", "just lint", "just test", "ruff check .", "python3 -m pytest"]
    assert tek("check", cwd=tmp_path).code == 0


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/manifest.json").symlink_to("/nowhere")

    answer = tek("init", cwd=tmp_path)

    assert (answer.code, "config/manifest.json is there already" in answer.err) == (2, True), answer
    assert sorted(os.listdir(tmp_path)) == ["config"]


def test_a_dry_run_writes_nothing_and_shows_the_plan(tmp_path: Path) -> None:
    answer = tek("init", "new", "--dry-run", cwd=tmp_path)
    assert (answer.code, "### `TASK-001`" in answer.out, "would write new/sot.md" in answer.err) == (0, True, True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "runs/\n"), ("a", "a\nruns/\n"), ("a\n", "a\nruns/\n"), ("/runs/\n", "/runs/\n")],
)
def test_git_is_told_to_ignore_runs_once(tmp_path: Path, before: str | None, after: str) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    if before is not None:
        (tmp_path / ".gitignore").write_text(before)
    assert tek("init", cwd=tmp_path).code == 0
    assert (tmp_path / ".gitignore").read_text() == after


def test_files_from_elsewhere_or_too_large_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "Makefile").symlink_to("/etc/passwd")
    (tmp_path / "package.json").write_bytes(b" " * (1 << 20) + b"{}")
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    os.mkfifo(tmp_path / "justfile")

    answer = tek("init", cwd=tmp_path)

    assert answer.code == 0
    assert answer.err.count(" is left out: ") == 4
    passes(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "a" * (1 << 20), " " * (1 << 20), "a " * (1 << 19) + ":", "x:\\\n" * (1 << 17), ":\n" * (1 << 18),
        "\t" * (1 << 20),
        ".PHONY: " + "`rm`;$(x) " * 1000, "a`b: c\n$(evil): x\n## Queue B — X: y\n### `TASK-009`: z\n",
    ],
    ids=range(8),
)  # fmt: skip
def test_no_file_takes_long_or_gets_a_name_of_its_own_into_a_plan(text: str) -> None:
    begun = time.process_time()
    for source in ("Makefile", "justfile", "package.json", "pyproject.toml"):
        for part in propose({source: text}):
            assert all(task.name.replace("-", "").replace("_", "").isalnum() for task in part.tasks)
    assert time.process_time() - begun < 5
