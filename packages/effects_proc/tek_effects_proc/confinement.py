"""What a child process may touch: a task's permits in the form that an operating system can enforce.

``confinement`` is pure. Of the kinds of path pattern, the system can hold a child to two: a file, and a whole tree
``dir/**`` (DESIGN section 4). What is neither gives a child the files that match when it starts, read-only; to write,
it is refused. Nothing is ever widened to fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import attrs

from tek_abi import Permit, TekError
from tek_abi.pattern import is_wild, match_path, may_meet, path_pattern, static_prefix
from tek_abi.permit import show_path
from tek_kernel.effect import Held


@attrs.define(str=False)
class Unenforceable(TekError, ValueError):
    """A grant to write that no operating system can hold a child to. ``pattern`` is what it asks for, ``remedy`` what
    to do.
    """

    pattern: str
    remedy: str = "grant a tree (dir/**) or one file; the patterns between serve the fs effects alone"

    def __str__(self) -> str:
        return f"a command cannot be held to writing {self.pattern}: {self.remedy}"


@attrs.frozen
class Region:
    """A file, or a directory with all that is in it, by its canonical path."""

    path: str
    is_tree: bool

    def contains(self, path: str) -> bool:
        """Whether a canonical path lies within."""
        return path == self.path or (self.is_tree and path.startswith(self.path + "/"))

    def __str__(self) -> str:
        return self.path + "/**" if self.is_tree else self.path


@attrs.frozen(cache_hash=True)
class Confinement:
    """What a command may read, write and reach.

    ``matched`` are read permits of other forms, good for the files that match when the command starts. ``hidden``
    are patterns of paths within ``reads`` that must not be seen, ``sealed`` of paths within ``writes`` that must not
    be changed unless ``writes`` names them, ``protected`` of those that must not be changed at all. ``network`` says
    that there are permits for hosts, so that it gets a proxy; which hosts is decided there, at each request.
    """

    reads: tuple[Region, ...] = ()
    writes: tuple[Region, ...] = ()
    matched: tuple[Permit, ...] = ()
    hidden: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    network: bool = False

    @lru_cache(maxsize=4096)  # noqa: B019  # the same places are asked about for each command of a run
    def may_read(self, path: str, is_tree: bool = False) -> bool:
        """Whether a canonical path lies in a region to read, and nothing hidden is nearer to it than the region.

        ``is_tree`` asks for all that is beneath it.
        """
        return _nearest(path, is_tree, self.reads, self.hidden)

    @lru_cache(maxsize=4096)  # noqa: B019  # the same
    def may_write(self, path: str, is_tree: bool = False) -> bool:
        """Whether a canonical path lies in a region to write, nothing sealed is nearer and nothing protected above."""
        if any(match_path(pattern, place) for place in _upward(path) for pattern in self.protected):
            return False
        return _nearest(path, is_tree, self.writes, self.sealed)


def _nearest(path: str, is_tree: bool, regions: Iterable[Region], closed: Iterable[str]) -> bool:
    """Whether, going up from a path, a region is met before what is closed; where both are, the region counts.

    A tree is closed at its root: a region within it is nearer.
    """
    roots = [pattern.removesuffix("/**") for pattern in closed]
    for place in _upward(path):
        if any(region.path == place and (region.is_tree or (place == path and not is_tree)) for region in regions):
            return True
        if any(match_path(root, place) for root in roots):
            return False
    return False


def _upward(path: str) -> Iterator[str]:
    while "/" in path:
        yield path
        path = path.rpartition("/")[0]
    yield path


def confinement(held: Held) -> Confinement:
    """Return what the permits of a task come to for a child. Raises ``Unenforceable``.

    A permit with a caveat holds for counted or measured requests, which a child does not make: it gives nothing.
    """
    reads = _regions(held.reads)
    writes = _regions(held.writes)
    for permit in _plain(held.writes):
        if _region(permit) is None and not _is_within(permit, writes):
            raise Unenforceable(" & ".join(map(show_path, permit.resource)))
    matched = [permit for permit in _plain(held.reads) if _region(permit) is None and not _is_within(permit, reads)]
    found = Confinement(
        reads=tuple(reads),
        writes=tuple(writes),
        matched=tuple(matched),
        hidden=_exclusions(held.reads),
        sealed=_exclusions(held.writes),
        protected=tuple(dict.fromkeys(path_pattern(pattern) for pattern in held.protected)),
        network=bool(held.net),
    )
    for region in writes:
        if not found.may_read(region.path, region.is_tree) and any(above.contains(region.path) for above in reads):
            # Landlock adds rights on the way down: what may be read above could be read here.
            remedy = (
                "what is left out of reading there can be written only where it may be read; grant fs.read on it too"
            )
            raise Unenforceable(show_path(str(region)), remedy)
    return found


def _plain(permits: Iterable[Permit]) -> list[Permit]:
    return [permit for permit in permits if not permit.caveats and not _is_empty(permit)]


def _is_empty(permit: Permit) -> bool:
    """Whether a permit gives nothing: its patterns never meet, or it leaves out the very region that it names."""
    region = _region(permit)
    if region is None:
        return False
    return region == _NOWHERE or any(match_path(path_pattern(pattern), region.path) for pattern in permit.exclude)


_NOWHERE = Region("", False)


def _regions(permits: Iterable[Permit]) -> list[Region]:
    found = dict.fromkeys(region for permit in _plain(permits) if (region := _region(permit)) is not None)
    return list(found)


def _region(permit: Permit) -> Region | None:
    """Return the region that a conjunction of patterns comes to, ``None`` where it is of another form."""
    result: Region | None = None
    for pattern in map(path_pattern, permit.resource):
        region = _simple(pattern)
        if region is None:
            return None
        result = region if result is None else _meet(result, region)
    return result


def _simple(pattern: str) -> Region | None:
    path = pattern.removesuffix("/**")
    return None if is_wild(path) else Region(path, path != pattern)


def _meet(one: Region, other: Region) -> Region:
    if one.contains(other.path):
        return other if one.is_tree or not other.is_tree else one
    if other.contains(one.path):
        return one
    return _NOWHERE


def _is_within(permit: Permit, regions: list[Region]) -> bool:
    """Whether a region gives all that a pattern of another form could: it has a directory above its wildcards."""
    return any(
        region.is_tree and region.contains(static_prefix(path_pattern(pattern)))
        for pattern in permit.resource
        for region in regions
    )


def _exclusions(permits: tuple[Permit, ...]) -> tuple[str, ...]:
    """Return the patterns that are left out, but for those that another permit covers wholly.

    What the other permit leaves out itself within such a pattern stays in the list then, and no region may stand
    beneath it: what both leave out is closed.
    """
    plain = _plain(permits)
    regions = _regions(permits)
    kept = dict.fromkeys(path_pattern(pattern) for permit in plain for pattern in permit.exclude)
    needed: set[str] = set()
    for pattern in list(kept):
        for permit in plain:
            region = _region(permit)
            if region is None or not (region.is_tree and region.contains(static_prefix(pattern))):
                continue
            within = {other for other in map(path_pattern, permit.exclude) if may_meet(other, pattern)}
            nearer = any(match_path(other, found.path) for other in within for found in regions)
            if pattern not in within | needed and within <= kept.keys() and not nearer:
                needed |= within
                del kept[pattern]
                break
    return tuple(kept)
