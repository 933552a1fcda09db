"""Reading files, listing directories, asking what a path is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import ClassVar

from tek_abi import Budget, Limit
from tek_abi.vocabulary import fs
from tek_effects_fs.beneath import DIRECTORY, Claim, Found, reopen
from tek_effects_fs.file_effect import MOST_MS, FileEffect, R, kind_of, name_length, require_file, size_of
from tek_effects_fs.meter import CHUNK, Meter
from tek_kernel.effect import Applied, Context, Cost, EffectError, SideEffect

MAX_NAMES = 100_000
"""How many names a directory may have to be listed."""

_LONGEST_NAME = 255


class _Reading(FileEffect[R]):
    family: ClassVar[str] = "fs.read"
    again: ClassVar[SideEffect] = SideEffect.READ


class ReadFile(_Reading[fs.Read]):
    """``fs.read``: a regular file's bytes, into the blob store. Follows symlinks beneath the root."""

    request = fs.Read

    def cost(self, request: fs.Read) -> Cost:
        """Ask for all the bytes that can be had: the file's size is not known before it is open."""
        return Cost(Budget(ms=1), Limit(ms=MOST_MS, tokens=0, io=None))

    def _apply(self, request: fs.Read, context: Context, meter: Meter) -> Applied:
        claim = self._claim(request, context)
        with self._roots.find(claim) as found:
            require_file(request.path, found.status.st_mode)
            claim.check(found.resource, found.status.st_size)
            meter.need(found.status.st_size)
            blob = context.blobs.put_stream(_contents(found, claim, meter))
        return Applied(blob, meter.usage)


def _contents(found: Found, claim: Claim, meter: Meter) -> Iterator[bytes]:
    """Yield a file's bytes, reading one byte too many at most to find out that the meter does not cover them."""
    fd = reopen(found.fd, os.O_RDONLY)
    try:
        while chunk := os.read(fd, min(CHUNK, meter.left + 1)):
            meter.count(len(chunk))
            meter.check()
            yield chunk
    finally:
        os.close(fd)
    # The file may have grown since it was judged, and a file of /proc has no size at all.
    claim.check(found.resource, meter.usage.io)


class StatPath(_Reading[fs.Stat]):
    """``fs.stat``: kind, size and mode of what has a name, a symlink itself included."""

    request = fs.Stat

    def _apply(self, request: fs.Stat, context: Context, meter: Meter) -> Applied:
        with self._roots.find(self._claim(request, context), os.O_PATH | os.O_NOFOLLOW) as found:
            status = found.status
        return Applied(fs.Status(kind_of(status.st_mode), size_of(status), stat.S_IMODE(status.st_mode)))


class ListDirectory(_Reading[fs.List]):
    """``fs.list``: the names in a directory, sorted, each with its kind and size. The names count as io."""

    request = fs.List

    def cost(self, request: fs.List) -> Cost:
        """Ask for the bytes of as many and as long names as a directory may have here."""
        return Cost(Budget(ms=1), Limit(ms=MOST_MS, tokens=0, io=MAX_NAMES * _LONGEST_NAME))

    def _apply(self, request: fs.List, context: Context, meter: Meter) -> Applied:
        claim = self._claim(request, context)
        with self._roots.find(claim, DIRECTORY) as found:
            entries = sorted(_entries(found.fd, request.path, meter), key=lambda entry: entry.name)
            claim.check(found.resource, meter.usage.io)
        return Applied(tuple(entries), meter.usage)


def _entries(directory: int, path: str, meter: Meter) -> Iterator[fs.Entry]:
    with os.scandir(directory) as names:
        for number, item in enumerate(names, 1):
            if number > MAX_NAMES:
                raise EffectError("unsupported", f"{path}: holds over {MAX_NAMES:,} names; list a part of it")
            meter.count(name_length(item.name, path))
            if number % 1024 == 0:
                meter.check()
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since the directory was read
            yield fs.Entry(item.name, kind_of(status.st_mode), size_of(status))
