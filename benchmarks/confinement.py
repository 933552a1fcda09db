"""What it costs to confine ``true``: beside a bare start and beside bwrap with the same root, in one run.

Rounds of each kind take turns, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import select
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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


def latency(kinds: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the median of each kind in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, start in kinds.items():
            since = time.perf_counter()
            start()
            times[name].append((time.perf_counter() - since) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def rate(start: Callable[[], None], count: int, threads: int) -> float:
    """Return how many are started in a second."""
    with ThreadPoolExecutor(threads) as pool:
        since = time.perf_counter()
        list(pool.map(lambda _: start(), range(count)))
        return count / (time.perf_counter() - since)


def main() -> None:
    """Print medians, ratios and rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    sandbox = open_sandbox()
    with tempfile.TemporaryDirectory() as workspace:
        ground = Ground(workspace, "/home/nobody")
        layout = ground.layout(confined_to(held()))
        kinds: dict[str, Callable[[], None]] = {"bare": bare, f"tek {sandbox.level}": lambda: confined(sandbox, ground)}
        if shutil.which("bwrap"):
            kinds["bwrap"] = lambda: bwrap(layout)
        medians = latency(kinds, options.rounds)
        for name, start in kinds.items():
            rates = [max(rate(start, options.rounds, threads) for _ in range(3)) for threads in (1, 4)]
            print(
                f"{name:<16} {medians[name]:6.2f} ms p50  {medians[name] / medians['bare']:5.1f} x bare  "
                f"{rates[0]:6.0f}/s on 1 thread  {rates[1]:6.0f}/s on 4"
            )
    sandbox.close()


if __name__ == "__main__":
    main()
