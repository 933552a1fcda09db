"""Invariant 2 from outside: what the operating system lets a confined child do is its ``Confinement``, which is what of
its permits can be enforced, and never more than its permits.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tek_abi import Access, Permit, Subject
from tek_abi.pattern import match_path, path_pattern
from tek_effects_proc.confinement import Confinement, Region, Unenforceable, confinement
from tek_effects_proc.layout import Ground
from tek_kernel.effect import Held
from tests.security.cell import NOBODY, Cell, preset

NIGHTLY = bool(os.environ.get("TEK_NIGHTLY"))
AT = "2026-01-01T00:00:00.000000Z"
WHO = Subject("TASK-001", "shell")
DIRECTORIES = ("a", "a/b", "a/b/c", "a b", "d", "d/.h", "e")
FILES = ("top", "a/one.txt", "a/two", "a/b/one.txt", "a/b/c/deep", "a b/odd \u00e9", "d/.h/one.txt", "d/one.txt", "e/x")
PLACES = (*DIRECTORIES, *FILES, "missing", "a/missing")
_SCRIPT = """
import json, os, sys
found = {}
for path in json.loads(sys.argv[1]):
    can = found[path] = []
    def attempt(word, act):
        try:
            act()
            can.append(word)
        except OSError:
            pass
    if os.path.isdir(path):
        attempt("create", lambda: open(path + "/.probe", "x").close())
        attempt("link", lambda: os.symlink("x", path + "/.probe-link"))
        attempt("nest", lambda: os.mkdir(path + "/.probe-nest"))
    else:
        attempt("read", lambda: open(path, "rb").read())
        attempt("write", lambda: os.close(os.open(path, os.O_WRONLY)))
        attempt("append", lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)))
        moved = path + ".moved"
        attempt("move", lambda: (os.rename(path, moved), os.rename(moved, path)))
print(json.dumps(found))
"""

_patterns = st.one_of(
    st.sampled_from([f"{directory}/**" for directory in DIRECTORIES]),
    st.sampled_from([f"{directory}/**" for directory in DIRECTORIES]),
    st.sampled_from(PLACES),
    st.sampled_from(["**", "a/*", "*/one.txt", "**/one.txt", "a/**/deep", "d/?h/**"]),
)
_trees = st.sampled_from(["**", *(f"{directory}/**" for directory in DIRECTORIES), *FILES, "missing/**"])
_left_out = st.lists(_patterns, max_size=2).map(tuple)


def _permits(action: str, patterns: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Permit, ...]]:
    one = st.builds(
        lambda resource, exclude: Permit(
            (action,), tuple(map(path_pattern, resource)), exclude=tuple(map(path_pattern, exclude))
        ),
        st.lists(patterns, min_size=1, max_size=2),
        _left_out,
    )
    return st.lists(one, max_size=3).map(tuple)


_helds = st.builds(
    lambda reads, writes, protected: Held(reads, writes, (), tuple(map(path_pattern, protected))),
    _permits("fs.read", _patterns),
    _permits("fs.write", _trees),
    st.lists(st.sampled_from(["a/b/**", "**/.h/**", "d/one.txt", "e/**"]), max_size=2),
)


@attrs.frozen
class Expected:
    """What a confinement comes to in one tree: the nearest mark at or above a path decides."""

    confined: Confinement
    existing: frozenset[str]

    def may_read(self, path: str) -> bool:
        """Whether a file's bytes are there to be read."""
        for place in _upward(path):
            if self._named(self.confined.reads, place, path) or (place == path and self._is_matched(place)):
                return True
            if place in self.existing and _any_match(self.confined.hidden, place):
                return False
        return False

    def may_write(self, path: str) -> bool:
        """Whether a file can be changed, made or moved."""
        above = list(_upward(path))
        if any(place in self.existing and _any_match(self.confined.protected, place) for place in above):
            return False
        hidden = False
        for place in above:
            if self._named(self.confined.writes, place, path):
                return not hidden
            # What is masked is not there to be written, unless it is granted by itself.
            seen = self._named(self.confined.reads, place, path) or (place == path and self._is_matched(place))
            hidden |= not seen and self._is_masked(place)
            if place in self.existing and _any_match(self.confined.sealed, place):
                return False
        return False

    def _named(self, regions: tuple[Region, ...], place: str, path: str) -> bool:
        return any(region.path == place and (region.is_tree or place == path) for region in regions)

    def _is_masked(self, place: str) -> bool:
        within = any(region.is_tree and region.contains(place) for region in self.confined.reads)
        return within and place in self.existing and _any_match(self.confined.hidden, place)

    def _is_matched(self, place: str) -> bool:
        return any(
            all(match_path(path_pattern(p), place) for p in permit.resource)
            and not any(match_path(path_pattern(p), place) for p in permit.exclude)
            for permit in self.confined.matched
        )


