"""Reading files, hashing them, listing directories, asking what a path is."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
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

ALL_BYTES = Cost(Budget(ms=1), Limit(ms=MOST_MS, tokens=0, io=None))
"""The cost of a file whose size is not known before it is open: all the bytes that can be had."""

MANY_NAMES = Cost(Budget(ms=1), Limit(ms=MOST_MS, tokens=0, io=MAX_NAMES * _LONGEST_NAME))
"""The cost of as many and as long names as may be listed."""


class Reading(FileEffect[R]):
    """An effect that only looks."""

    family: ClassVar[str] = "fs.read"
    again: ClassVar[SideEffect] = SideEffect.READ


class _WholeFile(Reading[R]):
    def cost(self, request: R) -> Cost:
        """Ask for all the bytes that can be had: the file's size is not known before it is open."""
        return ALL_BYTES

    @contextmanager
    def _bytes(self, request: R, context: Context, meter: Meter) -> Iterator[Iterator[bytes]]:
        """Open the request's path, through symlinks beneath its root, for its bytes in pieces."""
        claim = self._claim(request, context)
        with self._roots.find(claim) as found, closing(contents(found, claim, meter)) as chunks:
            yield chunks


class ReadFile(_WholeFile[fs.Read]):
    """``fs.read``: a regular file's bytes, into the blob store."""

    request = fs.Read

    def _apply(self, request: fs.Read, context: Context, meter: Meter) -> Applied:
        with self._bytes(request, context, meter) as chunks:
            blob = context.blobs.put_stream(chunks)
        return Applied(blob, meter.usage)


class HashFile(_WholeFile[fs.Hash]):
    """``fs.hash``: digest and size of a regular file, whose bytes are read and kept nowhere."""

    request = fs.Hash

    def _apply(self, request: fs.Hash, context: Context, meter: Meter) -> Applied:
        digest = hashlib.sha256()
        with self._bytes(request, context, meter) as chunks:
            for chunk in chunks:
                digest.update(chunk)
        return Applied(fs.Digest(digest.hexdigest(), meter.usage.io), meter.usage)


def contents(found: Found, claim: Claim, meter: Meter) -> Generator[bytes, None, None]:
    """Yield the bytes of a regular file that a claim found, in pieces, and count them.

    Reads one byte too many at most to find out that the meter does not cover them. Raises ``EffectError`` for what is
    no regular file and, before anything is read, for one that is too large; ``EffectRefused`` for one that is larger
    than its permits allow.
    """
    require_file(claim.path, found.status.st_mode)
    claim.check(found.resource, found.status.st_size)
    meter.need(found.status.st_size)
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


class StatPath(Reading[fs.Stat]):
    """``fs.stat``: kind, size and mode of what has a name, a symlink itself included."""

    request = fs.Stat

    def _apply(self, request: fs.Stat, context: Context, meter: Meter) -> Applied:
        with self._roots.find(self._claim(request, context), os.O_PATH | os.O_NOFOLLOW) as found:
            status = found.status
        return Applied(fs.Status(kind_of(status.st_mode), size_of(status), stat.S_IMODE(status.st_mode)))


class ListDirectory(Reading[fs.List]):
    """``fs.list``: the names in a directory, sorted, each with its kind and size. The names count as io."""

    request = fs.List

    def cost(self, request: fs.List) -> Cost:
        """Ask for the bytes of as many and as long names as a directory may have here."""
        return MANY_NAMES

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
