"""Every attack at every level: none gets out, and the world around is what it was."""

from __future__ import annotations

import os

import pytest

from tek_effects_proc.program import SEARCH
from tests.security.attacks import ALL, HARMLESS, METADATA, SEALED
from tests.security.cell import LEVELS, Cell, Result, granting
from tests.security.world import World


def test_there_are_at_least_a_hundred_attacks_at_each_level() -> None:
    assert len(ALL) - len(SEALED) - len(METADATA) >= 100


def is_refused(result: Result) -> bool:
    """Whether a level refused a command that it cannot hold, and said what to do."""
    return "EffectRefused" in result.error and "cannot hold" in result.error and "grant" in result.error


class TestControls:
    """A confinement in which nothing works would pass every attack."""

    def test_the_workspace_can_be_read_and_written(self, world: World) -> None:
        script = "cat file; echo more >made; mkdir -p d; mv made d/moved; rm file; ln -s d/moved l; cat l; id -u"
        result = world.sh(script)
        assert result.code == 0, result
        assert result.out.startswith("ownmore\n")
        assert (world.workspace / "d" / "moved").read_text() == "more\n"
        assert (world.workspace / "d").stat().st_uid == world.workspace.stat().st_uid

    def test_programs_run_and_have_what_they_need(self, world: World) -> None:
        own = "cd ${TMPDIR:-/tmp}; echo y >t; cat t"
        script = f"echo x >/dev/null; {own}; test -r /dev/urandom; python3 -c 'print(1+1)' | cat"
        result = world.sh(script)
        assert (result.code, result.out) == (0, "y\n2\n"), result

    def test_an_attack_s_frame_works(self, world: World) -> None:
        assert "ESCAPED" in world.attack("return open('file').read() == 'own'").out
        assert "HELD" in world.attack("return False").out

    @pytest.mark.parametrize("name", HARMLESS)
    def test_without_confinement_it_succeeds(self, sealed_world: World, name: str) -> None:
        if name == "privileges: without a filter" and not sealed_world.cell.way.endswith(SEARCH):
            pytest.skip("a filter of the test's own refuses user namespaces here")
        result = sealed_world.attack(ALL[name], confined=False)
        assert "ESCAPED" in result.out, result


_WITHIN = frozenset(f"writing: {name}" for name in SEALED)
_NARROW = granting(reads=("**",), writes=("free/**",))


@pytest.mark.parametrize("name", sorted(set(ALL) - _WITHIN))
def test_attack(world: World, name: str) -> None:
    result = world.attack(ALL[name])

    if world.cell.level == "landlock" and name in METADATA:
        assert "ESCAPED" in result.out, "it is hidden after all: say so in docs/security.md"
    else:
        assert_held(world, result)
    assert_unchanged(world)


@pytest.mark.parametrize("name", sorted(_WITHIN))
def test_attack_on_what_stays_closed(sealed_world: World, name: str) -> None:
    result = sealed_world.attack(ALL[name])

    if not sealed_world.cell.seals:
        assert is_refused(result), result
        result = sealed_world.attack(ALL[name], held=_NARROW)
    assert_held(sealed_world, result)
    assert_unchanged(sealed_world)


def assert_held(world: World, result: Result) -> None:
    assert "ESCAPED" not in result.out, result
    assert "HELD" in result.out or result.code not in (0, None), result


def assert_unchanged(world: World) -> None:
    assert world.changed() == {}
    assert world.hits == []
    assert world.set_ids() == []


