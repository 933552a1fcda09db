"""Invariant 2 from outside: what the operating system lets a confined child do is its ``Confinement``, which is what of
its permits can be enforced, and never more than its permits.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tek_abi import Access, Permit, Subject
from tek_abi.pattern import match_path, path_pattern
from tek_effects_proc.confinement import Confinement, Unenforceable, confinement
from tek_kernel.effect import Held
from tests.properties.confinement_oracle import Expected
from tests.security.cell import Cell, Result, preset
from tests.size import examples

AT = "2026-01-01T00:00:00.000000Z"
WHO = Subject("TASK-001", "shell")
DIRECTORIES = ("a", "a/b", "a/b/c", "a b", "d", "d/.h", "e")
FILES = ("top", "a/one.txt", "a/two", "a/b/one.txt", "a/b/c/deep", "a b/odd \u00e9", "d/.h/one.txt", "d/one.txt", "e/x")
ODD = ("-top", "d/st*r", "d/star", "e/[x]", "e/new\nline", "e/back\\slash")
LINKS = {"a/up": "../top", "d/to-b": "../a/b", "out": "{outside}/secret", "e/loop": "loop"}
THROUGH = {"a/up": "top", "d/to-b/one.txt": "a/b/one.txt", "out": None}
"""Paths on which a symlink is met, and where in the workspace they lead."""
MISSING = ("missing", "a/missing")
PLACES = (*DIRECTORIES, *FILES, *ODD, *LINKS, "d/to-b/one.txt", *MISSING)
CHILD = Path(__file__).with_name("confined_child.py").read_text()
PROGRAM = Path("/bin/true").read_bytes()

_trees = [f"{directory}/**" for directory in DIRECTORIES]
_to_read = st.one_of(
    st.sampled_from(_trees),
    st.sampled_from(_trees),
    st.sampled_from([*DIRECTORIES, *FILES, *LINKS, "d/to-b/**", *MISSING]),
    st.sampled_from(["**", "a/*", "*/one.txt", "**/one.txt", "a/**/deep", "d/?h/**", "d/st*r", "d/**/star", "*top"]),
)
_to_write = st.one_of(st.sampled_from(["**", *_trees]), st.sampled_from([*FILES, "missing/**", "a/up", "d/to-b/**"]))
_left_out = st.lists(_to_read, max_size=2).map(tuple)


def _permits(action: str, patterns: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Permit, ...]]:
    one = st.builds(
        lambda resource, exclude: Permit(
            (action,), tuple(map(path_pattern, resource)), exclude=tuple(map(path_pattern, exclude))
        ),
        _few(patterns),
        _left_out,
    )
    return st.one_of(st.lists(one, max_size=1), st.lists(one, min_size=2, max_size=4)).map(tuple)


def _few(patterns: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Mostly one pattern: of two, few meet."""
    one = patterns.map(lambda pattern: [pattern])
    return st.one_of(one, one, one, st.lists(patterns, min_size=2, max_size=2))


_helds = st.builds(
    lambda reads, writes, protected: Held(reads, writes, (), tuple(map(path_pattern, protected))),
    _permits("fs.read", _to_read),
    _permits("fs.write", _to_write),
    st.lists(st.sampled_from(["a/b/**", "**/.h/**", "d/one.txt", "e/**"]), max_size=2),
)


