"""Every command that README.md shows is run, in its order, and its output compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.integration.cli import REPOSITORY

BLOCK = re.compile(r"^(`{3,})(console|markdown)\n(.*?)^\1$", re.M | re.S)


def normalised(text: str, here: Path) -> list[str]:
    """Return lines without what differs from run to run: hashes, times, and the order of tasks that run at once."""
    text = text.replace(str(here), "/tmp/tour")
    text = re.sub(r"[0-9a-f]{64}", "<hash>", text)
    text = re.sub(r"\d{8}_\d{6}Z(_\d+)?", "<time>", text)
    text = re.sub(r"\d+(\.\d+)?(ms|s)\b", "<duration>", text)
    text = re.sub(r"\S*/?tek-runner replay", "tek-runner replay", text)
    text = re.sub(r"by the OS \([a-z-]+\)", "by the OS (<level>)", text)
    text = re.sub(r"and \d+ more", "and some more", text)
    lines = [line.rstrip() for line in text.strip().splitlines() if not line.startswith(("Setting up", "Installing"))]
    tasks = sorted(line for line in lines if re.match(r"(ok|noop|DENIED|FAILED) +TASK-\d+  ", line))
    return [*tasks, *(line for line in lines if line not in tasks)]


def test_what_the_readme_shows_is_what_happens(tmp_path: Path) -> None:
    blocks = [(match[2], match[3]) for match in BLOCK.finditer((REPOSITORY / "README.md").read_text())]
    shown = [text for kind, text in blocks if kind == "console"]
    assert any(text.startswith("$ make run\n") for text in shown)
    assert any(text.startswith("$ make test\n") for text in shown)
    assert len(shown) >= 7
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns(
        "runs", "out", ".git", ".hypothesis", ".mypy_cache", "__pycache__", ".venv", ".tour"
    )
    shutil.copytree(REPOSITORY, clone, ignore=ignored)
    tour = tmp_path / "tour"
    directory, path = clone, os.environ["PATH"]
    # What make tells the makes it starts would make them print more.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    for kind, text in blocks:
        if kind == "markdown":
            (tour / "sot.md").write_text(text)
            continue
        commands = re.split(r"^\$ (?=(?:make|export|mkdir|tek-runner|cat|sed) ?)", text, flags=re.M)[1:]
        for command, _, expected in (part.partition("\n") for part in commands):
            if command == "make test":
                continue  # this is it
            if command.startswith("export PATH"):
                path = f"{clone}/.venv/bin:{path}"
                continue
            if command.startswith("mkdir /tmp/tour"):
                tour.mkdir()
                directory = tour
                continue
            done = subprocess.run(
                ["sh", "-c", command], cwd=directory, env={**outside, "PATH": path}, capture_output=True, text=True,
                check=False, timeout=300,
            )  # fmt: skip
            actual = done.stdout + (done.stderr if "make" not in command else "")
            assert normalised(actual, tour) == normalised(expected, tour), command
