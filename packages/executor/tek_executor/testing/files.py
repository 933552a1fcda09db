"""A tree of files in memory, with the errors of the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from tek_abi import Value, sha256_hex
from tek_abi.pattern import SYSTEM, WORKSPACE, canonical_path, match_path
from tek_abi.permit import show_path
from tek_abi.vocabulary import fs
from tek_kernel import EffectError

_MODE = 0o644


class Files:
    """A tree of files, by the paths that agents use. A directory is there once it holds something or was made.

    Thread-safe; symlinks, modes and other users are left to the tests of the real effects.
    """

    def __init__(self, contents: Mapping[str, bytes | str] | None = None) -> None:
        self.lock = threading.RLock()
        self._files: dict[str, bytes] = {}
        self._made = {WORKSPACE, SYSTEM}
        for path, data in (contents or {}).items():
            self[path] = data.encode() if isinstance(data, str) else data

    def __setitem__(self, path: str, data: bytes) -> None:
        with self.lock:
            canonical = canonical_path(path)
            self._files[canonical] = data
            self._make(canonical.rpartition("/")[0])

    def __getitem__(self, path: str) -> bytes:
        return self._files[canonical_path(path)]

    def __contains__(self, path: str) -> bool:
        return canonical_path(path) in self._files

    def shown(self) -> dict[str, bytes]:
        """Return every file by its path as people write it, sorted."""
        with self.lock:
            return {show_path(path): self._files[path] for path in sorted(self._files)}

    def _make(self, directory: str) -> None:
        while directory:
            self._made.add(directory)
            directory = directory.rpartition("/")[0]

    def _kind(self, path: str) -> str:
        return "file" if path in self._files else "directory" if path in self._made else ""

    def _beneath(self, directory: str) -> Iterator[str]:
        yield from (path for path in (*self._files, *self._made) if path.startswith(f"{directory}/"))

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises ``EffectError`` as the real effect does."""
        canonical = self._require(path)
        if canonical not in self._files:
            raise EffectError("wrong-kind", f"{path}: is a directory, not a regular file; name a file")
        return self._files[canonical]

    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file."""
        canonical = canonical_path(path)
        if canonical in self._made:
            raise EffectError("wrong-kind", f"{path}: is a directory, not a regular file; name a file")
        self._parent(path)
        self._files[canonical] = data

    def append(self, path: str, data: bytes) -> None:
        """Add to a file's end, or create it."""
        self.write(path, self._files.get(canonical_path(path), b"") + data)

    def entries(self, path: str) -> tuple[fs.Entry, ...]:
        """Return the names in a directory."""
        canonical = self._require(path)
        if canonical not in self._made:
            raise _not_a_directory(path)
        inside = {one for one in self._beneath(canonical) if "/" not in one[len(canonical) + 1 :]}
        return tuple(
            fs.Entry(one.rpartition("/")[2], "file", len(self._files[one]))
            if one in self._files
            else fs.Entry(one.rpartition("/")[2], "directory")
            for one in sorted(inside)
        )

    def find(self, pattern: str) -> list[str]:
        """Return the canonical paths that match a canonical pattern."""
        there = sorted({*self._files, *self._made})
        return [path for path in there if match_path(pattern, path)]

    def stat(self, path: str) -> fs.Status:
        """Return what a path is."""
        canonical = self._require(path)
        if canonical in self._files:
            return fs.Status("file", len(self._files[canonical]), _MODE)
        return fs.Status("directory", 0, 0o755)

    def identity(self, path: str) -> Value:
        """Return what tells a later look whether a name still has what it had; null for nothing."""
        with self.lock:
            canonical = canonical_path(path)
            kind = self._kind(canonical)
            return {"kind": kind, "data": sha256_hex(self._files.get(canonical, b""))} if kind else None

    def make(self, path: str) -> None:
        """Make a directory and its parents."""
        canonical = canonical_path(path)
        if canonical in self._files:
            raise _not_a_directory(path)
        self._through_directories(path, canonical)
        self._make(canonical)

    def remove(self, path: str) -> None:
        """Remove a file or an empty directory."""
        canonical = self._require(path)
        if canonical in self._files:
            del self._files[canonical]
        elif any(self._beneath(canonical)):
            raise EffectError("exists", f"{path}: is a directory that is not empty; remove what it holds first")
        else:
            self._made.discard(canonical)

    def copy(self, source: str, target: str) -> bytes:
        """Write a file's bytes to another one, and return them."""
        data = self.read(source)
        if canonical_path(source) == canonical_path(target):
            raise _same(source, target)
        self.write(target, data)
        return data

    def rename(self, source: str, target: str) -> None:
        """Move a name and all beneath it, replacing a file by a file and an empty directory by a directory."""
        self._parent(source)
        self._parent(target)
        old, new = self._require(source), canonical_path(target)
        if new == old:
            raise _same(source, target)
        if new.startswith(f"{old}/"):
            raise EffectError("bad-request", f"{target}: cannot be used in this way: it is in {source}")
        if self._kind(new) not in ("", self._kind(old)):
            raise EffectError("wrong-kind", f"{target}: is another kind of thing than {source}")
        if any(self._beneath(new)):
            raise EffectError("exists", f"{target}: is a directory that is not empty; remove what it holds first")
        for path in [path for path in (old, *self._beneath(old)) if path in self._files]:
            self._files[new + path[len(old) :]] = self._files.pop(path)
        for path in [path for path in (old, *self._beneath(old)) if path in self._made]:
            self._made.discard(path)
            self._made.add(new + path[len(old) :])

    def _parent(self, path: str) -> None:
        """Raise ``EffectError`` unless the directory that holds a path is there."""
        if self._require(path, canonical_path(path).rpartition("/")[0]) in self._files:
            raise _not_a_directory(path)

    def _require(self, path: str, canonical: str = "") -> str:
        canonical = canonical or canonical_path(path)
        self._through_directories(path, canonical)
        if not self._kind(canonical):
            raise EffectError("not-found", f"{path}: is not there; make it first, or correct the name")
        return canonical

    def _through_directories(self, path: str, canonical: str) -> None:
        above = canonical.rpartition("/")[0]
        while above:
            if above in self._files:
                raise _not_a_directory(path)
            above = above.rpartition("/")[0]


def _not_a_directory(path: str) -> EffectError:
    return EffectError("wrong-kind", f"{path}: is not a directory, or goes through something that is none")


def _same(source: str, target: str) -> EffectError:
    return EffectError("exists", f"{target}: is {source} already; remove one of the two names")
