"""The text of a first plan and of what stands beside it, with comments that say what may be changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tek_runner.proposing import Proposal, Proposed

MANIFEST: Final = """\
{
  "preset": "workspace-write",
  "permits": [],
  "budgets": {"task": "ms=10m io=1GiB"}
}
"""

MANIFEST_NOTES: Final = """\
# What the tasks of this directory may do

`manifest.json` is the operator's word; a plan can only ask for less.

- `preset`: `read-only`, `workspace-write` (read and write here, but for `.git`, `config/` and `runs/`; no network),
  or `none`.
- `permits`: what is granted beyond it, such as `{"action": "env.get", "resource": "API_TOKEN", "subject": "TASK-003"}`.
  A task that is denied is told the line to add; `tek-runner permits infer last` finds what a run needed.
- `budgets`: the most that a task, a queue (`"queues": {"A": "ms=5m"}`) or a `run` may spend.

`tek-runner check` finds what is wrong with it, `tek-runner plan` shows what each task may do.
"""

_HEAD: Final = """\
# What this project does

- Timeout: 10m

This page is a plan for `tek-runner`. The list above holds for every task; text like this is for readers. Each heading
with an id is a task, and the block below it is what runs, confined to what the operator grants in
`config/manifest.json`.
"""

_PLAIN: Final = """
## Queue A — Start

### `TASK-001` Write a greeting

- Allow: `fs.write:out/**`

Asking for less than is granted keeps a task from what it does not need: this one can write below `out/` alone.

```sh
mkdir -p out
echo "hello from tek" | tee out/greeting.txt
```

### `TASK-002` Count its letters

- Needs: `TASK-001`

A task waits for what it needs. Tasks that need nothing from each other run side by side.

```sh
wc -c <out/greeting.txt
```
"""

_WHAT: Final = {
    "Makefile": "the targets of the Makefile",
    "justfile": "the recipes of the justfile",
    "package.json": "the scripts of package.json",
    "pyproject.toml": "the tools that pyproject.toml configures",
}
_TITLES: Final = {"Makefile": "Make", "justfile": "Just", "package.json": "Node", "pyproject.toml": "Python"}


def first_plan(proposed: Sequence[Proposed]) -> str:
    """Return a source of truth: a queue for each file that gave tasks, or a plain start."""
    if not proposed:
        return _HEAD + _PLAIN
    return _HEAD + "".join(_queues(proposed))


def _queues(proposed: Sequence[Proposed]) -> Iterator[str]:
    number = 0
    for letter, part in zip("ABCDEFGH", proposed, strict=False):
        ids = {task.name: f"TASK-{number + index:03d}" for index, task in enumerate(part.tasks, 1)}
        number += len(part.tasks)
        left_out = f" Left out: {', '.join(part.left_out)}." if part.left_out else ""
        yield f"\n## Queue {letter} — {_TITLES[part.source]}\n\nProposed from {_WHAT[part.source]}.{left_out}\n"
        yield from (_task(task, ids) for task in part.tasks)


def _task(task: Proposal, ids: dict[str, str]) -> str:
    needs = f"- Needs: {', '.join(f'`{ids[need]}`' for need in task.needs)}\n\n" if task.needs else ""
    return f"\n### `{ids[task.name]}` {task.command}\n\n{needs}```argv\n{task.command}\n```\n"
