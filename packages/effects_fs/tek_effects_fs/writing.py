"""Writing files whole, and adding to their end."""

from __future__ import annotations

import errno
import os
import stat
from typing import ClassVar, TypeVar

from tek_abi import Access, Blob
from tek_abi.vocabulary import fs
from tek_effects_fs.atomic import replace, write_all
from tek_effects_fs.beneath import Place, reopen
from tek_effects_fs.failure import HOLDER_IS_MISSING
from tek_effects_fs.file_effect import FileEffect, require_file
from tek_effects_fs.meter import CHUNK, Meter
from tek_kernel.effect import Applied, Context, EffectError, SideEffect

_DEFAULT_MODE = 0o644
_ATTEMPTS = 16
W = TypeVar("W", fs.Write, fs.Append)


class _Writing(FileEffect[W]):
    family: ClassVar[str] = "fs.write"
    is_missing: ClassVar[str] = HOLDER_IS_MISSING

    def _size(self, request: W) -> int:
        return request.data.size


class WriteFile(_Writing[fs.Write]):
    """``fs.write``: replace or create a file atomically. A symlink's target is written, if that is granted."""

    request = fs.Write
    again = SideEffect.IDEMPOTENT

    def accesses(self, request: fs.Write) -> tuple[Access, ...]:
        """Name the access. Raises ``ValueError`` for a mode that holds more than permissions."""
        if request.mode is not None and not 0 <= request.mode <= 0o777:
            raise ValueError(f"mode {request.mode:#o} of {request.path}: a mode is 0 to 0o777, without set-id bits")
        return super().accesses(request)

    def _apply(self, request: fs.Write, context: Context, meter: Meter) -> Applied:
        data = _bytes_of(request.data, request.path)
        meter.need(len(data))
        with self._roots.place(self._claim(request, context), follow=True) as place:
            status = place.status()
            if status is not None:
                require_file(request.path, status.st_mode)
            mode = _DEFAULT_MODE if request.mode is None else request.mode
            replace(place, status, lambda fd: _fill(fd, data, meter), mode, meter)
        return Applied(None, meter.usage)


def _fill(fd: int, data: bytes, meter: Meter) -> None:
    for start in range(0, len(data), CHUNK):
        meter.check()
        write_all(fd, memoryview(data)[start : start + CHUNK], meter.count)


class AppendFile(_Writing[fs.Append]):
    """``fs.append``: add to the end of a file, creating it where it is missing."""

    request = fs.Append
    again = SideEffect.ONCE

    def presumed(self, request: fs.Append) -> None:
        """Appending answers nothing."""

    def _apply(self, request: fs.Append, context: Context, meter: Meter) -> Applied:
        data = _bytes_of(request.data, request.path)
        meter.need(len(data))
        with self._roots.place(self._claim(request, context), follow=True) as place:
            fd = _open_end(place, request.path)
            try:
                write_all(fd, data, meter.count)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.fsync(place.directory)
        return Applied(None, meter.usage)


def _open_end(place: Place, path: str) -> int:
    """Open a file for appending, or create it. Whoever creates or removes it meanwhile makes us look again."""
    for _ in range(_ATTEMPTS):
        try:
            held = place.open(os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            try:
                return place.open(os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, _DEFAULT_MODE)
            except FileExistsError:
                continue
        try:
            _require_own_file(os.fstat(held), path)
            return reopen(held, os.O_WRONLY | os.O_APPEND)
        finally:
            os.close(held)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def _require_own_file(status: os.stat_result, path: str) -> None:
    """Raise ``EffectError`` unless changing the file in place changes nothing but this name's contents."""
    require_file(path, status.st_mode)
    if status.st_nlink > 1:
        # Its other names may lie in places that no permit covers, and nothing tells which they are.
        raise EffectError("not-permitted", f"{path}: has several names (hard links); write it anew to part them")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise EffectError("not-permitted", f"{path}: has set-id bits; write it anew, which drops them")


def _bytes_of(data: Blob, path: str) -> bytes:
    """Return a blob's bytes. Raises ``EffectError`` where they are missing or not those that the ledger names."""
    try:
        contents = data.read()
    except LookupError as error:
        raise EffectError("bad-request", f"{path}: the bytes to write are missing: {error}") from None
    if Blob.of(contents) != data:
        raise EffectError("bad-request", f"{path}: the bytes to write have another digest than their blob says")
    return contents
