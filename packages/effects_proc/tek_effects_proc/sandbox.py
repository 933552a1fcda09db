"""The confinement of one run: its level, proved at the start, and the commands that are started in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from tek_abi import TekError
from tek_effects_proc.confinement import Confinement, confinement
from tek_effects_proc.layout import Ground, Layout
from tek_effects_proc.levels import AUTO, Bwrap, Unheld, find_bwrap, unfit, unheld
from tek_effects_proc.program import SEARCH
from tek_effects_proc.selftest import self_test
from tek_effects_proc.spawn import Confined, Spawner
from tek_kernel.effect import Held

_SCRATCH_BYTES = 1 << 30
_PROCESSES = 1024
_FILES = 4096


@attrs.define(str=False)
class SandboxUnavailable(TekError):
    """Commands cannot be confined here. ``reasons`` are pairs of a level and why it does not hold."""

    reasons: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        why = "; ".join(f"{level}: {reason}" for level, reason in self.reasons)
        return (
            f"commands cannot be confined on this machine ({why}). tek-runner doctor says what is missing; "
            "--sandbox=off runs them without confinement"
        )


@attrs.frozen
class Sandbox:
    """A level that holds, and the spawner that gives it."""

    level: str
    _spawner: Spawner
    _bwrap: Bwrap | None = None

    def start(self, ground: Ground, layout: Layout, command: Command, **more: Any) -> Confined:
        """Start a command in a root of its own; ``more`` is added to what the spawner is asked.

        Raises ``NotConfined``, and ``Unheld`` where the level cannot hold it to all that it is given.
        """
        request = {**_request(ground, layout, command), **more}
        reason = unheld(self.level, layout, bool(request["network"]), self._bwrap)
        if reason is not None:
            raise Unheld(self.level, reason)
        if self._bwrap is not None:
            request["bwrap"] = {"path": self._bwrap.path, "setuid": self._bwrap.is_setuid}
        return self._spawner.start(request)

    def close(self) -> None:
        """End the spawner and whatever it still runs."""
        self._spawner.close()


@attrs.frozen
class Command:
    """What to execute: absolute program and directory, the bytes that it may write to a file, and whether it finds a
    listener that leads out of its network namespace.
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[bytes, bytes]
    cwd: str
    io: int
    network: bool = False


@lru_cache(maxsize=256)
def confined_to(held: Held) -> Confinement:
    """Return ``confinement(held)``, which the tasks of a run share. Raises ``Unenforceable``."""
    return confinement(held)


def _request(ground: Ground, layout: Layout, command: Command) -> dict[str, Any]:
    owner = os.stat(ground.workspace)
    return {
        "program": command.program,
        "argv": list(command.argv),
        "env": [[os.fsdecode(name), os.fsdecode(value)] for name, value in command.environment.items()],
        "cwd": command.cwd,
        "owner": [owner.st_uid, owner.st_gid],
        "network": command.network,
        "rlimits": _rlimits(command.io),
        "scratch_bytes": min(command.io, _SCRATCH_BYTES),
        "root": {
            "binds": [attrs.astuple(bind) for bind in layout.binds],
            "links": layout.links,
            "scratch": layout.scratch,
            "home": ground.home,
            "cwd": command.cwd,
        },
    }


def _rlimits(io: int) -> list[tuple[str, int]]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [("CORE", 0), ("NPROC", _PROCESSES), ("NOFILE", _FILES), ("DATA", memory), ("FSIZE", io)]


def open_sandbox(choice: str = "auto", python: str | None = None, search: str = SEARCH) -> Sandbox:
    """Return the level asked for, or the strongest of ``AUTO``, once its self-test has passed.

    Raises ``SandboxUnavailable``. ``python`` runs the spawner, this interpreter unless another is named; bubblewrap is
    looked for in the directories of ``search`` alone.
    """
    reasons: list[tuple[str, str]] = []
    for level in AUTO if choice == "auto" else (choice,):
        opened = _open(level, python or sys.executable, search)
        if isinstance(opened, Sandbox):
            return opened
        reasons.append((level, opened))
    raise SandboxUnavailable(tuple(reasons))


def _open(level: str, python: str, search: str) -> Sandbox | str:
    reason = unfit(level)
    if reason is not None:
        return reason
    bwrap = find_bwrap(search) if level == "bwrap" else None
    if isinstance(bwrap, str):
        return bwrap
    sandbox = Sandbox(level, Spawner(level, python), bwrap)

    def start(layout: Layout, program: str, argv: tuple[str, ...], more: dict[str, Any]) -> Confined:
        inside = layout.binds[0].path
        return sandbox.start(Ground(inside, ""), layout, Command(program, argv, {}, inside, 1 << 20), **more)

    reason = self_test(level, start, python)
    if reason is None:
        return sandbox
    sandbox.close()
    return reason
