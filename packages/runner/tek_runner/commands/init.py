"""``tek-runner init``: write a first plan with its configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import orjson

from tek_kernel import StorageFailed
from tek_planner import plan_text
from tek_runner.console import counted, printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.first_plan import MANIFEST, MANIFEST_NOTES, first_plan
from tek_runner.inputs import UnreadableInput
from tek_runner.proposing import SOURCES, propose

_MAX_READ: Final = 1 << 20
_IGNORED: Final = "runs/"


@click.command(
    epilog=examples(
        """
        tek-runner init fresh
        tek-runner init project --dry-run      say what it would write
        tek-runner init project --json
        """
    )
)
@click.argument("directory", type=click.Path(path_type=Path), default=Path(), metavar="[DIR]")
@click.option("--dry-run", is_flag=True, help="Write nothing; print the plan that would be written.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(directory: Path, dry_run: bool, as_json: bool) -> int:
    """Write sot.md and config/ into DIR (here, where it is left out), commented, for a start.

    Where DIR has a Makefile, a justfile, a package.json or a pyproject.toml, tasks are proposed from it; it is only
    read. In a git repository runs/ is added to .gitignore. Nothing that is there is written over.

    """
    texts = dict(_sources(directory))
    proposed = propose(texts)
    files = {
        "sot.md": first_plan(proposed),
        "config/manifest.json": MANIFEST,
        "config/README.md": MANIFEST_NOTES,
    }
    planned = plan_text(files["sot.md"])
    assert planned.plan is not None, planned.diagnostics
    there = [name for name in files if os.path.lexists(directory / name)]
    if there:
        problem = f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and nothing was written"
        raise UnreadableInput(str(directory), f"{problem}; choose another directory, or edit what is there")
    tasks = [{"task": task.id, "title": task.title} for _, task in planned.plan.tasks()]
    ignored = _ignoring(directory)
    if not dry_run:
        for name, text in files.items():
            _write(directory / name, text)
        if ignored is not None:
            _append(directory / ".gitignore", ignored)
    written = [*files, *([".gitignore"] if ignored is not None else [])]
    if as_json:
        answer = {
            "directory": str(directory),
            "written": [] if dry_run else written,
            "proposed_from": [part.source for part in proposed],
        }
        click.echo(orjson.dumps({**answer, "tasks": tasks, "plan": files["sot.md"]}))
        return Exit.OK
    if dry_run:
        click.echo(files["sot.md"], nl=False)
        click.echo(printable(f"would write {', '.join(str(directory / name) for name in written)}"), err=True)
        return Exit.OK
    for name in written:
        click.echo(printable(f"wrote  {directory / name}"))
    of = f" from {', '.join(part.source for part in proposed)}" if proposed else ""
    click.echo(
        printable(f"{counted(len(tasks), 'task')}{of}; look at them with tek-runner plan {directory / 'sot.md'}")
    )
    return Exit.OK


def _sources(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the files to propose from. One that is a symbolic link, large or no text is said to be left out."""
    for name in SOURCES:
        path = directory / name
        if not os.path.lexists(path):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(0, "it is no regular file")
                data = file.read(_MAX_READ + 1)
            if len(data) > _MAX_READ:
                raise OSError(0, f"it has more than {_MAX_READ} bytes")
            yield name, data.decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            click.echo(printable(f"tek-runner: {path} is left out: {reason}"), err=True)


def _ignoring(directory: Path) -> str | None:
    """Return what is to be added to .gitignore, ``None`` for nothing: outside of git, or where it stands there."""
    real = directory.resolve()
    if not any(os.path.lexists(above / ".git") for above in (real, *real.parents)):
        return None
    path = directory / ".gitignore"
    if path.is_symlink() or (path.exists() and not path.is_file()):
        click.echo(printable(f"tek-runner: {path} is no regular file; add {_IGNORED} to it yourself"), err=True)
        return None
    try:
        text = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
    except OSError as error:
        raise StorageFailed(error) from None
    lines = {line.strip() for line in text.splitlines()}
    if lines & {_IGNORED, f"/{_IGNORED}", "runs", "/runs"}:
        return None
    return f"{_IGNORED}\n" if not text or text.endswith("\n") else f"\n{_IGNORED}\n"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageFailed(error) from None


def _append(path: Path, text: str) -> None:
    try:
        with open(
            os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "a"
        ) as file:
            file.write(text)
    except OSError as error:
        raise StorageFailed(error) from None
