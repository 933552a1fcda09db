"""Reading what a user hands over: every file that is named on the command line comes in through here."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import attrs

from tek_abi import ExecutionPlan, InvalidInput, TekError

MAX_INPUT = 256 * 2**20
"""Bytes of the largest file that is read whole."""


@attrs.define(str=False)
class UnreadableInput(TekError, OSError):
    """A file cannot be read. ``path`` is as the user wrote it, ``problem`` what to do."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def read_input(path: str | Path, what: str) -> bytes:
    """Return the bytes of a regular file of at most ``MAX_INPUT``. Raises ``UnreadableInput``."""
    name = str(path)
    with open_input(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_INPUT:
            raise UnreadableInput(name, f"has {size} bytes; a {what} has at most {MAX_INPUT}")
        try:
            return file.read(MAX_INPUT + 1)
        except OSError as error:
            raise UnreadableInput(name, f"the {what} cannot be read: {_reason(error)}") from None


def open_input(path: str | Path, what: str) -> BinaryIO:
    """Open a regular file. Raises ``UnreadableInput``; never blocks on a FIFO or a device."""
    name = str(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise UnreadableInput(name, f"there is no such {what}") from None
    except (OSError, ValueError) as error:
        raise UnreadableInput(name, f"the {what} cannot be read: {_reason(error)}") from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        directory = stat.S_ISDIR(mode)
        problem = (
            f"is a directory; name the {what} itself" if directory else f"is not a regular file, so it is no {what}"
        )
        raise UnreadableInput(name, problem)
    return open(fd, "rb")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


@attrs.frozen
class Source:
    """A plan with where it came from. ``workspace`` is the directory that its tasks work in."""

    path: Path
    plan: ExecutionPlan
    workspace: Path
    is_json: bool
    warnings: tuple[str, ...] = ()


def load_source(path: Path, generated_at: str, workspace: Path | None = None) -> Source:
    """Read a source of truth or a ``plan.json``. Raises ``UnreadableInput`` or ``InvalidInput``."""
    from tek_planner import plan_bytes, plan_from_json

    if path.is_dir():
        path = path / "sot.md"
    if path.suffix == ".json":
        plan = plan_from_json(read_input(path, "plan"), str(path))
        return Source(path, plan, workspace or _workspace_of(plan, path), True)
    data = read_input(path, "source of truth")
    planned = plan_bytes(data, str(path), source=os.path.relpath(path), generated_at=generated_at)
    if planned.plan is None:
        raise InvalidInput.of(planned.diagnostics)
    warnings = tuple(warning.render() for warning in planned.warnings)
    return Source(path, planned.plan, workspace or path.resolve().parent, False, warnings)


def _workspace_of(plan: ExecutionPlan, path: Path) -> Path:
    """Return the directory of the file that a plan was made from, where that is near; else the plan's own.

    ``source`` is only followed to a directory that holds the plan or the caller: a plan cannot send its tasks off.
    """
    here, home = Path.cwd(), path.resolve().parent
    for base in (here, home):
        source = (base / plan.source).resolve() if plan.source else home
        if plan.source and source.is_file() and any(near.is_relative_to(source.parent) for near in (here, home)):
            return source.parent
    return home
