"""Replay applies nothing: seen from outside by strace, and with every effect made to raise."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.integration.cli import TEK_RUNNER, plan, queue, task, tek

TRACED = (
    "execve,execveat,fork,vfork,connect,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat"
)
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")


def recorded(tmp_path: Path) -> Path:
    plan(tmp_path, queue(task(1, "echo x >made.txt; cat made.txt"), task(2, "rm made.txt", "Needs: `TASK-001`")))
    assert tek("run", cwd=tmp_path).code == 0
    return tmp_path


def test_replay_writes_starts_and_reaches_nothing(tmp_path: Path) -> None:
    work = recorded(tmp_path)
    strace = shutil.which("strace")
    assert strace is not None, "this test needs strace: apt-get install strace (.ci/run does)"
    trace = tmp_path / "trace"

    subprocess.run(
        [strace, "-f", "-qq", "-e", f"trace={TRACED}", "-o", str(trace), TEK_RUNNER, "replay", "last"],
        cwd=work, check=True, capture_output=True, env={"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    calls = trace.read_text().splitlines()
    assert any("ledger.jsonl" in call for call in calls), "the trace shows what was opened"
    done = [call for call in calls if " = -1 " not in call]
    assert sum("execve(" in call for call in done) == 1, "the interpreter itself"
    for call in done:
        assert not re.search(r"(unlink|rename|mkdir|creat|fork|connect)\w*\(", call), call
        assert not (WRITES.search(call) and "/dev/null" not in call), call
    assert not (work / "made.txt").exists()


def test_replay_holds_with_every_effect_made_to_raise(tmp_path: Path) -> None:
    work = recorded(tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import tek_kernel, tek_kernel.core_effects, tek_effects_fs, tek_effects_proc, tek_effects_net\n"
        "from tek_kernel.effect import Effect\n"
        "def refuse(self, *a):\n    raise SystemExit('an effect was applied')\n"
        "todo = [Effect]\n"
        "for kind in todo:\n    todo += kind.__subclasses__()\n"
        "    if kind is not Effect:\n        kind.apply = kind.before = refuse\n"
    )

    answer = tek("replay", "last", cwd=work, env={"PYTHONPATH": str(site)})

    assert answer.code == 0, answer
    assert "replayed" in answer.out
