"""The old rules: reading the section that the older kit read, exactly as it did (DESIGN section 7).

One pass over the lines, no regular expression that could backtrack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tek_abi import ExecutionPlan, Queue, Task, layer_of

SECTION: Final = "### G. Execution Queue & Task Hooks"
_NUMBER: Final = re.compile(r"\s*\d+\.\s*\*\*Queue\s+([A-Z])\s+—\s+")
_IDS: Final = re.compile(r"`(TASK-[0-9]{3,})`")


def legacy_lines(text: str) -> list[str]:
    """Split as the older kit did: universal newlines, then every line boundary that Python knows."""
    return text.splitlines()


def find_section(lines: list[str]) -> int | None:
    """Return the index of the section's heading, or ``None``."""
    return next((index for index, line in enumerate(lines) if line.strip().startswith(SECTION)), None)


def section_lines(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """Yield the section's lines with their numbers from 1, its heading included."""
    for index in range(start, len(lines)):
        line = lines[index]
        if index > start and (
            line.startswith("## ") or (line.startswith("### ") and not line.strip().startswith("### G."))
        ):
            return
        yield index + 1, line


def queue_header(line: str) -> str | None:
    """Return a queue's full name where ``line`` opens one as ``1. **Queue A — Name**``."""
    match = _NUMBER.match(line)
    if match is None:
        return None
    rest = line.rstrip()
    if not rest.endswith("**") or len(rest) - 2 <= match.end():
        return _padded_header(line, match)
    return f"Queue {match[1]} — {rest[match.end() : -2].strip()}"


def _padded_header(line: str, match: re.Match[str]) -> str | None:
    """The name may be white space itself, which the blank before it would else take: the old rule gives it back."""
    rest = line.rstrip()
    start = match.end() - 1
    if rest.endswith("**") and line[match.start() : start].rstrip().endswith("—") and len(rest) - 2 > start:
        blanks = line[: match.end()].rstrip()
        if match.end() - len(blanks) >= 2:
            return f"Queue {match[1]} — "
    return None


def task_ids(line: str) -> list[str]:
    """Return the ids on a ``- Tasks:`` line, in order, repeats kept; none for another line."""
    return _IDS.findall(line) if line.strip().startswith("- Tasks:") else []


def legacy_plan(lines: list[str], start: int) -> ExecutionPlan:
    """Return the plan of the section at ``start``. Later occurrences of an id are ``TASK-001#2`` and so on."""
    queues: list[tuple[str, list[Task]]] = []
    seen: dict[str, int] = {}
    for _, line in section_lines(lines, start):
        name = queue_header(line)
        if name is not None:
            queues.append((name, []))
        elif queues:
            tasks = queues[-1][1]
            for bare in task_ids(line):
                tasks.append(Task(numbered(bare, seen), bare, layer_of(bare)))
    return ExecutionPlan(tuple(Queue(name, tuple(tasks)) for name, tasks in queues))


def numbered(bare: str, seen: dict[str, int]) -> str:
    """Return the id of this occurrence: from the second on, ``TASK-001#2``."""
    count = seen[bare] = seen.get(bare, 0) + 1
    return bare if count == 1 else f"{bare}#{count}"
