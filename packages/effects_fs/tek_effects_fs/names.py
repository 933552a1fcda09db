"""Making directories, removing names, moving them: what changes directories and no file's contents."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import ClassVar

from tek_abi import Access, Value
from tek_abi.vocabulary import fs
from tek_effects_fs.beneath import Claim, Place, Roots, open_inside
from tek_effects_fs.file_effect import FileEffect, about, identity, name_length, require_two_files
from tek_effects_fs.meter import Meter
from tek_kernel.effect import Applied, Context, EffectError, SideEffect

MAX_MOVED = 10_000
"""How many names a directory that is moved may hold, at every depth."""

_DIRECTORY_PATH = os.O_PATH | os.O_DIRECTORY
_MAX_STEPS = 8192


class MakeDirectory(FileEffect[fs.Mkdir]):
    """``fs.mkdir``: a directory and its missing parents, each of which must be granted."""

    request = fs.Mkdir
    family: ClassVar[str] = "fs.write"
    again = SideEffect.IDEMPOTENT

    def _apply(self, request: fs.Mkdir, context: Context, meter: Meter) -> Applied:
        claim = self._claim(request, context)
        missing = [] if _is_directory(self._roots, claim) else [claim.resource]
        for _ in range(_MAX_STEPS):
            if not missing:
                return Applied(None)
            meter.check()
            try:
                _make(self._roots, claim, missing[-1])
                missing.pop()
            except FileNotFoundError:
                missing.append(missing[-1].rpartition("/")[0])
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), request.path)


def _is_directory(roots: Roots, claim: Claim) -> bool:
    try:
        with roots.find(claim, _DIRECTORY_PATH):
            return True
    except FileNotFoundError:
        return False


def _make(roots: Roots, claim: Claim, resource: str) -> None:
    """Make one directory. Raises ``FileNotFoundError`` where its parent is missing."""
    with roots.place(claim, resource) as place:
        try:
            os.mkdir(place.name, dir_fd=place.directory)
        except FileExistsError:
            status = place.status()
            if status is not None and not stat.S_ISDIR(status.st_mode):
                raise
        os.fsync(place.directory)


class Remove(FileEffect[fs.Remove]):
    """``fs.remove``: a file, a symlink itself, or an empty directory."""

    request = fs.Remove
    family: ClassVar[str] = "fs.write"
    again = SideEffect.PROBE

    def before(self, request: fs.Remove) -> Value:
        """Record what has the name, null for nothing."""
        return {"path": _seen(self._roots, self._access(self.family, request.path), request.path)}

    def happened(self, request: fs.Remove, baseline: Value) -> bool | None:
        """Compare with what had the name before."""
        now = self.before(request)
        if now == baseline:
            return False
        return True if now == {"path": None} else None

    def presumed(self, request: fs.Remove) -> None:
        """Removing answers nothing."""

    def _apply(self, request: fs.Remove, context: Context, meter: Meter) -> Applied:
        with self._roots.place(self._claim(request, context)) as place:
            status = place.status()
            if status is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), request.path)
            remove = os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink
            remove(place.name, dir_fd=place.directory)
            os.fsync(place.directory)
        return Applied(None)


class Rename(FileEffect[fs.Rename]):
    """``fs.rename``: move a name, and all beneath it. Needs both rights at the source, writing at the target."""

    request = fs.Rename
    again = SideEffect.PROBE

    def accesses(self, request: fs.Rename) -> tuple[Access, ...]:
        """Name the accesses: to read and to write the source, to write the target."""
        return (
            self._access("fs.read", request.source),
            self._access("fs.write", request.source),
            self._access("fs.write", request.target),
        )

    def before(self, request: fs.Rename) -> Value:
        """Record what has either name, null for nothing."""
        _, source, target = self.accesses(request)
        return {
            "source": _seen(self._roots, source, request.source),
            "target": _seen(self._roots, target, request.target),
        }

    def happened(self, request: fs.Rename, baseline: Value) -> bool | None:
        """Compare with what had the two names before."""
        now = self.before(request)
        if now == baseline:
            return False
        moved = {"source": None, "target": baseline["source"]} if isinstance(baseline, dict) else None
        return True if now == moved else None

    def presumed(self, request: fs.Rename) -> None:
        """Renaming answers nothing."""

    def _path(self, request: fs.Rename) -> str:
        return f"{request.source} -> {request.target}"

    def _apply(self, request: fs.Rename, context: Context, meter: Meter) -> Applied:
        accesses, permits = self.accesses(request), context.permits
        source_claim = Claim(request.source, accesses[:2], permits[:2], context.covers)
        target_claim = Claim(request.target, accesses[2:], permits[2:], context.covers)
        with self._roots.place(source_claim) as source, self._roots.place(target_claim) as target:
            with about(request.source, meter):
                status = os.stat(source.name, dir_fd=source.directory, follow_symlinks=False)
            # rename(2) would keep two names of one file and report success.
            require_two_files(status, target, request.source, request.target)
            if stat.S_ISDIR(status.st_mode):
                for inner in _beneath(source, request.source, meter):
                    source_claim.check(self._roots.within(source.resource, inner, request.source))
                    target_claim.check(self._roots.within(target.resource, inner, request.target))
            _move(source, target, self._path(request))
        return Applied(None)


def _seen(roots: Roots, access: Access, path: str) -> Value:
    """Look at a name for the intent. No permit is asked: the ledger alone gets to see it."""
    claim = Claim(path, (access,), (), lambda access: True)
    try:
        with roots.place(claim) as place:
            return identity(place)
    except FileNotFoundError:
        return None


def _beneath(place: Place, path: str, meter: Meter) -> Iterator[str]:
    """Yield the relative path of everything in a directory, at every depth, following no symlink."""
    pending, count = [place.name], 0
    while pending:
        meter.check()
        parent = pending.pop()
        directory = open_inside(place.directory, parent)
        try:
            with os.scandir(directory) as names:
                for item in names:
                    count += 1
                    if count > MAX_MOVED:
                        raise EffectError("unsupported", f"{path}: holds over {MAX_MOVED:,} names; move its parts")
                    name_length(item.name, path)
                    inner = f"{parent}/{item.name}"
                    if item.is_dir(follow_symlinks=False):
                        pending.append(inner)
                    yield inner.removeprefix(f"{place.name}/")
        finally:
            os.close(directory)


def _move(source: Place, target: Place, path: str) -> None:
    try:
        os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
    except OSError as error:
        if error.errno == errno.EXDEV:
            message = f"{path}: they are on two file systems; write the target and remove the source"
            raise EffectError("unsupported", message) from None
        raise
    os.fsync(target.directory)
    os.fsync(source.directory)
