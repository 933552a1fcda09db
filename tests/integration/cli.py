"""The command line as a user meets it: a process of its own, its exit code and its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

TEK_RUNNER = str(Path(sys.executable).with_name("tek-runner"))
REPOSITORY = Path(__file__).resolve().parents[2]


@attrs.frozen
class Answer:
    """How one call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tek(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 120) -> Answer:
    """Call ``tek-runner`` in ``cwd`` with nothing on stdin, and hold it to what every call owes its user."""
    done = subprocess.run(
        [TEK_RUNNER, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    answer = Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
    assert "Traceback" not in answer.out + answer.err, answer
    assert "defect of tek" not in answer.err, answer
    return answer


def plan(directory: Path, text: str, manifest: Any = None, hooks: Any = None) -> Path:
    """Write a source of truth with its configuration; return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("manifest", manifest), ("hooks", hooks)):
        if content is not None:
            (directory / "config").mkdir(exist_ok=True)
            data = content if isinstance(content, str) else json.dumps(content)
            (directory / "config" / f"{name}.json").write_text(data)
    path = directory / "sot.md"
    path.write_text(text)
    return path


def task(number: int, script: str, *fields: str) -> str:
    """Return one task as Markdown."""
    listed = "".join(f"- {field}\n" for field in fields)
    return f"### `TASK-{number:03d}` Task {number}\n\n{listed}\n```sh\n{script}\n```\n\n"


def queue(*tasks: str, letter: str = "A", fields: tuple[str, ...] = ()) -> str:
    """Return one queue as Markdown."""
    listed = "".join(f"- {field}\n" for field in fields)
    return f"## Queue {letter} — Work\n\n{listed}\n" + "".join(tasks)
