"""From permits to what the operating system is told: the pure part, and what it finds on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Caveat, Permit, preset_permits
from tek_abi.pattern import match_path, path_pattern
from tek_abi.policy import PROTECTED
from tek_effects_proc.confinement import Confinement, Region, Unenforceable, confinement
from tek_effects_proc.known import Known
from tek_effects_proc.layout import Bind, Ground, TooManyMatches
from tek_effects_proc.marked import find_marked
from tek_kernel.effect import Held
from tests.size import examples


def permit(*resource: str, exclude: tuple[str, ...] = (), caveats: tuple[Caveat, ...] = ()) -> Permit:
    return Permit(("fs.read",), resource, exclude=exclude, caveats=caveats)


def reads(*permits: Permit) -> Confinement:
    return confinement(Held(reads=permits))


def writes(*permits: Permit, protected: tuple[str, ...] = ()) -> Confinement:
    return confinement(Held(writes=permits, protected=protected))


class TestRegions:
    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            (("src/**",), ["$WORKSPACE/src/**"]),
            (("README.md",), ["$WORKSPACE/README.md"]),
            (("**", "src/**"), ["$WORKSPACE/src/**"]),
            (("src/**", "src/deep/**"), ["$WORKSPACE/src/deep/**"]),
            (("src/**", "src/a.txt"), ["$WORKSPACE/src/a.txt"]),
            (("src/**", "out/**"), []),
            (("src/**", "srcs/**"), []),
            (("src", "src/**"), ["$WORKSPACE/src"]),
            (("/usr/**", "/usr/lib/**"), ["$SYSTEM/usr/lib/**"]),
        ],
    )
    def test_a_conjunction_is_the_narrower_of_its_patterns_or_nothing(
        self, patterns: tuple[str, ...], expected: list[str]
    ) -> None:
        assert list(map(str, reads(permit(*patterns)).reads)) == expected

    def test_another_form_gives_the_files_that_match_and_no_tree(self) -> None:
        found = reads(permit("src/*.py"))
        assert found.reads == ()
        assert [p.resource for p in found.matched] == [("src/*.py",)]

    def test_another_form_to_write_is_refused(self) -> None:
        with pytest.raises(Unenforceable, match=r"out/\*\.txt"):
            writes(permit("out/*.txt"))

    def test_unless_a_tree_gives_as_much(self) -> None:
        assert writes(permit("out/*.txt"), permit("out/**")).writes == (Region("$WORKSPACE/out", True),)

    @pytest.mark.parametrize("caveat", [Caveat("max_bytes", 10), Caveat("max_uses", 1), Caveat("unknown", 1)])
    def test_a_permit_with_a_caveat_gives_a_child_nothing(self, caveat: Caveat) -> None:
        assert reads(permit("src/**", caveats=(caveat,))) == Confinement()
        assert writes(permit("out/*.txt", caveats=(caveat,))) == Confinement()

    def test_what_one_permit_leaves_out_another_without_exclusions_gives_back(self) -> None:
        narrow = permit("**", exclude=("secrets/**",))
        assert reads(narrow).hidden == ("$WORKSPACE/secrets/**",)
        assert reads(narrow, permit("**")).hidden == ()

    def test_a_grant_with_exclusions_takes_no_other_grant_away(self) -> None:
        preset = permit("**", exclude=("**/.git/**", "config/**"))
        given = reads(preset, permit("out/**", exclude=("out/keep/**",)))
        assert given.hidden == ("$WORKSPACE/**/.git/**", "$WORKSPACE/config/**")
        assert given.may_read("$WORKSPACE/out/keep/file")

    @pytest.mark.parametrize("turned", [False, True])
    def test_what_each_of_two_permits_leaves_out_stays_closed(self, turned: bool) -> None:
        both = [permit("**", exclude=("a/**", "x/**")), permit("**", exclude=("a/b/**", "y/**"))]
        given = reads(*(reversed(both) if turned else both))
        assert not given.may_read("$WORKSPACE/a/b/file")
        assert given.may_read("$WORKSPACE/y/file") or given.may_read("$WORKSPACE/x/file")

    def test_no_network_where_no_permit_names_one(self) -> None:
        assert not reads().network
        assert confinement(Held(net=(Permit(("net",), ("GET https://example.org:443/**",)),))).network


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    root = tmp_path.resolve() / "ws"
    for directory in ("src", "out", "sub/.git/hooks", ".git/hooks", "secrets"):
        (root / directory).mkdir(parents=True)
    for file in ("src/a.py", "src/b.txt", "secrets/key", ".git/config"):
        (root / file).write_text("x")
    os.symlink("/etc", root / "link")
    return Ground(str(root), "/home/someone")


def found(ground: Ground, given: Confinement) -> dict[str, tuple[bool, bool, bool]]:
    """Return the binds within the workspace: readable, writable, masked."""
    binds = ground.layout(given).binds
    root = ground.workspace
    return {b.path.removeprefix(root): (b.read, b.write, b.masked) for b in binds if b.path.startswith(root)}


class TestLayout:
    def test_the_preset_seals_every_repository_in_the_workspace(self, ground: Ground) -> None:
        permits = preset_permits("workspace-write")
        kinds = (tuple(p for p in permits if p.action == (action,)) for action in ("fs.read", "fs.write"))
        held = Held(next(kinds), next(kinds), (), PROTECTED)

        assert found(ground, confinement(held)) == {
            "": (True, True, False),
            "/.git": (True, False, False),
            # A mount point cannot be moved away, and what is closed with it.
            "/sub": (True, True, False),
            "/sub/.git": (True, False, False),
        }

    def test_a_repository_that_is_granted_stays_closed_where_it_runs_code(self, ground: Ground) -> None:
        given = writes(permit("**", exclude=("**/.git/**",)), permit(".git/**"), protected=PROTECTED)

        assert found(ground, given) == {
            "": (False, True, False),
            "/.git": (False, True, False),
            "/.git/config": (False, False, False),
            "/.git/hooks": (False, False, False),
            "/sub": (False, True, False),
            "/sub/.git": (False, False, False),
        }

    def test_what_is_left_out_of_reading_is_masked(self, ground: Ground) -> None:
        given = reads(permit("**", exclude=("secrets/**",)), permit("secrets/key"))
        assert found(ground, given) == {
            "": (True, False, False),
            "/secrets": (False, False, True),
            "/secrets/key": (True, False, False),
        }

    def test_what_two_permits_leave_out_and_a_third_grants_is_given(self, ground: Ground) -> None:
        (Path(ground.workspace) / "a/b").mkdir(parents=True)
        around, within, own = "$WORKSPACE/**", "$WORKSPACE/a/b/**", "$WORKSPACE/a/b/c/**"
        held = Held(
            (Permit(("fs.read",), (around,), exclude=(within,)), Permit(("fs.read",), (within,), exclude=(own,))),
            (Permit(("fs.write",), (around,), exclude=(within,)),),
        )
        (bind,) = [bind for bind in ground.layout(confinement(held)).binds if bind.path.endswith("/a/b")]
        assert (bind.read, bind.write, bind.masked) == (True, False, False)

    def test_of_another_form_the_files_that_match_are_given(self, ground: Ground) -> None:
        assert found(ground, reads(permit("src/*.py"))) == {"/src/a.py": (True, False, False)}

    def test_too_many_matches_are_refused(self, ground: Ground) -> None:
        for number in range(1001):
            (Path(ground.workspace) / "src" / f"{number}.py").touch()
        with pytest.raises(TooManyMatches, match="dir"):
            ground.layout(reads(permit("src/*.py")))

    def test_no_symlink_is_followed(self, ground: Ground) -> None:
        layout = ground.layout(reads(permit("link/**")))
        assert layout.binds == ()
        assert layout.links == ((f"{ground.workspace}/link", "/etc"),)

    def test_a_missing_tree_to_write_is_made_and_a_missing_file_is_not(self, ground: Ground) -> None:
        layout = ground.layout(writes(permit("new/deep/**"), permit("file.txt")))
        assert layout.made == (f"{ground.workspace}/new", f"{ground.workspace}/new/deep")
        assert layout.missing == ("$WORKSPACE/file.txt",)

    def test_no_tree_is_made_through_a_symlink(self, ground: Ground, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        os.symlink(outside, f"{ground.workspace}/out/away")
        assert ground.layout(writes(permit("out/away/new/**"))).made == ()
        assert list(outside.iterdir()) == []

    def test_the_host_s_own_trees_of_processes_and_devices_are_never_given(self, ground: Ground) -> None:
        assert ground.layout(reads(permit("/proc/**"), permit("/sys/**"), permit("/dev/**"))).binds == ()

    def test_its_own_memory_is_not_above_what_must_not_be_read(self, ground: Ground) -> None:
        assert "/tmp" in ground.layout(reads(permit("**"))).scratch
        if ground.workspace.startswith("/tmp/"):
            assert "/tmp" not in ground.layout(writes(permit("out/**"))).scratch

    def test_sees_follows_the_nearest_bind(self, ground: Ground) -> None:
        layout = ground.layout(reads(permit("**", exclude=("secrets/**",))))
        assert layout.sees(f"{ground.workspace}/src/a.py")
        assert not layout.sees(f"{ground.workspace}/secrets/key")
        assert not layout.sees(f"{ground.workspace}-evil")
        assert Bind("/x", read=True, write=False) not in layout.binds


class TestMarked:
    def test_what_is_new_or_replaced_is_told_and_what_moved_is_not(self, ground: Ground) -> None:
        given = writes(permit("**", exclude=("**/.git/**",)))
        root = Path(ground.workspace)
        known = Known()
        known.begin(lambda: ground.layout(given), [ground.workspace])

        (root / "sub").rename(root / "moved")
        assert known.untrusted(find_marked(ground, given)) == {}
        (root / "sub" / ".git").mkdir(parents=True)
        (root / "deep" / "er" / ".git").mkdir(parents=True)
        (root / ".git").rename(root / "old")
        (root / ".git").write_text("gitdir: elsewhere")

        changed = {path.removeprefix(ground.workspace) for path in known.untrusted(find_marked(ground, given))}
        assert changed == {"/sub/.git", "/deep/er/.git", "/.git"}

    def test_what_is_new_is_trusted_where_no_other_command_may_write(self, ground: Ground) -> None:
        root = Path(ground.workspace)
        narrow, wide = writes(permit("out/**")), writes(permit("**", exclude=("**/.git/**",)))
        (root / "out").mkdir(exist_ok=True)
        known = Known()
        known.begin(lambda: ground.layout(narrow), [f"{root}/out"])
        (root / "beside" / ".git").mkdir(parents=True)
        (root / "out" / ".git").mkdir()

        _, planted = known.begin(lambda: ground.layout(wide), [ground.workspace])
        assert set(planted) == {f"{root}/out/.git"}

        (root / "late" / ".git").mkdir(parents=True)
        _, planted = known.begin(lambda: ground.layout(wide), [ground.workspace])
        assert set(planted) == {f"{root}/out/.git", f"{root}/late/.git"}, "the one before may have made it"

    def test_a_pattern_in_the_middle_of_a_path(self, ground: Ground) -> None:
        root = Path(ground.workspace)
        (root / ".git" / "worktrees" / "one").mkdir(parents=True)
        (root / ".git" / "worktrees" / "one" / "config.worktree").touch()
        given = writes(permit("**"), protected=("$WORKSPACE/**/.git/worktrees/*/config.worktree",))

        assert [Path(path).name for path in find_marked(ground, given).protected] == ["config.worktree"]

    def test_a_pattern_that_repeats_a_name_is_found_at_every_depth(self, ground: Ground) -> None:
        deep = Path(ground.workspace) / "a" / "a" / "a"
        (deep / "leaf").mkdir(parents=True)
        given = writes(permit("**"), protected=("$WORKSPACE/**/a/a/leaf", "$WORKSPACE/src/**/**"))

        assert {Path(path).name for path in find_marked(ground, given).protected} == {"leaf", "src"}


class TestNearestMark:
    def test_a_permit_that_leaves_out_its_own_region_gives_nothing(self) -> None:
        assert writes(permit("a/**", exclude=("a/**",))).writes == ()
        assert writes(permit("a/**", exclude=("**",))).writes == ()
        assert reads(permit("a/x", exclude=("**/x",))).reads == ()

    def test_what_is_left_out_of_reading_is_not_read_for_being_written(self) -> None:
        with pytest.raises(Unenforceable, match=r"grant fs\.read on it too"):
            confinement(Held(reads=(permit("**", exclude=("a/**",)),), writes=(permit("a/x"),)))

    def test_what_is_left_out_of_writing_is_not_written_for_being_read(self) -> None:
        found = confinement(Held(reads=(permit("a/x"),), writes=(permit("**", exclude=("a/**",)),)))
        assert not found.may_write("$WORKSPACE/a/x")
        assert found.may_write("$WORKSPACE/b")

    def test_a_region_within_what_is_left_out_is_nearer(self) -> None:
        found = confinement(Held(writes=(permit("**", exclude=("a/**",)), permit("a/b/**"))))
        assert found.may_write("$WORKSPACE/a/b/x")
        assert not found.may_write("$WORKSPACE/a/x")

    def test_a_directory_that_was_granted_as_a_file_is_no_tree(self) -> None:
        found = reads(permit("a"))
        assert found.may_read("$WORKSPACE/a")
        assert not found.may_read("$WORKSPACE/a", is_tree=True)


_NAMES = st.sampled_from(["a", "b", "k"])
_DIRECTORIES = st.lists(_NAMES, max_size=3).map("/".join)
_TREES = _DIRECTORIES.map(lambda path: f"{path}/**".lstrip("/"))
_LEFT_OUT = _TREES | _NAMES.map(lambda name: f"**/{name}/**") | _DIRECTORIES.filter(bool)


@settings(max_examples=examples(500), deadline=None)
@given(
    st.lists(st.builds(permit, _TREES, exclude=st.lists(_LEFT_OUT, max_size=2).map(tuple)), min_size=1, max_size=4),
    st.lists(_NAMES, min_size=1, max_size=5).map("/".join),
)
def test_a_child_reads_nothing_that_every_permit_leaves_out(permits: list[Permit], path: str) -> None:
    """Invariant 2: a confinement never exceeds the permits that it is made of."""
    name = f"$WORKSPACE/{path}"
    covered = any(
        match_path(path_pattern(one.resource[0]), name)
        and not any(match_path(path_pattern(pattern), name) for pattern in one.exclude)
        for one in permits
    )
    assert covered or not reads(*permits).may_read(name)


def closed_in(ground: Ground, given: Confinement) -> set[str]:
    marked = find_marked(ground, given)
    return {path.removeprefix(ground.workspace) for path in {**marked.sealed, **marked.protected}}


class TestWalks:
    def test_beneath_what_is_closed_nothing_is_looked_for_but_what_is_hidden(self, ground: Ground) -> None:
        root = Path(ground.workspace)
        for place in ("runs/old/.git", "runs/open/.git", "src/.git"):
            (root / place).mkdir(parents=True)
        marks = ("**/.git/**", "runs/**")
        closed = writes(permit("**", exclude=marks))
        nested = writes(permit("**", exclude=marks), permit("runs/open/**", exclude=("**/.git/**",)))

        assert {"/runs", "/src/.git"} <= closed_in(ground, closed)
        assert not {"/runs/old/.git", "/runs/open/.git"} & closed_in(ground, closed)
        assert {"/runs/open/.git", "/src/.git"} <= closed_in(ground, nested)

    def test_what_is_hidden_is_found_there_too(self, ground: Ground) -> None:
        root = Path(ground.workspace)
        (root / "runs").mkdir(exist_ok=True)
        (root / "runs" / ".env").touch()
        readable, writable = permit("**", exclude=("**/.env",)), permit("**", exclude=("runs/**",))
        held = confinement(Held(reads=(readable,), writes=(writable,)))
        assert f"{root}/runs/.env" in find_marked(ground, held).hidden
