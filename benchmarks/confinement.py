"""What it costs to confine ``true``: beside a bare start and beside bwrap with the same root, in one run.

Rounds of each kind take turns, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.harness import Comparison, Figure, Options, command, interleave, scratch
from tek_abi import Policy
from tek_abi.policy import PROTECTED
from tek_effects_proc import open_sandbox
from tek_effects_proc.layout import Ground, Layout
from tek_effects_proc.sandbox import Command, Sandbox, confined_to
from tek_kernel.effect import Held

_TRUE = shutil.which("true") or "/usr/bin/true"


def held() -> Held:
    """Return what the preset workspace-write holds."""
    permits = Policy().permits
    reads, writes = (tuple(p for p in permits if p.action == (action,)) for action in ("fs.read", "fs.write"))
    return Held(reads, writes, (), PROTECTED)


def bare() -> None:
    """Start ``true`` as any program would."""
    subprocess.run([_TRUE], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def confined(sandbox: Sandbox, ground: Ground) -> None:
    """Start ``true`` as proc.exec does, from the permits to its end."""
    layout = ground.layout(confined_to(held()))
    child = sandbox.start(ground, layout, Command(_TRUE, ("true",), {}, ground.workspace, 1 << 30))
    try:
        select.select([child.pidfd], [], [])
        usage = child.reap()
        assert usage.code == 0, usage
    finally:
        child.close()


def bwrap(layout: Layout) -> None:
    """Start ``true`` in bwrap with the same binds."""
    words = ["bwrap", "--unshare-all", "--cap-drop", "ALL", "--new-session", "--die-with-parent"]
    words += ["--uid", "1000", "--gid", "1000", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # inside
    for link, text in layout.links:
        words += ["--symlink", text, link]
    for bind in layout.binds:
        words += ["--bind" if bind.write else "--ro-bind", bind.path, bind.path]
    subprocess.run([*words, _TRUE], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def took(start: Callable[[], None]) -> float:
    """Return how many milliseconds one start takes."""
    since = time.perf_counter()
    start()
    return (time.perf_counter() - since) * 1000


def rate(start: Callable[[], None], count: int, threads: int) -> float:
    """Return how many are started in a second."""
    with ThreadPoolExecutor(threads) as pool:
        since = time.perf_counter()
        list(pool.map(lambda _: start(), range(count)))
        return count / (time.perf_counter() - since)


def compare(options: Options) -> Comparison:
    count = 40 if options.quick else options.size
    sandbox = open_sandbox()
    try:
        with scratch() as workspace:
            ground = Ground(str(workspace), "/home/nobody")
            layout = ground.layout(confined_to(held()))
            kinds = {"bare": bare, f"tek {sandbox.level}": lambda: confined(sandbox, ground)}
            if shutil.which("bwrap"):
                kinds["bwrap"] = lambda: bwrap(layout)
            latency = interleave({name: partial(took, start) for name, start in kinds.items()}, count)
            rates = {
                threads: interleave(
                    {name: partial(rate, start, count, threads) for name, start in kinds.items()}, options.rounds
                )
                for threads in (1, 4)
            }
    finally:
        sandbox.close()
    found = [Figure(name, "ms", tuple(values), _base(name)) for name, values in latency.items()]
    for threads, of_kind in rates.items():
        on = f"{threads} thread{'s' * (threads > 1)}: "
        found += [
            Figure(f"{on}{name}", "starts/s", tuple(values), f"{on}bare" if _base(name) else "")
            for name, values in of_kind.items()
        ]
    return Comparison("What confinement costs `true`", tuple(found))


def _base(name: str) -> str:
    return "" if name == "bare" else "bare"


if __name__ == "__main__":
    command(__doc__, compare, rounds=3, size=200, unit="starts a round")
