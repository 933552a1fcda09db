"""The self-test of a level: a confined process tries to get out, in a world made for it.

``spawner.probe`` is what it tries. It runs in the place of a command; where a program of another project makes the
confinement, it is a command, a Python that is put into its root.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tek_effects_proc.layout import Bind, Layout
from tek_effects_proc.levels import UNPROMISED
from tek_effects_proc.marked import Marked
from tek_effects_proc.spawn import BOOT, HERE, Confined, NotConfined

_SECONDS = 20.0
_OWN = "/dev/shm"  # noqa: S108  # the command's own
_PROBE = (
    BOOT + "import json; from tek_effects_proc.spawner.probe import attempt_all; attempt_all(json.loads(sys.argv[2]))"
)
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache")

Start = Callable[[Layout, str, tuple[str, ...], dict[str, Any]], Confined]
"""Starts a program with its words, in the first directory of a layout; the rest is added to the request."""


def self_test(level: str, start: Start, python: str) -> str | None:
    """Return why a level does not hold here, ``None`` if it does: controls work, and no way out is open."""
    world = os.path.realpath(tempfile.mkdtemp(prefix="tek-"))
    try:
        return _test_in(level, start, python, world)
    except NotConfined as error:
        return str(error)
    except OSError as error:
        return f"the self-test cannot be set up: {error}"
    finally:
        shutil.rmtree(world, ignore_errors=True)


def _test_in(level: str, start: Start, python: str, world: str) -> str | None:
    inside, closed = (os.path.join(world, name) for name in ("inside", "closed"))
    sealed = os.path.join(inside if level in ("root-idmap", "userns") else closed, "sealed")
    os.makedirs(inside)
    os.makedirs(sealed)
    for path in (os.path.join(inside, "readable"), os.path.join(world, "secret")):
        with open(path, "wb") as file:
            file.write(b"x")
    tried = {
        "readable": os.path.join(inside, "readable"), "writable": inside, "sealed": sealed,
        "secret": os.path.join(world, "secret"), "runner": os.getpid(), "own": _OWN,
        "unpromised": UNPROMISED.get(level, ()),
    }  # fmt: skip
    binds = (Bind(inside, read=True, write=True), Bind(sealed, read=True, write=False))
    if level == "bwrap":
        python = os.path.realpath(python)  # its own name may stand where the command has a directory of its own
        machine, links = _machine(python)
        layout = Layout((*binds, *machine), links, (_OWN,), Marked())
        words = (python, "-I", "-S", "-c", _PROBE, str(HERE), json.dumps(tried))
        child = start(layout, python, words, {})
    else:
        child = start(Layout(binds, (), (_OWN,), Marked()), "", (), {"probe": tried})
    try:
        ended, _, _ = select.select([child.pidfd], [], [], _SECONDS)
        usage = child.reap()
        if not ended or usage.code != 0:
            return "the self-test did not end" if not ended else f"the self-test failed{_last_line(child.stderr)}"
        return _verdict(_all_of(child.stdout))
    finally:
        child.close()


def _machine(python: str) -> tuple[tuple[Bind, ...], tuple[tuple[str, str], ...]]:
    """Return what an interpreter needs: the system's libraries, its own, and this package."""
    home = str(Path(os.path.realpath(python)).parent.parent)
    paths = dict.fromkeys(path for path in (*_SYSTEM, home, sys.base_prefix, str(HERE)) if os.path.exists(path))
    links = tuple((path, os.readlink(path)) for path in paths if os.path.islink(path))
    real = [path for path in paths if not os.path.islink(path)]
    needed = [path for path in real if not any(path.startswith(other + "/") for other in real)]
    return tuple(Bind(path, read=True, write=False) for path in needed), links


def _all_of(fd: int) -> bytes:
    """Return what stands in a pipe whose writers have ended; the spawner may still hold its own copy of their end."""
    pieces: list[bytes] = []
    with suppress(BlockingIOError):
        while piece := os.read(fd, 65536):
            pieces.append(piece)
    return b"".join(pieces)


def _last_line(fd: int) -> str:
    lines = _all_of(fd).decode(errors="replace").splitlines()
    return f": {lines[-1]}" if lines else ""


def _verdict(answer: bytes) -> str | None:
    found: dict[str, Sequence[str]] = json.loads(answer)
    if found["missing"]:
        return f"what must work does not: {', '.join(found['missing'])}"
    if found["open"]:
        return f"a confined process could {', '.join(found['open'])}"
    return None
