"""How long a newcomer takes from a clone to a report, doing only what tek says, with no file edited but sot.md.

Each step takes what it needs from the output of the one before: the command that grants what was denied, and the run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Comparison, Figure, Options, command, scratch

REPOSITORY = Path(__file__).resolve().parents[1]
PLAN = """\
# My first plan

## Queue A — Mine

### `TASK-001` Use a token

- Env: `TOKEN=secret:MY_TOKEN`

```sh
test -n "$TOKEN" && echo "it is there"
```
"""
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
    "MY_TOKEN": "a-token-of-mine",
}


class Newcomer:
    """Somebody who runs one command after the other. ``steps`` say what each took, in seconds."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []

    def does(self, step: str, command: list[str], cwd: Path, expected: int = 0) -> str:
        """Run a command and return its output. Raises ``SystemExit`` where it does not end as expected."""
        since = time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        self.steps.append((step, time.perf_counter() - since))
        if done.returncode != expected:
            sys.exit(f"{shlex.join(command)} ended with {done.returncode}, not {expected}:\n{done.stdout}{done.stderr}")
        return done.stdout


def walk(base: Path) -> Newcomer:
    """Go the whole way in an empty directory."""
    newcomer = Newcomer()
    clone, own = base / "tek", base / "own"
    newcomer.does("clone", ["git", "clone", "-q", str(REPOSITORY), str(clone)], base)
    newcomer.does("set up and the first green run", ["make", "run"], clone)
    own.mkdir()
    (own / "sot.md").write_text(PLAN)
    tek = str(clone / ".venv/bin/tek-runner")
    told = newcomer.does("own task, denied", [tek, "run"], own, expected=3)
    grant = re.search(r"to grant it: (--allow .*)", told)
    if grant is None:
        sys.exit(f"nothing says how to grant it:\n{told}")
    newcomer.does("granted", [tek, "run", *shlex.split(grant[1])], own)
    newcomer.does("report", [tek, "report", "last"], own)
    if not list(own.rglob("*.html")):
        sys.exit("there is no report")
    return newcomer


def compare(options: Options) -> Comparison:
    walks: list[dict[str, float]] = []
    for _ in range(options.rounds):
        with scratch() as base:
            walks.append(dict(walk(base).steps))
    steps = [Figure(step, "s", tuple(one[step] for one in walks)) for step in walks[0]]
    total = Figure("all of it", "s", tuple(sum(one.values()) for one in walks))
    return Comparison("From a clone to a report", (*steps, total))


if __name__ == "__main__":
    command(__doc__, compare, rounds=1)
