"""Finding the permits that could cover a resource without asking each one.

A permit is filed under what every resource that it covers has in common: the directory above a path's wildcards, a
program's name, a URL's host, a plain name. What is found is still matched in full: this only leaves out those that
cannot match, so the cost of a check does not grow with permits about other things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from tek_abi import Access, Mismatch, PatternError, Permit
from tek_abi.pattern import argv_words, canonical_path, is_wild, parse_url_pattern, path_pattern, static_prefix
from tek_abi.url import read_resource

_PATHS = ("fs.read", "fs.write")


@attrs.frozen
class Candidate:
    """A permit of the policy. ``bad`` says why it authorises nothing at all, whatever it is asked for."""

    permit: Permit
    bad: Mismatch | None = None


class Candidates:
    """The permits of one family, in the policy's order."""

    def __init__(self, family: str, candidates: Iterable[Candidate]) -> None:
        self._family = family
        self.all = tuple(candidates)
        self._filed: dict[str, list[int]] = {}
        self._anywhere: list[int] = []
        for number, candidate in enumerate(self.all):
            key = self._key(candidate.permit)
            (self._anywhere if key is None else self._filed.setdefault(key, [])).append(number)

    def fitting(self, access: Access) -> list[Candidate]:
        """Return the permits that could cover the access's resource, in the policy's order."""
        found = [number for key in self._keys(access) for number in self._filed.get(key, ())]
        return [self.all[number] for number in sorted((*found, *self._anywhere))]

    def _key(self, permit: Permit) -> str | None:
        """Return what a permit is filed under, ``None`` for one that may cover anything."""
        try:
            keys = [key for pattern in permit.resource if (key := self._pattern_key(pattern)) is not None]
        except PatternError:
            return None
        # All patterns must match, so any of their keys will do; the longest says most.
        return max(keys, key=len, default=None)

    def _pattern_key(self, pattern: str) -> str | None:
        if self._family in _PATHS:
            return static_prefix(path_pattern(pattern))
        if self._family == "proc":
            name = _program(argv_words(pattern)[0])
            return None if is_wild(name) else name
        if self._family == "net":
            host = parse_url_pattern(pattern).host
            return None if is_wild(host) else host
        return None if is_wild(pattern) else pattern

    def _keys(self, access: Access) -> Iterator[str]:
        try:
            if self._family in _PATHS:
                yield from _ancestors(access.resource)
            elif self._family == "proc":
                yield _program(access.argv[0] if access.argv else "")
            elif self._family == "net":
                yield read_resource(access.resource).host
            else:
                yield access.resource
        except PatternError:
            return


def _ancestors(path: str) -> Iterator[str]:
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
    yield path


def _program(word: str) -> str:
    """Return a program's name, which is all that a pattern with and one without a directory agree on."""
    return canonical_path(word).rpartition("/")[2] if "/" in word else word
