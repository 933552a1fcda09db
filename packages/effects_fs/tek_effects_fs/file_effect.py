"""What all file effects have in common: how a path becomes a claim, and a system's error an effect's."""

from __future__ import annotations

import os
import stat
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from tek_abi import Access, Budget, Limit, Request, TekError, Value
from tek_abi.vocabulary.fs import FileKind
from tek_effects_fs.beneath import Claim, Place, Roots
from tek_effects_fs.failure import IS_MISSING, failure
from tek_effects_fs.meter import Meter
from tek_kernel.effect import Applied, Context, Cost, Effect, EffectError, SideEffect

MOST_MS = 60_000
R = TypeVar("R", bound=Request[Any])


class FileEffect(Effect[R]):
    """An effect on one path, the request's ``path``.

    ``family`` is the right that it needs there, ``again`` what a second application would do.
    """

    family: ClassVar[str]
    again: ClassVar[SideEffect]
    is_missing: ClassVar[str] = IS_MISSING
    """What it means for the request that its path leads to nothing."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def side_effect(self, request: R) -> SideEffect:
        """Say what a second application would do: the same for every request of one effect."""
        return self.again

    def accesses(self, request: R) -> tuple[Access, ...]:
        """Name the one access to the request's path."""
        return (self._access(self.family, self._path(request), self._size(request)),)

    def cost(self, request: R) -> Cost:
        """Ask for time, and for exactly the bytes that the request brings."""
        size = self._size(request) or 0
        return Cost(Budget(ms=1, io=size), Limit(ms=MOST_MS, tokens=0, io=size))

    def apply(self, request: R, context: Context) -> Applied:
        """Do it. Raises as ``Effect.apply`` says, with what was used until then."""
        path = self._path(request)
        meter = Meter(context, path)
        meter.check()
        with about(path, meter, self.is_missing):
            return self._apply(request, context, meter)

    @abstractmethod
    def _apply(self, request: R, context: Context, meter: Meter) -> Applied:
        """Do it. An ``OSError`` that escapes is about the request's path."""

    def _path(self, request: R) -> str:
        """Return the path that the request and its errors are about, as the user wrote it."""
        path: str = request.path  # type: ignore[attr-defined]  # every fs request but Rename, which overrides this
        return path

    def _size(self, request: R) -> int | None:
        """Return how many bytes the request brings, ``None`` where only the outcome tells."""
        return None

    def _access(self, family: str, path: str, size: int | None = None) -> Access:
        return Access(self.request.effect, family, self._roots.resource(path), bytes=size)

    def _claim(self, request: R, context: Context) -> Claim:
        return Claim(self._path(request), self.accesses(request), context.permits, context.covers)


@contextmanager
def about(path: str, meter: Meter, is_missing: str = IS_MISSING) -> Iterator[None]:
    """Turn an ``OSError`` into the ``EffectError`` that it is to an agent that asked for ``path``."""
    try:
        yield
    except TekError:
        raise  # EffectRefused is an OSError too
    except OSError as error:
        raise failure(error, path, meter.usage, is_missing) from error


def kind_of(status: int) -> FileKind:
    """Return the kind of file that a mode (``st_mode``) tells."""
    if stat.S_ISREG(status):
        return "file"
    if stat.S_ISDIR(status):
        return "directory"
    return "symlink" if stat.S_ISLNK(status) else "other"


def size_of(status: Any) -> int:
    """Return the size of a regular file in bytes, 0 of anything else, which file systems count as they like."""
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def require_file(path: str, mode: int) -> None:
    """Raise ``EffectError`` unless a mode is a regular file's: a FIFO would block, a device would act."""
    if not stat.S_ISREG(mode):
        kind = "a FIFO, socket or device" if kind_of(mode) == "other" else f"a {kind_of(mode)}"
        raise EffectError("wrong-kind", f"{path}: is {kind}, not a regular file; name a file")


def require_two_files(source: os.stat_result, target: Place, source_path: str, target_path: str) -> None:
    """Raise ``EffectError`` for two names of one file: what goes from one to the other would go nowhere."""
    there = target.status()
    if there is not None and os.path.samestat(source, there):
        message = f"{target_path}: is {source_path} already; remove one of the two names"
        raise EffectError("exists", message)


def name_length(name: str, path: str) -> int:
    """Return a file name's length in bytes. Raises ``EffectError`` where it is not UTF-8; ``path`` holds it."""
    try:
        return len(name.encode("utf-8"))
    except UnicodeEncodeError:
        shown = os.fsencode(name)
        raise EffectError("unsupported", f"{path}: holds the name {shown!r}, which is not UTF-8; rename it") from None


def identity(place: Place) -> Value:
    """Return what tells a later look whether a name still has what it had. Inodes pass 2^53, so they are text."""
    status = place.status()
    if status is None:
        return None
    return {"kind": kind_of(status.st_mode), "size": size_of(status), "inode": f"{status.st_dev}:{status.st_ino}"}