@attrs.frozen
class Seen:
    """What a child could do, by its own account, and what would have been right."""

    held: Held
    expected: Expected
    level: str
    links: tuple[str, ...]
    can: dict[str, set[str]]
    listed: dict[str, list[str]]

    def check(self, workspace: Path, making: bool) -> None:
        for place in DIRECTORIES:
            self._check_directory(place, workspace / place, making)
        for place in (*FILES, *ODD):
            self._check_file(place)
            self._check_bytes(place, workspace / place)
        assert (workspace.with_name("outside") / "secret").read_bytes() == PROGRAM
        for link in self.links:
            self._check_sight(link, "readlink", self.expected.is_in_sight(f"$WORKSPACE/{link}"))
        for place, target in THROUGH.items() if self.links else ():
            self._check_through(place, target)
        for place in MISSING:
            assert not self.can[place] & {"read", "write", "append", "truncate", "execute"}, self._of(place)

    def _of(self, place: str) -> object:
        return place, self.can[place], self.listed.get(place), self.expected.confined

    def _allowed(self, permits: tuple[Permit, ...], family: str, canonical: str) -> bool:
        # The broker takes no control character in a name; a tree holds such a file as any other.
        access = Access(family, family, canonical.replace("\n", " "))
        return any(permit.mismatch(access, WHO, AT) is None for permit in permits)

    def _check_directory(self, place: str, path: Path, making: bool) -> None:
        name = f"$WORKSPACE/{place}"
        self._check_sight(place, "list", self.expected.is_in_sight(f"{name}/any"))
        for shown in self.listed.get(place, ()):
            assert self.expected.may_be_there(f"{name}/{shown}"), (shown, self._of(place))
        # A directory above what is granted may be of the command's own: what is done in it is not seen here.
        if "move" in self.can[place] and self.expected.is_granted(name):
            assert self.expected.may_write(name), self._of(place)
            assert self.expected.may_write(name + ".moved"), self._of(place)
        inner = f"{name}/.probe"
        may_make = making and self.expected.may_write(inner)
        made = {found.name for found in path.glob(".probe*")}
        assert made == ({".probe", ".probe-link", ".probe-nest"} if may_make else set()), self._of(place)
        assert not made or self._allowed(self.held.writes, "fs.write", inner), self._of(place)

    def _check_sight(self, place: str, word: str, is_in_sight: bool) -> None:
        """Names and texts of links show where a tree does; Landlock alone hides none of them (CONFINEMENT, hole 2)."""
        can = self.can[place]
        if is_in_sight:
            assert {"stat", word} <= can, self._of(place)
        if self.level != "landlock" and not self.expected.may_be_there(f"$WORKSPACE/{place}"):
            assert not can, self._of(place)

    def _check_file(self, place: str) -> None:
        name, can = f"$WORKSPACE/{place}", self.can[place]
        reads, writes = self.expected.may_read(name), self.expected.may_write(name)
        for word in ("read", "execute"):
            assert (word in can) == reads, (word, self._of(place))
        for word in ("write", "append", "truncate"):
            assert (word in can) == writes, (word, self._of(place))
        assert not reads or self._allowed(self.held.reads, "fs.read", name), self._of(place)
        assert not writes or self._allowed(self.held.writes, "fs.write", name), self._of(place)
        assert reads or "read elsewhere" not in can, self._of(place)
        assert writes or not can & {"write elsewhere", "take"}, self._of(place)
        self._check_sight(place, "stat", reads)
        moves = writes and self.expected.may_write(name + ".moved")
        for word in ("move", "unlink"):
            assert moves or word not in can, (word, self._of(place))
            assert word in can or not moves or self.expected.is_fixed(name), (word, self._of(place))

    def _check_bytes(self, place: str, path: Path) -> None:
        """What stands there now is what the child said: nothing, nothing in it, or what it was."""
        if "unlink" in self.can[place]:
            assert not path.exists(), self._of(place)
        else:
            assert path.read_bytes() == (b"" if "truncate" in self.can[place] else PROGRAM), self._of(place)

    def _check_through(self, place: str, target: str | None) -> None:
        """A symlink gives what its target does."""
        can = self.can[place]
        self._check_way(place, {"read"} & can, target, self.expected.may_read)
        self._check_way(place, {"write", "append", "truncate"} & can, target, self.expected.may_write)

    def _check_way(self, place: str, can: set[str], target: str | None, may: Callable[[str], bool]) -> None:
        given = target is not None and may(f"$WORKSPACE/{target}")
        assert given or not can, self._of(place)
        link = next(link for link in LINKS if place.startswith(link))
        if given and self.expected.is_in_sight(f"$WORKSPACE/{link}"):
            assert can, self._of(place)


