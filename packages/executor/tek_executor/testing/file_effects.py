"""The file effects over a tree in memory: same accesses, same classes of side effect, same errors, no disk."""

from __future__ import annotations

from typing import Any, ClassVar

from tek_abi import Access, Blob, Budget, BudgetExhausted, Limit, Value
from tek_abi.pattern import canonical_path, is_wild, path_pattern, static_prefix
from tek_abi.permit import show_path
from tek_abi.vocabulary import fs
from tek_executor.testing.files import Files
from tek_kernel import Applied, Context, Cost, Effect, EffectError, SideEffect


class _FileEffect(Effect[Any]):
    """An effect on the tree. ``rights`` pair each family that it needs with the field that names the path."""

    again: ClassVar[SideEffect] = SideEffect.READ
    rights: ClassVar[tuple[tuple[str, str], ...]] = (("fs.read", "path"),)

    def __init__(self, files: Files) -> None:
        self._files = files

    def side_effect(self, request: Any) -> SideEffect:
        return self.again

    def accesses(self, request: Any) -> tuple[Access, ...]:
        name, size = self.request.effect, _size(request)
        return tuple(
            Access(name, family, canonical_path(getattr(request, field)), bytes=size) for family, field in self.rights
        )

    def cost(self, request: Any) -> Cost:
        size = _size(request)
        return Cost(Budget(ms=1, io=size or 0), Limit(ms=60_000, tokens=0, io=size))

    def apply(self, request: Any, context: Context) -> Applied:
        with self._files.lock:
            answer, moved = self._do(request, context)
            return Applied(answer, Budget(io=moved))

    def _do(self, request: Any, context: Context) -> tuple[Any, int]:
        raise NotImplementedError


class Read(_FileEffect):
    """``fs.read``."""

    request = fs.Read

    def _do(self, request: fs.Read, context: Context) -> tuple[Any, int]:
        data = _within(self._files.read(request.path), context, request.path)
        return context.blobs.put(data), len(data)


class Hash(_FileEffect):
    """``fs.hash``."""

    request = fs.Hash

    def _do(self, request: fs.Hash, context: Context) -> tuple[Any, int]:
        blob = Blob.of(_within(self._files.read(request.path), context, request.path))
        return fs.Digest(blob.sha256, blob.size), blob.size


class List(_FileEffect):
    """``fs.list``."""

    request = fs.List

    def _do(self, request: fs.List, context: Context) -> tuple[Any, int]:
        entries = self._files.entries(request.path)
        return entries, sum(len(entry.name) for entry in entries)


class Glob(_FileEffect):
    """``fs.glob``: what the permits do not cover is left out, as from the real one."""

    request = fs.Glob

    def accesses(self, request: fs.Glob) -> tuple[Access, ...]:
        """Name the access to where the search begins."""
        return (Access("fs.glob", "fs.read", static_prefix(path_pattern(request.pattern))),)

    def _do(self, request: fs.Glob, context: Context) -> tuple[Any, int]:
        pattern = path_pattern(request.pattern)
        found = self._files.find(pattern)
        if is_wild(pattern):
            beneath = f"{static_prefix(pattern)}/"
            found = [path for path in found if path.startswith(beneath) and self._readable(path, context)]
        return tuple(map(show_path, found)), sum(map(len, found))

    def _readable(self, path: str, context: Context) -> bool:
        return context.covers(Access("fs.glob", "fs.read", path))


class Stat(_FileEffect):
    """``fs.stat``."""

    request = fs.Stat

    def _do(self, request: fs.Stat, context: Context) -> tuple[Any, int]:
        return self._files.stat(request.path), 0


class _Writing(_FileEffect):
    again: ClassVar[SideEffect] = SideEffect.IDEMPOTENT
    rights: ClassVar[tuple[tuple[str, str], ...]] = (("fs.write", "path"),)


class Write(_Writing):
    """``fs.write``."""

    request = fs.Write

    def _do(self, request: fs.Write, context: Context) -> tuple[Any, int]:
        self._files.write(request.path, request.data.read())
        return None, request.data.size


class Append(_Writing):
    """``fs.append``."""

    request = fs.Append
    again = SideEffect.ONCE

    def _do(self, request: fs.Append, context: Context) -> tuple[Any, int]:
        self._files.append(request.path, request.data.read())
        return None, request.data.size

    def presumed(self, request: fs.Append) -> None:
        """Appending answers nothing."""


class Mkdir(_Writing):
    """``fs.mkdir``."""

    request = fs.Mkdir

    def _do(self, request: fs.Mkdir, context: Context) -> tuple[Any, int]:
        self._files.make(request.path)
        return None, 0


class Remove(_Writing):
    """``fs.remove``."""

    request = fs.Remove
    again = SideEffect.PROBE

    def before(self, request: fs.Remove) -> Value:
        """Record what has the name, null for nothing."""
        return {"path": self._files.identity(request.path)}

    def happened(self, request: fs.Remove, baseline: Value) -> bool | None:
        """Compare with what had the name before."""
        now = self.before(request)
        return False if now == baseline else True if now == {"path": None} else None

    def presumed(self, request: fs.Remove) -> None:
        """Removing answers nothing."""

    def _do(self, request: fs.Remove, context: Context) -> tuple[Any, int]:
        self._files.remove(request.path)
        return None, 0


class Rename(_Writing):
    """``fs.rename``."""

    request = fs.Rename
    again = SideEffect.PROBE
    rights = (("fs.read", "source"), ("fs.write", "source"), ("fs.write", "target"))

    def before(self, request: fs.Rename) -> Value:
        """Record what has either name, null for nothing."""
        return {"source": self._files.identity(request.source), "target": self._files.identity(request.target)}

    def happened(self, request: fs.Rename, baseline: Value) -> bool | None:
        """Compare with what had the two names before."""
        now = self.before(request)
        moved = {"source": None, "target": baseline["source"]} if isinstance(baseline, dict) else None
        return False if now == baseline else True if now == moved else None

    def presumed(self, request: fs.Rename) -> None:
        """Renaming answers nothing."""

    def _do(self, request: fs.Rename, context: Context) -> tuple[Any, int]:
        self._files.rename(request.source, request.target)
        return None, 0


class Copy(_Writing):
    """``fs.copy``."""

    request = fs.Copy
    rights = (("fs.read", "source"), ("fs.write", "target"))

    def _do(self, request: fs.Copy, context: Context) -> tuple[Any, int]:
        _within(self._files.read(request.source), context, request.source)
        blob = Blob.of(self._files.copy(request.source, request.target))
        return fs.Digest(blob.sha256, blob.size), blob.size


def file_effects(files: Files) -> tuple[Effect[Any], ...]:
    """Return every file effect over one tree."""
    kinds = (Read, Hash, List, Glob, Stat, Write, Append, Mkdir, Remove, Rename, Copy)
    return tuple(kind(files) for kind in kinds)


def _size(request: Any) -> int | None:
    data = getattr(request, "data", None)
    return data.size if isinstance(data, Blob) else None


def _within(data: bytes, context: Context, path: str) -> bytes:
    limit = context.limits.io
    if len(data) > limit:
        message = f"{path}: takes {len(data)} bytes or more, {limit} are reserved; raise Budget io="
        raise EffectError("budget-exhausted", message, exhausted=BudgetExhausted("io", limit, 0, 0, len(data)))
    return data
