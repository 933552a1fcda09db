"""A workspace in which commands run for real, and a broker's part in miniature."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tek_abi import Access, BlobStore, Budget, MemoryBlobs
from tek_abi.vocabulary.proc import Exec, Exit
from tek_effects_proc import process_effects
from tek_kernel.effect import Applied, Cancel, Context, EffectError

PLENTY = Budget(ms=20_000, io=1 << 30)
OPERATOR = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/op",
    "LC_ALL": "C.UTF-8",
    "API_KEY": "not for children",
}


class Commands:
    """Runs commands in ``workspace`` as an operator with ``environ`` would let them."""

    def __init__(self, workspace: Path, environ: Mapping[str, str] = OPERATOR, blobs: BlobStore | None = None) -> None:
        self.workspace = workspace
        self.blobs = blobs or MemoryBlobs()
        (self.effect,) = process_effects(workspace, environ)
        self.secrets: dict[str, str] = {}

    def apply(
        self,
        request: Exec,
        limits: Budget = PLENTY,
        cancel: Cancel | None = None,
        covers: Callable[[Access], bool] = lambda access: False,
    ) -> Applied:
        self.effect.accesses(request)
        context = Context(limits, (), cancel or Cancel(), self.blobs, "key", covers, secret=self.secrets.get)
        return self.effect.apply(request, context)

    def run(self, *argv: str, limits: Budget = PLENTY, **more: Any) -> Exit:
        exit_: Exit = self.apply(Exec(argv, **more), limits).value
        return exit_

    def sh(self, script: str, limits: Budget = PLENTY, **more: Any) -> Exit:
        return self.run("sh", "-eu", "-c", script, limits=limits, **more)

    def script(self, name: str, text: str, mode: int = 0o755) -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


def observed(what: Applied | EffectError) -> dict[str, Any]:
    assert isinstance(what.obs, dict)
    return what.obs


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie that init has not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children() -> set[str]:
    """Return the processes that this one has started and not reaped."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
