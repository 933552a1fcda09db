"""A plan before it runs, for people: a table where a terminal has room for it, else lines."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tek_runner.console import counted, printable
from tek_runner.rights import RIGHTS, TaskRights

ROOM_FOR_TABLE: Final = 110
"""Columns of a terminal from which on a table is readable."""

_MAX_TABLE: Final = 500
_DETAILS: Final = 15
"""Where what is said of a task starts."""


def show(rows: Sequence[TaskRights], queues: int) -> None:
    """Print the plan on standard output."""
    if sys.stdout.isatty() and len(rows) <= _MAX_TABLE:
        from rich.console import Console

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        if console.width >= ROOM_FOR_TABLE:
            _table(console, rows, queues)
            return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines(rows, queues):
        sys.stdout.write(folded(printable(line), width) + "\n")


def folded(line: str, width: int) -> str:
    """Return a line in parts that fit ``width`` columns, 0 for any, indented below what they go on; no word is cut."""
    if not width or len(line) <= width:
        return line
    indent = " " * (_DETAILS if line.startswith(" ") else 0)
    parts = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)


def common_rights(rows: Sequence[TaskRights]) -> dict[str, str]:
    """Return what most tasks may do and spend: said once, so that the others stand out."""
    common: dict[str, str] = {}
    for name in (*RIGHTS, "spends"):
        [(words, count)] = Counter(_cell(row, name) for row in rows).most_common(1) or [("", 0)]
        common[name] = words if 2 * count > len(rows) else ""
    return common


def lines(rows: Sequence[TaskRights], queues: int) -> Iterator[str]:
    """Yield the plan line by line: what most tasks may do, then each task with what is its own."""
    yield f"{counted(len(rows), 'task')} in {counted(queues, 'queue')}"
    common = common_rights(rows)
    if any(row.agent != "noop" for row in rows):
        yield "\nUnless it says otherwise, a task"
        yield from (f"  {name:<8} {words}" for name, words in common.items() if words)
    last = None
    for row in rows:
        if row.queue.name != last:
            last = row.queue.name
            needs = f"  waits for {', '.join(row.queue.needs)}" if row.queue.needs else ""
            yield f"\n{row.queue.name}{needs}"
        title = "" if row.task.title == row.task.id else f"  {row.task.title}"
        yield f"  {row.task.id}{title}"
        yield from (f"      {text}" for text in _details(row, common))


def _details(row: TaskRights, common: dict[str, str]) -> Iterator[str]:
    if row.task.needs:
        yield f"waits    {', '.join(row.task.needs)}"
    if row.agent not in ("noop", "shell"):
        yield f"agent    {row.agent}"
    yield from (f"runs     {text}" for text in row.runs)
    if row.agent != "noop":
        for name, words in common.items():
            if (own := _cell(row, name)) != words:
                yield f"{name:<8} {own}"
    if row.task.env:
        yield f"env      {', '.join(f'{name}={value}' for name, value in row.task.env)}"
    yield from _problems(row)


def _problems(row: TaskRights) -> Iterator[str]:
    for lack in row.lacks:
        yield f"DENIED   {lack.denial.message}"
        if lack.denial.grant:
            yield f"         to grant it: {lack.denial.grant}"
    for name in row.missing:
        yield f"MISSING  the variable {name}, which it takes for a secret, is not set"


def _cell(row: TaskRights, name: str) -> str:
    if name == "spends":
        return row.spends
    return ", ".join(row.rights[name]) or "nothing"


def _table(console: object, rows: Sequence[TaskRights], queues: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    assert isinstance(console, Console)
    common = common_rights(rows)
    console.print(Text(f"{counted(len(rows), 'task')} in {counted(queues, 'queue')}"))
    if any(row.agent != "noop" for row in rows):
        console.print(Text("\nUnless it says otherwise, a task"))
        for name, words in common.items() if any(common.values()) else ():
            console.print(Text(f"  {name:<8} ", "bold").append(printable(words), "not bold"))
    for queue in dict.fromkeys(row.queue.name for row in rows):
        title = Text(printable(queue))
        table = Table(title=title, title_justify="left", title_style="bold", expand=True, show_lines=True)
        table.add_column("task", ratio=4)
        table.add_column("runs", ratio=6)
        table.add_column("may, and may spend", ratio=5)
        table.add_column("waits for", ratio=2)
        for row in rows:
            if row.queue.name == queue:
                _add_row(table, row, common)
        console.print()
        console.print(table)


def _add_row(table: object, row: TaskRights, common: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    assert isinstance(table, Table)
    title = "" if row.task.title == row.task.id else f"\n{row.task.title}"
    names = Text(row.task.id, "bold").append(printable(title), "not bold")
    own = [f"{name} {_cell(row, name)}" for name in common if row.agent != "noop" and _cell(row, name) != common[name]]
    own += [f"sees {name}={value}" for name, value in row.task.env]
    may = Text(printable("\n".join(own)))
    for problem in _problems(row):
        may.append(printable(f"\n{problem}" if may.plain else problem), "bold red")
    runs = "\n".join(row.runs) or ("nothing" if row.agent == "noop" else f"agent {row.agent}")
    table.add_row(names, Text(printable(runs)), may, Text(printable("\n".join(row.waits))))
