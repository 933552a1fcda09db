"""What the tests of examples share: copies, installed packages, the nightly job's server, pages to compare with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.cli import REPOSITORY, Answer


def copy(name: str, place: Path) -> Path:
    """Copy an example without what a run or an editor leaves there."""
    ignored = shutil.ignore_patterns("runs", "out", "review.md", "__pycache__", "*.egg-info", "build", ".*")
    return Path(shutil.copytree(REPOSITORY / "examples" / name, place, ignore=ignored))


def install(project: Path, site: Path) -> dict[str, str]:
    """Install a package as ``pip install --target`` does, without asking a registry; return what finds it there."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    information = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    information.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    (information / "METADATA").write_text(metadata)
    points = about["entry-points"]["tek.agents"]
    listed = "".join(f"{name} = {place}\n" for name, place in points.items())
    (information / "entry_points.txt").write_text(f"[tek.agents]\n{listed}")
    for package in {place.partition(":")[0] for place in points.values()}:
        shutil.copytree(project / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    return {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def served(home: Path, *words: str) -> Iterator[None]:
    """Serve the nightly job's data at a free port, to which its plan and manifest are changed."""
    command = [sys.executable, str(home / "server/serve.py"), *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            port = re.fullmatch(r"serving \w+ at http://127\.0\.0\.1:(\d+)/\n", said)
            assert port is not None, said
            for path in (home / "sot.md", home / "config/manifest.json"):
                path.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port[1]}", path.read_text()))
            yield
        finally:
            server.terminate()


def ended(answer: Answer) -> dict[str, str]:
    """Return the status of each task."""
    return {one["task"]: one["status"] for one in answer.json["results"]}


def shown(page: str, command: str) -> list[set[str]]:
    """Return what the blocks of a page show below a command, each as ``plain`` lines."""
    return [plain(text) for text in re.findall(rf"^\$ {re.escape(command)}\n(.*?)^```$", page, re.M | re.S)]


def plain(text: str) -> set[str]:
    """Return the lines without what differs from run to run."""
    text = re.sub(r"\d+(\.\d+)?m?s$", "<duration>", text, flags=re.M)
    text = re.sub(r"by the OS \([a-z-]+\)$", "by the OS (<level>)", text, flags=re.M)
    return set(re.sub(r"\S*tek-runner", "tek-runner", text).splitlines())
