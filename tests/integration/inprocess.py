"""The command line without a process of its own, for tests that call it often. What runs tasks goes through ``cli``."""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from tek_runner.main import main
from tests.integration.cli import Answer


def call(*words: str | Path, cwd: Path) -> Answer:
    """Call ``tek-runner`` in ``cwd`` and hold it to what every call owes its user."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        code = main(list(map(str, words)))
    texts = [stream.buffer.getvalue().decode() for stream in (out, err) if isinstance(stream.buffer, io.BytesIO)]
    answer = Answer(code, *texts)
    assert "defect of tek" not in answer.err, answer
    return answer