class TestNarrowPermits:
    """Less than the preset: what a permit does not name is not there, and what it names is there as named."""

    def test_only_what_is_granted_can_be_read(self, sealed_world: World) -> None:
        world = sealed_world
        held = granting(reads=("sub/**",))
        assert world.cell.run(world.workspace, "cat", "sub/.git/config", held=held).out == "[core]"
        assert world.cell.run(world.workspace, "cat", "file", held=held).code != 0

    def test_a_tree_to_write_is_not_one_to_read(self, sealed_world: World) -> None:
        world = sealed_world
        held = granting(reads=("config/**",), writes=("out/**",))
        script = "cp config/manifest.json out/copy && ! cat out/copy"
        result = world.cell.run(world.workspace, "sh", "-c", script, held=held)
        if world.cell.level == "bwrap":
            assert is_refused(result), result
            return
        assert result.code == 0
        assert (world.workspace / "out" / "copy").read_text() == "{}"

    def test_a_file_to_write_cannot_be_replaced(self, sealed_world: World) -> None:
        world = sealed_world
        held = granting(reads=("**",), writes=("file",))
        move = "echo x >${TMPDIR:-/tmp}/f && mv ${TMPDIR:-/tmp}/f file"
        assert world.cell.run(world.workspace, "sh", "-c", "echo new >file", held=held).code == 0
        assert world.cell.run(world.workspace, "sh", "-c", move, held=held).code != 0
        assert world.cell.run(world.workspace, "sh", "-c", "rm -f file", held=held).code != 0
        assert (world.workspace / "file").read_text() == "new\n"

    def test_what_is_left_out_of_reading_is_not_there(self, sealed_world: World) -> None:
        world = sealed_world
        held = granting(reads=("**",), exclude=("config/**", "file"))
        if world.cell.level == "landlock":
            assert is_refused(world.cell.run(world.workspace, "cat", ".git/HEAD", held=held))
            return
        for path in ("config/manifest.json", "file"):
            assert world.cell.run(world.workspace, "cat", path, held=held).code != 0
        assert world.cell.run(world.workspace, "cat", ".git/HEAD", held=held).code == 0

    def test_a_repository_that_may_be_written_stays_closed_where_it_runs_code(self, sealed_world: World) -> None:
        world = sealed_world
        held = granting(reads=("**",), writes=("**", ".git/**"))
        closed = ("echo x >.git/hooks/pre-commit", "echo x >.git/config", "mv .git/hooks h", "echo x >.git/modules/x")
        script = "echo x >.git/index; " + "; ".join(f"! {command}" for command in closed)
        result = world.cell.run(world.workspace, "sh", "-c", script, held=held)
        if not world.cell.seals:
            assert is_refused(result), result
            return
        assert result.code == 0, result
        assert (world.workspace / ".git" / "index").exists()


@pytest.mark.parametrize(("made", "script"), [
    ("new/.git", "mkdir -p new/.git/hooks && echo evil >new/.git/hooks/pre-commit"),
    ("d/.git", "mkdir d && echo 'gitdir: ../x' >d/.git"),
    ("d/.git", "mkdir d && ln -s /tmp d/.git"),
])  # fmt: skip
def test_a_repository_that_is_made_where_none_was_is_put_out_of_use(world: World, made: str, script: str) -> None:
    assert_put_out_of_use(world, made, world.sh(script))


def test_what_stays_closed_is_not_moved_away_with_a_directory_above_it(sealed_world: World) -> None:
    result = sealed_world.sh("mv sub away && echo evil >away/.git/hooks/pre-commit")
    if not sealed_world.cell.seals:
        assert is_refused(result), result
        return
    assert result.code != 0
    assert (sealed_world.workspace / "sub" / ".git" / "config").exists()
    assert not (sealed_world.workspace / "away").exists()


@pytest.mark.parametrize("name", ["config", ".git"])
def test_the_look_afterwards_follows_no_symlink_out_of_the_workspace(world: World, name: str) -> None:
    for inner in ("manifest.json", "config", "hooks"):
        (world.outside / inner).write_text("mine")
    place = world.workspace / name
    if place.exists():
        place.rename(world.workspace.with_name("kept"))
    before = sorted(path.name for path in world.outside.iterdir())

    result = world.sh(f"ln -s {world.outside} {name}")

    assert "escapes" in result.error, result
    assert not os.path.lexists(place)
    assert sorted(path.name for path in world.outside.iterdir()) == before


def assert_put_out_of_use(world: World, made: str, result: Result) -> None:
    assert "escapes" in result.error, result
    assert made in result.error
    assert not os.path.lexists(world.workspace / made)


@pytest.mark.parametrize("name", ["LD_PRELOAD", "BASH_ENV", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_CONFIG_COUNT"])
def test_no_variable_of_the_runner_reaches_a_command(world: World, name: str) -> None:
    assert f"{name}=" not in world.sh("env").out


def test_no_address_of_the_host_can_be_taken(world: World) -> None:
    taken = world.attack("s = socket.socket(1); s.bind(b'\\0tek-taken'); s.listen(); return True")
    assert ("ESCAPED" in taken.out) == (world.cell.level != "landlock"), "others have a namespace of their own"


def test_every_level_of_this_machine_is_tried(cell: Cell) -> None:
    assert cell.level in LEVELS
    assert cell.unavailable == ""
