"""Paths with a mark: those in a command's trees that it must not see or change, found by their patterns.

A pattern such as ``**/.git/**`` may match anywhere, so the trees that the command may write are walked, every
directory once for all patterns and no symlink followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final, Protocol

import attrs

from tek_abi.glob import is_wild, match_name
from tek_effects_proc.confinement import Confinement
from tek_effects_proc.straight import first_link, opened, status_of

UNSEEN = ("/proc", "/sys", "/dev")
"""Of these a root has its own, with nothing of the host."""

Identity = tuple[int, int]


_HIDDEN: Final = 0
"""The kind of what must not be seen; the others must not be written."""


class Places(Protocol):
    """Where canonical paths stand. Equal ones say the same."""

    def __hash__(self) -> int: ...

    def real(self, canonical: str) -> str:
        """Return the absolute path."""
        ...


@attrs.frozen
class Marked:
    """What was found, by absolute path with its identity (device and inode).

    A symlink on the way of a pattern stands for all that the pattern means beneath it: whoever follows it, as git
    follows ``.git``, would find another thing there.
    """

    hidden: dict[str, Identity] = attrs.field(factory=dict)
    sealed: dict[str, Identity] = attrs.field(factory=dict)
    protected: dict[str, Identity] = attrs.field(factory=dict)


def find_marked(places: Places, confinement: Confinement) -> Marked:
    """Look for what a confinement marks within its trees."""
    marked = Marked()
    looks = _looks(places, confinement)
    found = (marked.hidden, marked.sealed, marked.protected)
    for base, roots, kind in looks.places:
        _note(base, roots, found[kind])
    for start, searches in looks.walks:
        for path, search in _walk(start, searches, looks.closed):
            _note(path, search.roots, found[search.kind])
    return marked


@attrs.frozen
class _Looks:
    """Where to look: single places with the roots that they count within and their kind, and walks for searches.

    Of the places, ``closed`` are trees in which nothing may be written: beneath them there is nothing to close.
    """

    places: list[tuple[str, list[str], int]]
    walks: list[tuple[str, list[_Search]]]
    closed: frozenset[str]


@lru_cache(maxsize=256)
def _looks(places: Places, confinement: Confinement) -> _Looks:
    granted = [places.real(region.path) for region in confinement.writes]
    writes = _outermost([places.real(region.path) for region in confinement.writes if region.is_tree])
    reads = _outermost([places.real(region.path) for region in confinement.reads if region.is_tree])
    kinds = ((confinement.hidden, reads), (confinement.sealed, writes), (confinement.protected, writes))
    single: list[tuple[str, list[str], int]] = []
    closed: set[str] = set()
    walks: dict[str, list[_Search]] = {}
    for kind, (patterns, roots) in enumerate(kinds):
        for pattern in patterns:
            fixed, rest = _split(pattern)
            base = places.real(fixed)
            if not rest or rest == ["**"]:
                single.append((base, roots, kind))
                if rest and kind != _HIDDEN and not any(_inside(written, base) for written in granted):
                    closed.add(base)
                continue
            starts = [root for root in roots if root != base and _inside(root, base)] if rest[0] == "**" else []
            for start in starts or [base]:
                walks.setdefault(start, []).append(_Search(rest, roots, kind))
    return _Looks(single, list(walks.items()), frozenset(closed))


@attrs.frozen(eq=False)
class _Search:
    """The segments of a pattern, the roots within which a match counts, and its kind: hidden, sealed or protected."""

    segments: list[str]
    roots: list[str]
    kind: int


def _outermost(trees: list[str]) -> list[str]:
    return [tree for tree in trees if not any(tree != other and _inside(tree, other) for other in trees)]


def _inside(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(root + "/")


@lru_cache(maxsize=1024)
def _split(pattern: str) -> tuple[str, list[str]]:
    """Split a pattern into the path before its first wildcard and the segments from there."""
    every = pattern.split("/")
    segments = [name for name, before in zip(every, ["", *every], strict=False) if not name == before == "**"]
    wild = next((i for i, segment in enumerate(segments) if is_wild(segment)), len(segments))
    return "/".join(segments[:wild]), segments[wild:]


def _note(path: str, roots: list[str], found: dict[str, Identity]) -> None:
    place = first_link(path) or path
    if any(_inside(place, root) and place != root for root in roots) or (place == path and path in roots):
        with suppress(OSError):
            status = status_of(place)
            found[place] = status.st_dev, status.st_ino


States = frozenset[tuple[int, int]]
"""Where in the segments of which search a match may stand."""


def _walk(root: str, searches: list[_Search], closed: frozenset[str]) -> Iterator[tuple[str, _Search]]:
    """Yield the paths beneath ``root`` that a search matches, in one walk for all; nothing beneath one that matches as
    a tree, and beneath what is ``closed`` only what is to be hidden.
    """
    known: dict[States, _Wanted] = {}
    pending = [(root, _closure({(index, 0) for index in range(len(searches))}, searches))]
    while pending:
        directory, states = pending.pop()
        wanted = known.get(states)
        if wanted is None:
            wanted = known[states] = _Wanted(searches, states)
        try:
            with opened(directory, os.O_RDONLY) as fd, os.scandir(fd) as entries:
                for entry in entries:
                    path = f"{directory.rstrip('/')}/{entry.name}"
                    if path in UNSEEN:
                        continue
                    matches, further = wanted.after(entry.name)
                    if entry.is_symlink():
                        matches = [*matches, *wanted.begun(entry.name)]
                    for search in matches:
                        yield path, search
                    if path in closed:
                        further = frozenset(state for state in further if searches[state[0]].kind == _HIDDEN)
                    if further and entry.is_dir(follow_symlinks=False):
                        pending.append((path, further))
        except OSError:
            continue


class _Wanted:
    """What a name leads to from a set of states: the searches that it matches, and the states beneath it."""

    def __init__(self, searches: list[_Search], states: States) -> None:
        self._searches = searches
        steps = [(index, at) for index, at in states if at < len(searches[index].segments)]
        self._loops = {step for step in steps if self._segment(step) == "**"}
        self._literal: dict[str, set[tuple[int, int]]] = {}
        self._wild = []
        for step in steps:
            if is_wild(self._segment(step)):
                self._wild += [step] if self._segment(step) != "**" else []
            else:
                self._literal.setdefault(self._segment(step), set()).add(step)
        self._default = self._outcome(set())

    def after(self, name: str) -> tuple[list[_Search], States]:
        """Return what is matched by a name in a directory with these states, and the states in it."""
        passed = self._literal.get(name, set())
        if self._wild:
            passed = passed | {step for step in self._wild if match_name(self._segment(step), name)}
        return self._outcome(passed) if passed else self._default

    def begun(self, name: str) -> list[_Search]:
        """Return the searches of which a name matches a part that is not ``**`` alone."""
        passed = self._literal.get(name, set()) | {s for s in self._wild if match_name(self._segment(s), name)}
        return [self._searches[index] for index in sorted({index for index, _ in passed})]

    def _segment(self, step: tuple[int, int]) -> str:
        index, at = step
        return self._searches[index].segments[at]

    def _outcome(self, passed: set[tuple[int, int]]) -> tuple[list[_Search], States]:
        after = _closure(self._loops | {(index, at + 1) for index, at in passed}, self._searches)
        matched = {index for index, at in after if at == len(self._searches[index].segments)}
        whole = {index for index in matched if _is_tree(index, after, self._searches[index].segments)}
        return [self._searches[index] for index in sorted(matched)], frozenset(s for s in after if s[0] not in whole)


def _closure(states: set[tuple[int, int]], searches: list[_Search]) -> States:
    """Add the states that ``**`` reaches by matching nothing."""
    result = set(states)
    for index, at in states:
        segments = searches[index].segments
        while at < len(segments) and segments[at] == "**":
            at += 1
            result.add((index, at))
    return frozenset(result)


def _is_tree(index: int, states: States, segments: list[str]) -> bool:
    """Whether a path in these states matches with all that is beneath it."""
    last = len(segments) - 1
    return last > 0 and segments[last] == "**" and (index, last) in states
