"""Paths with a mark: those in a command's trees that it must not see or change, found by their patterns.

A pattern such as ``**/.git/**`` may match anywhere, so the trees that the command may write are walked, every
directory once and no symlink followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import attrs

from tek_abi.glob import is_wild, match_name
from tek_effects_proc.confinement import Confinement

Identity = tuple[int, int]


class Places(Protocol):
    """Where canonical paths stand."""

    def real(self, canonical: str) -> str:
        """Return the absolute path."""
        ...


@attrs.frozen
class Marked:
    """What was found, by absolute path with its identity (device and inode)."""

    hidden: dict[str, Identity] = attrs.field(factory=dict)
    sealed: dict[str, Identity] = attrs.field(factory=dict)
    protected: dict[str, Identity] = attrs.field(factory=dict)

    def changed_since(self, before: Marked) -> tuple[str, ...]:
        """Return the paths that no write may touch and that are not what they were: new, or another in their place.

        What only moved with a directory above it is the same still.
        """
        known = {*before.sealed.values(), *before.protected.values()}
        now = {**self.sealed, **self.protected}
        return tuple(path for path, identity in now.items() if identity not in known)


def find_marked(places: Places, confinement: Confinement) -> Marked:
    """Look for what a confinement marks within its trees."""
    writes = [places.real(region.path) for region in confinement.writes if region.is_tree]
    reads = [places.real(region.path) for region in confinement.reads if region.is_tree]
    return Marked(
        _find(places, confinement.hidden, reads),
        _find(places, confinement.sealed, writes),
        _find(places, confinement.protected, writes),
    )


def _find(places: Places, patterns: tuple[str, ...], trees: list[str]) -> dict[str, Identity]:
    roots = [tree for tree in trees if not any(tree != other and _inside(tree, other) for other in trees)]
    found: dict[str, Identity] = {}
    for pattern in patterns:
        fixed, rest = _split(pattern)
        base = places.real(fixed)
        if not rest or rest == ["**"]:
            if any(_inside(base, root) for root in roots):
                _note(base, found)
            continue
        starts = [root for root in roots if root != base and _inside(root, base)] if rest[0] == "**" else []
        for start in starts or [base]:
            for path in _walk(start, rest):
                if any(_inside(path, root) for root in roots):
                    _note(path, found)
    return found


def _inside(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(root + "/")


def _split(pattern: str) -> tuple[str, list[str]]:
    """Split a pattern into the path before its first wildcard and the segments from there."""
    segments = pattern.split("/")
    wild = next((i for i, segment in enumerate(segments) if is_wild(segment)), len(segments))
    return "/".join(segments[:wild]), segments[wild:]


def _note(path: str, found: dict[str, Identity]) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        return
    found[path] = status.st_dev, status.st_ino


def _walk(root: str, segments: list[str]) -> Iterator[str]:
    """Yield the paths beneath ``root`` that the segments match; nothing beneath one that matches as a tree."""
    pending = [(root, _closure(frozenset({0}), segments))]
    while pending:
        directory, states = pending.pop()
        wanted = _Wanted(segments, states)
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    after = wanted.after(entry.name)
                    if not after:
                        continue
                    if _is_whole(after, segments):
                        yield entry.path
                    elif entry.is_dir(follow_symlinks=False):
                        if len(segments) in after:
                            yield entry.path
                        pending.append((entry.path, after))
                    elif len(segments) in after:
                        yield entry.path
        except OSError:
            continue


class _Wanted:
    """The states that a name leads to, from a set of states: where in the segments a match may stand."""

    def __init__(self, segments: list[str], states: frozenset[int]) -> None:
        self._segments = segments
        loops = [state for state in states if state < len(segments) and segments[state] == "**"]
        steps = [state for state in states if state < len(segments) and segments[state] != "**"]
        self._literal = {segments[state]: state for state in steps if not is_wild(segments[state])}
        self._wild = [state for state in steps if is_wild(segments[state])]
        self._default = _closure(frozenset(loops), segments)

    def after(self, name: str) -> frozenset[int]:
        """Return the states after a name."""
        if name not in self._literal and not self._wild:
            return self._default
        more = {state + 1 for state in self._wild if match_name(self._segments[state], name)}
        if name in self._literal:
            more.add(self._literal[name] + 1)
        return self._default | _closure(frozenset(more), self._segments)


def _closure(states: frozenset[int], segments: list[str]) -> frozenset[int]:
    """Add the states that ``**`` reaches by matching nothing."""
    result = set(states)
    for state in states:
        while state < len(segments) and segments[state] == "**":
            state += 1
            result.add(state)
    return frozenset(result)


def _is_whole(states: frozenset[int], segments: list[str]) -> bool:
    """Whether a path in these states matches with all that is beneath it."""
    last = len(segments) - 1
    return segments[last] == "**" and last in states and last > 0 and len(segments) in states
