"""Copying a file: read under one claim, written under another, streamed within the reservation."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, closing

from tek_abi import Access
from tek_abi.vocabulary import fs
from tek_effects_fs.atomic import replace, write_all
from tek_effects_fs.beneath import Claim
from tek_effects_fs.file_effect import FileEffect, about, require_file, require_two_files
from tek_effects_fs.meter import Meter
from tek_effects_fs.reading import ALL_BYTES, contents
from tek_kernel.effect import Applied, Context, Cost, SideEffect

_PERMISSIONS = 0o777


class CopyFile(FileEffect[fs.Copy]):
    """``fs.copy``: replace or create a file atomically with another one's bytes, each of which counts as io once.

    Symlinks are followed at either end, as by ``fs.read`` and ``fs.write``, if where they lead is granted.
    """

    request = fs.Copy
    again = SideEffect.IDEMPOTENT

    def accesses(self, request: fs.Copy) -> tuple[Access, ...]:
        """Name the accesses: to read the source, to write the target."""
        return (self._access("fs.read", request.source), self._access("fs.write", request.target))

    def cost(self, request: fs.Copy) -> Cost:
        """Ask for all the bytes that can be had: the source's size is not known before it is open."""
        return ALL_BYTES

    def _path(self, request: fs.Copy) -> str:
        return f"{request.source} -> {request.target}"

    def _apply(self, request: fs.Copy, context: Context, meter: Meter) -> Applied:
        reads, writes = self.accesses(request)
        source = Claim(request.source, (reads,), context.permits[:1], context.covers)
        target = Claim(request.target, (writes,), context.permits[1:], context.covers)
        digest = hashlib.sha256()
        with ExitStack() as opened:
            with about(request.source, meter):
                found = opened.enter_context(self._roots.find(source))
                require_file(request.source, found.status.st_mode)
            with about(request.target, meter):
                place = opened.enter_context(self._roots.place(target, follow=True))
                old = place.status()
                if old is not None:
                    require_file(request.target, old.st_mode)
                require_two_files(found.status, place, request.source, request.target)
            target.check(place.resource, found.status.st_size)

            def fill(fd: int) -> None:
                with closing(contents(found, source, meter)) as chunks:
                    for chunk in chunks:
                        digest.update(chunk)
                        write_all(fd, chunk, lambda written: None)  # counted when it was read
                target.check(place.resource, meter.usage.io)

            replace(place, old, fill, found.status.st_mode & _PERMISSIONS, meter)
        return Applied(fs.Digest(digest.hexdigest(), meter.usage.io), meter.usage)