@pytest.fixture(scope="module", params=["root-idmap", "userns", "bwrap", "landlock"])
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    if request.param == "root-idmap" and os.getuid() != 0:
        pytest.skip("root-idmap is for root")
    with closing(Cell(request.param)) as cell:
        assert not cell.unavailable, cell.unavailable
        yield cell


@attrs.frozen
class Case:
    """What a child holds, and whether there are symlinks in its tree."""

    held: Held
    confined: Confinement
    linked: bool

    @property
    def links(self) -> tuple[str, ...]:
        return tuple(LINKS) if self.linked else ()


@settings(max_examples=examples(40), deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
@given(held=_helds, linked=st.booleans())
def test_a_child_can_do_what_its_confinement_says_and_never_more_than_its_permits(
    cell: Cell, held: Held, linked: bool
) -> None:
    try:
        case = Case(held, confinement(held), linked)
    except Unenforceable:
        event("unenforceable")
        return
    for name in ("matched", "hidden", "sealed", "protected"):
        if getattr(case.confined, name):
            event(name)
    if not _try(cell, case, making=True):
        event("made what must not be")
        assert _try(cell, case, making=False)


def _try(cell: Cell, case: Case, making: bool) -> bool:
    """Have a child try everything, and check it; return whether it made nothing that must not be."""
    with tempfile.TemporaryDirectory(prefix="tek-tree-") as base:
        workspace = _tree(Path(base), cell, case)
        existing = {f"$WORKSPACE/{place}" for place in (*DIRECTORIES, *FILES, *ODD, *case.links)}
        result = _child(cell, workspace, case.held, making)
        if "escapes" in result.error:
            _check_nothing_stands(case.held, workspace)
            return False
        if reason := _refusal(cell, Expected(case.confined, frozenset(existing)), result):
            event(reason)
            return True
        assert result.code == 0, result
        made = {f"$WORKSPACE/{path.relative_to(workspace)}" for path in workspace.rglob("*") if path.is_dir()}
        found = json.loads(result.out)
        can = {place: set(words) for place, words in found["can"].items()}
        expected = Expected(case.confined, frozenset(existing | made))
        Seen(case.held, expected, cell.level, case.links, can, found["listed"]).check(workspace, making)
        return True


def _refusal(cell: Cell, expected: Expected, result: Result) -> str:
    """Return why no more is given than a confinement says, but less."""
    if cell.level in ("bwrap", "landlock") and result.error.startswith("EffectRefused"):
        return "refused at this level"
    if cell.level == "bwrap" and "could not prepare" in result.error and expected.confined.hidden:
        return "bwrap cannot put what is granted beneath what is masked"
    return "granted and left out at once" if expected.has_contradiction() else ""


def _child(cell: Cell, workspace: Path, held: Held, making: bool) -> Result:
    system = tuple(permit for permit in preset().reads if permit.resource[0].startswith("$SYSTEM"))
    mode = "making" if making else "leaving"
    everything = attrs.evolve(held, reads=(*held.reads, *system))
    return cell.run(workspace, "/usr/bin/python3", "-c", CHILD, json.dumps(PLACES), mode, held=everything)


def _tree(base: Path, cell: Cell, case: Case) -> Path:
    base.chmod(0o755)
    workspace, outside = base / "ws", base / "outside"
    for directory in (outside, workspace, *(workspace / name for name in DIRECTORIES)):
        directory.mkdir()
    for file in (outside / "secret", *(workspace / name for name in (*FILES, *ODD))):
        file.write_bytes(PROGRAM)
        file.chmod(0o755)
    for link in case.links:
        (workspace / link).symlink_to(LINKS[link].format(outside=outside))
    cell.own(*base.rglob("*"))
    return workspace


def _check_nothing_stands(held: Held, workspace: Path) -> None:
    """What was closed where there was nothing to hold on to is renamed when the command ends."""
    made = [path for path in workspace.rglob(".probe*") if ".refused-" not in path.name]
    for name in (f"$WORKSPACE/{path.relative_to(workspace)}" for path in made):
        access = Access("fs.write", "fs.write", name)
        assert any(permit.mismatch(access, WHO, AT) is None for permit in held.writes), name
        assert not any(match_path(pattern, name) for pattern in held.protected), name
