"""A workspace with the file effects, and a broker's part in miniature: decide, then apply."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tek_abi import Access, Blob, Budget, MemoryBlobs, Permit, Subject
from tek_abi.vocabulary import fs
from tek_effects_fs import file_effects
from tek_kernel.effect import Applied, Cancel, Context, Effect

SUBJECT = Subject("TASK-001", "shell")
PLENTY = Budget(ms=60_000, io=1 << 40)
AT = "2026-01-01T00:00:00.000000Z"


def permit(action: str, resource: str, *exclude: str, **more: Any) -> Permit:
    return Permit((action,), (resource,), exclude=exclude, rule=f"{action}:{resource}", **more)


WORKSPACE_WRITE = (
    permit("fs.read", "$WORKSPACE/**", "$WORKSPACE/secret/**"),
    permit("fs.write", "$WORKSPACE/**", "$WORKSPACE/**/.git/**", "$WORKSPACE/secret/**"),
)
EVERYTHING = tuple(
    permit(f"fs.{right}", f"{root}/**") for right in ("read", "write") for root in ("$WORKSPACE", "$SYSTEM")
)


class NotGranted(Exception):
    """No permit covers what the request itself names: the effect is never applied."""


class Workbench:
    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.blobs = MemoryBlobs()
        self.effects: dict[type[Any], Effect[Any]] = {effect.request: effect for effect in file_effects(workspace)}

    def ask(
        self,
        request: Any,
        permits: tuple[Permit, ...] = WORKSPACE_WRITE,
        limits: Budget = PLENTY,
        cancel: Cancel | None = None,
    ) -> Applied:
        def covering(access: Access) -> Permit | None:
            return next((p for p in permits if p.mismatch(access, SUBJECT, AT) is None), None)

        effect = self.effects[type(request)]
        granted = tuple(covering(access) for access in effect.accesses(request))
        if None in granted:
            raise NotGranted(request)
        context = Context(
            limits=limits,
            permits=tuple(p for p in granted if p is not None),
            cancel=cancel or Cancel(),
            blobs=self.blobs,
            key="key",
            covers=lambda access: covering(access) is not None,
        )
        return effect.apply(request, context)

    def read(self, path: str, **more: Any) -> bytes:
        blob = self.ask(fs.Read(path), **more).value
        assert isinstance(blob, Blob)
        return blob.read()

    def write(self, path: str, data: bytes, mode: int | None = None, **more: Any) -> Applied:
        return self.ask(fs.Write(path, Blob.of(data), mode), **more)

    def append(self, path: str, data: bytes, **more: Any) -> Applied:
        return self.ask(fs.Append(path, Blob.of(data)), **more)

    def names(self, path: str = ".", **more: Any) -> list[str]:
        return [entry.name for entry in self.ask(fs.List(path), **more).value]


@contextmanager
def resolution(way: str) -> Iterator[None]:
    """Resolve paths by ``openat2`` or, as on a system without it, by ``walk``."""
    module = importlib.import_module("tek_kernel.openat2")
    if way == "openat2" and not module.supported():
        pytest.skip("this system has no openat2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "supported", lambda: way == "openat2")
        yield


def open_descriptors() -> dict[str, str]:
    """What this process holds open, by descriptor."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found
