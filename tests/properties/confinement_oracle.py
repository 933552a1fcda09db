"""What a confinement comes to in one tree, said a second time: an oracle that shares only patterns with the code."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tek_abi.pattern import match_path, path_pattern
from tek_effects_proc.confinement import Confinement, Region


@attrs.frozen
class Expected:
    """What a confinement comes to in one tree: the nearest mark at or above a path decides. Paths are canonical."""

    confined: Confinement
    existing: frozenset[str]

    def may_read(self, path: str) -> bool:
        """Whether what stands there can be read."""
        return self._is_matched(path) or self.is_in_sight(path)

    def is_in_sight(self, path: str) -> bool:
        """Whether a region shows it."""
        for place in _upward(path):
            if _names(self.confined.reads, place, path):
                return True
            if self._has(self.confined.hidden, place):
                return False
        return False

    def may_write(self, path: str) -> bool:
        """Whether a file can be changed, made or moved."""
        above = list(_upward(path))
        if any(self._has(self.confined.protected, place) for place in above):
            return False
        masked = False
        for place in above:
            if _names(self.confined.writes, place, path):
                return not masked
            # What is masked is not there to be written, unless it is granted by itself.
            seen = _names(self.confined.reads, place, path) or (place == path and self._is_matched(place))
            masked |= not seen and self._is_masked(place)
            if self._has(self.confined.sealed, place):
                return False
        return False

    def may_be_there(self, path: str) -> bool:
        """Whether anything of it, even its name, may show: it is granted, or leads to what is granted or closed."""
        if any(place == path or place.startswith(path + "/") for place in self._fixed()):
            return True
        for place in _upward(path):
            if any(region.path == place and region.is_tree for region in self._regions()):
                return True
            if self._is_masked(place):
                return False
        return False

    def is_fixed(self, path: str) -> bool:
        """Whether something may be mounted right there, so that it can be changed but not moved."""
        return path in self._fixed()

    def is_granted(self, path: str) -> bool:
        """Whether it lies in a tree to read or write."""
        return any(region.is_tree and region.contains(path) for region in self._regions())

    def is_closed(self, path: str) -> bool:
        """Whether something that stands there must not be seen or changed."""
        return self._has((*self.confined.hidden, *self.confined.sealed, *self.confined.protected), path)

    def has_contradiction(self) -> bool:
        """Whether a region is left out by other permits, both to read and to write: it is closed then."""
        places = {region.path for region in self._regions()}
        return any(self._has(self.confined.hidden, p) and self._has(self.confined.sealed, p) for p in places)

    def _fixed(self) -> set[str]:
        regions = {region.path for region in self._regions()}
        return regions | {place for place in self.existing if self.is_closed(place) or self._is_matched(place)}

    def _regions(self) -> tuple[Region, ...]:
        return self.confined.reads + self.confined.writes

    def _has(self, patterns: tuple[str, ...], place: str) -> bool:
        # What is left out as a tree is marked at the tree's root.
        return place in self.existing and any(match_path(pattern.removesuffix("/**"), place) for pattern in patterns)

    def _is_masked(self, place: str) -> bool:
        within = any(region.is_tree and region.contains(place) for region in self.confined.reads)
        return within and self._has(self.confined.hidden, place)

    def _is_matched(self, place: str) -> bool:
        return any(
            all(match_path(path_pattern(p), place) for p in permit.resource)
            and not any(match_path(path_pattern(p), place) for p in permit.exclude)
            for permit in self.confined.matched
        )


def _names(regions: tuple[Region, ...], place: str, path: str) -> bool:
    return any(region.path == place and (region.is_tree or place == path) for region in regions)


def _upward(path: str) -> Iterator[str]:
    while "/" in path:
        yield path
        path = path.rpartition("/")[0]
    yield path
