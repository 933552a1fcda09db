"""The confinement of one run: its level, proved at the start, and the commands that are started in it."""

from __future__ import annotations

import json
import os
import select
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs

from tek_abi import TekError
from tek_effects_proc.confinement import Confinement, confinement
from tek_effects_proc.layout import Bind, Ground, Layout
from tek_effects_proc.marked import Marked
from tek_effects_proc.spawn import Confined, NotConfined, Spawner
from tek_kernel.effect import Held

LEVELS: Final = ("root-idmap", "userns")
"""The levels of CONFINEMENT that this version has, strongest first."""

_SCRATCH_BYTES = 1 << 30
_PROCESSES = 1024
_FILES = 4096
_TEST_SECONDS = 20.0


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

    def start(self, ground: Ground, layout: Layout, command: Command) -> Confined:
        """Start a command in a root of its own. Raises ``NotConfined``."""
        return self._spawner.start(_request(ground, layout, command))

    def close(self) -> None:
        """End the spawner and whatever it still runs."""
        self._spawner.close()


@attrs.frozen
class Command:
    """What to execute: absolute program and directory, and the bounds of its reservation in ms and bytes."""

    program: str
    argv: tuple[str, ...]
    environment: Mapping[bytes, bytes]
    cwd: str
    io: int


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
        "network": False,
        "rlimits": _rlimits(command.io),
        "root": {
            "binds": [attrs.astuple(bind) for bind in layout.binds],
            "links": layout.links,
            "scratch": layout.scratch,
            "scratch_bytes": min(command.io, _SCRATCH_BYTES),
            "home": ground.home,
            "cwd": command.cwd,
        },
    }


def _rlimits(io: int) -> list[tuple[str, int]]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [("CORE", 0), ("NPROC", _PROCESSES), ("NOFILE", _FILES), ("DATA", memory), ("FSIZE", io)]


def open_sandbox(choice: str = "auto", python: str | None = None) -> Sandbox:
    """Return the level asked for, or the strongest, once its self-test has passed.

    Raises ``SandboxUnavailable``. ``python`` runs the spawner, this interpreter unless another is named.
    """
    reasons: list[tuple[str, str]] = []
    for level in LEVELS if choice == "auto" else (choice,):
        reason = _unfit(level)
        if reason is None:
            spawner = Spawner() if python is None else Spawner(python)
            sandbox = Sandbox(level, spawner)
            reason = self_test(sandbox)
            if reason is None:
                return sandbox
            sandbox.close()
        reasons.append((level, reason))
    raise SandboxUnavailable(tuple(reasons))


def _unfit(level: str) -> str | None:
    is_root = os.getuid() == 0
    if level == "root-idmap" and not is_root:
        return "it is for root, and the runner is not"
    if level == "userns" and is_root:
        return "it is for ordinary users: root would keep its own files' rights"
    return None


def self_test(sandbox: Sandbox) -> str | None:
    """Return why a level does not hold here, ``None`` if it does: controls work, and no way out is open."""
    world = tempfile.mkdtemp(prefix="tek-")
    try:
        return _test_in(sandbox, world)
    except NotConfined as error:
        return str(error)
    except OSError as error:
        return f"the self-test cannot be set up: {error}"
    finally:
        shutil.rmtree(world, ignore_errors=True)


def _test_in(sandbox: Sandbox, world: str) -> str | None:
    inside = os.path.join(world, "inside")
    sealed = os.path.join(inside, "sealed")
    os.makedirs(sealed)
    for path in (os.path.join(inside, "readable"), os.path.join(world, "secret")):
        with open(path, "wb") as file:
            file.write(b"x")
    ground = Ground(inside, "")
    binds = (Bind(inside, read=True, write=True), Bind(sealed, read=True, write=False))
    layout = Layout(binds, (), ("/dev/shm",), Marked())  # noqa: S108  # the command's own
    request = _request(ground, layout, Command("", (), {}, inside, 1 << 20))
    request["probe"] = {
        "readable": os.path.join(inside, "readable"),
        "writable": inside,
        "sealed": sealed,
        "secret": os.path.join(world, "secret"),
        "runner": os.getpid(),
    }
    child = sandbox._spawner.start(request)
    try:
        ended, _, _ = select.select([child.pidfd], [], [], _TEST_SECONDS)
        usage = child.reap()
        if not ended or usage.code != 0:
            return "the self-test did not end" if not ended else "the self-test failed"
        return _verdict(_all_of(child.stdout))
    finally:
        child.close()


def _all_of(fd: int) -> bytes:
    pieces: list[bytes] = []
    while piece := os.read(fd, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def _verdict(answer: bytes) -> str | None:
    found: dict[str, Sequence[str]] = json.loads(answer)
    if found["missing"]:
        return f"what must work does not: {', '.join(found['missing'])}"
    if found["open"]:
        return f"a confined process could {', '.join(found['open'])}"
    return None