def _upward(path: str) -> Iterator[str]:
    while "/" in path:
        yield path
        path = path.rpartition("/")[0]
    yield path


def _any_match(patterns: tuple[str, ...], place: str) -> bool:
    # What is left out as a tree is marked at the tree's root.
    return any(match_path(pattern.removesuffix("/**"), place) for pattern in patterns)


@pytest.fixture(scope="module", params=["root-idmap", "userns"])
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    if request.param == "root-idmap" and os.getuid() != 0:
        pytest.skip("root-idmap is for root")
    with closing(Cell(request.param)) as cell:
        assert not cell.unavailable, cell.unavailable
        yield cell


@settings(
    max_examples=3000 if NIGHTLY else 60,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(held=_helds)
def test_a_child_can_do_what_its_confinement_says_and_never_more_than_its_permits(cell: Cell, held: Held) -> None:
    try:
        confined = confinement(held)
    except Unenforceable:
        event("unenforceable")
        return
    with tempfile.TemporaryDirectory(prefix="tek-tree-") as base:
        workspace = _tree(Path(base), cell)
        given_ = attrs.evolve(held, reads=(*held.reads, *_system()))
        result = cell.run(workspace, "/usr/bin/python3", "-c", _SCRIPT, json.dumps(PLACES), held=given_)
        ground = Ground(str(workspace), "")
        if "escapes" in result.error:
            event("made what must not be")
            _check_nothing_stands(held, ground, workspace)
            return
        assert result.code == 0, result
        found: dict[str, list[str]] = json.loads(result.out)
        existing = frozenset(ground.canonical(f"{workspace}/{place}") for place in (*DIRECTORIES, *FILES))
        made = {ground.canonical(str(path)) for path in workspace.rglob("*") if path.is_dir()}
        expected = Expected(confined, existing | made)
        for place, can in found.items():
            _check(held, expected, place, set(can), workspace)


def _system() -> tuple[Permit, ...]:
    return tuple(permit for permit in preset().reads if permit.resource[0].startswith("$SYSTEM"))


def _tree(base: Path, cell: Cell) -> Path:
    base.chmod(0o755)
    workspace = base / "ws"
    workspace.mkdir()
    for directory in DIRECTORIES:
        (workspace / directory).mkdir()
    for file in FILES:
        (workspace / file).write_text(file)
    if cell.level != "root-idmap" and os.getuid() == 0:
        for path in (workspace, *workspace.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return workspace


def _allowed(permits: tuple[Permit, ...], family: str, canonical: str) -> bool:
    access = Access(family, family, canonical)
    return any(permit.mismatch(access, WHO, AT) is None for permit in permits)


def _check_nothing_stands(held: Held, ground: Ground, workspace: Path) -> None:
    """What was closed where there was nothing to hold on to is renamed when the command ends."""
    made = [path for path in workspace.rglob(".probe*") if ".refused-" not in path.name]
    for name in (ground.canonical(str(path)) for path in made):
        assert _allowed(held.writes, "fs.write", name), name
        assert not any(match_path(pattern, name) for pattern in held.protected), name


def _check(held: Held, expected: Expected, place: str, can: set[str], workspace: Path) -> None:
    canonical = f"$WORKSPACE/{place}"
    shown = (place, can, expected.confined)
    if (workspace / place).is_dir():
        inner = f"{canonical}/.probe"
        # What is made in a directory of the command's own is not seen here.
        made = {path.name for path in (workspace / place).glob(".probe*")}
        assert made == ({".probe", ".probe-link", ".probe-nest"} if expected.may_write(inner) else set()), shown
        assert not made or _allowed(held.writes, "fs.write", inner), shown
        return
    exists = (workspace / place).exists()
    assert ("read" in can) == (exists and expected.may_read(canonical)), shown
    assert ("write" in can) == ("append" in can) == (exists and expected.may_write(canonical)), shown
    assert "read" not in can or _allowed(held.reads, "fs.read", canonical), shown
    assert "write" not in can or _allowed(held.writes, "fs.write", canonical), shown
    if "move" in can:
        assert expected.may_write(canonical), shown
        assert expected.may_write(canonical + ".moved"), shown
