"""Finding the names that match a pattern, of those that the task may read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import attrs

from tek_abi import Access, PatternError
from tek_abi.pattern import is_wild, match_name, path_pattern, static_prefix
from tek_abi.permit import show_path
from tek_abi.vocabulary import fs
from tek_effects_fs.beneath import DIRECTORY, Claim, Found, Roots, open_inside
from tek_effects_fs.meter import Meter
from tek_effects_fs.reading import MANY_NAMES, MAX_NAMES, Reading
from tek_kernel.effect import Applied, Context, Cost, EffectError

_CLOSED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.ENAMETOOLONG)
"""What a directory answers that is gone, has become something else, or is not for this user to read."""

Progress: TypeAlias = frozenset[int]


@attrs.frozen
class Segments:
    """The part of a pattern that is matched name by name on the way down.

    A ``Progress`` says how many segments the names so far may have used up; ``**`` allows several answers.
    """

    words: tuple[str, ...]

    def start(self) -> Progress:
        """Return the progress before the first name."""
        return self._closed((0,))

    def step(self, progress: Progress, name: str) -> Progress:
        """Return the progress after one more name; it is empty where nothing below can match."""
        used: list[int] = []
        for at in progress:
            if at == len(self.words):
                continue
            if self.words[at] == "**":
                used.append(at)
            elif match_name(self.words[at], name):
                used.append(at + 1)
        return self._closed(used)

    def matched(self, progress: Progress) -> bool:
        """Whether the names so far match the whole pattern."""
        return len(self.words) in progress

    def goes_on(self, progress: Progress) -> bool:
        """Whether anything below may match."""
        return any(at < len(self.words) for at in progress)

    def _closed(self, used: Iterable[int]) -> Progress:
        result: set[int] = set()
        for at in used:
            result.add(at)
            while at < len(self.words) and self.words[at] == "**":
                at += 1
                result.add(at)
        return frozenset(result)


class GlobPaths(Reading[fs.Glob]):
    """``fs.glob``: what matches beneath the directory that the pattern names before its first wildcard.

    Reading that directory must be permitted, or the request is denied. Below it, a name that the permits do not cover
    is left out and a directory not entered; symlinks are named and not followed. Every name that is looked at counts.
    """

    request = fs.Glob

    def accesses(self, request: fs.Glob) -> tuple[Access, ...]:
        """Name the access to where the search begins. Raises ``PatternError`` for ``**`` within a name."""
        return (self._access(self.family, static_prefix(self._pattern(request))),)

    def cost(self, request: fs.Glob) -> Cost:
        """Ask for the bytes of as many and as long names as may be looked at."""
        return MANY_NAMES

    def _path(self, request: fs.Glob) -> str:
        return request.pattern

    def _pattern(self, request: fs.Glob) -> str:
        return path_pattern(self._roots.resource(request.pattern))

    def _apply(self, request: fs.Glob, context: Context, meter: Meter) -> Applied:
        pattern, claim = self._pattern(request), self._claim(request, context)
        wild = is_wild(pattern)
        with ExitStack() as opened:
            try:
                found = opened.enter_context(self._roots.find(claim, DIRECTORY if wild else os.O_PATH | os.O_NOFOLLOW))
            except (FileNotFoundError, NotADirectoryError):
                self._roots.require(claim.resource)
                return Applied(())
            if not wild:
                return Applied((show_path(claim.resource),))
            words = pattern.removeprefix(claim.resource + "/").split("/")
            paths = sorted(_Search(self._roots, found, claim, meter).run(Segments(tuple(words))))
            claim.check(found.resource, meter.usage.io)
        return Applied(tuple(paths), meter.usage)


@attrs.define
class _Search:
    """One search beneath a directory that was found. ``seen`` counts the names that were looked at."""

    roots: Roots
    base: Found
    claim: Claim
    meter: Meter
    seen: int = 0

    def run(self, pattern: Segments) -> Iterator[str]:
        """Yield the paths that match, in no order."""
        pending = [("", pattern.start())]
        while pending:
            directory, progress = pending.pop()
            for name, is_directory in self.names(directory):
                further = pattern.step(progress, name)
                deeper = is_directory and pattern.goes_on(further)
                if not deeper and not pattern.matched(further):
                    continue
                inner = f"{directory}/{name}" if directory else name
                path = self.granted(inner)
                if path is None:
                    continue
                if pattern.matched(further):
                    yield path
                if deeper:
                    pending.append((inner, further))

    def names(self, directory: str) -> Iterator[tuple[str, bool]]:
        """Yield each name in a directory, and whether it is one itself; nothing for one that cannot be read."""
        try:
            fd = open_inside(self.base.fd, directory or ".")
        except OSError as error:
            if error.errno in _CLOSED:
                return
            raise
        try:
            with os.scandir(fd) as items:
                for item in items:
                    self.count(item.name)
                    yield item.name, item.is_dir(follow_symlinks=False)
        finally:
            os.close(fd)

    def count(self, name: str) -> None:
        self.seen += 1
        if self.seen > MAX_NAMES:
            message = f"{self.claim.path}: passes over {MAX_NAMES:,} names; begin it with a directory further down"
            raise EffectError("unsupported", message, self.meter.usage)
        self.meter.count(len(os.fsencode(name)))
        self.meter.check()

    def granted(self, inner: str) -> str | None:
        """Return the path of a name as people write it, ``None`` where no permit covers it by name and by place."""
        try:
            named = self.roots.resource(f"{self.claim.resource}/{inner}")
            real = self.roots.within(self.base.resource, inner, self.claim.path)
        except (PatternError, EffectError):
            return None  # a name that no permit can hold, or a process's
        return show_path(named) if all(map(self.claim.covered, {named, real})) else None
