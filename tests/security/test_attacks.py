"""Every attack at every level: none gets out, and the world around is what it was."""

from __future__ import annotations

import os

import pytest

from tests.security.attacks import ALL, HARMLESS
from tests.security.cell import LEVELS, Cell, granting
from tests.security.world import World


def test_there_are_at_least_a_hundred_attacks() -> None:
    assert len(ALL) >= 100


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
        script = "echo x >/dev/null; echo y >/tmp/t; cat /tmp/t; test -r /dev/urandom; python3 -c 'print(1+1)' | cat"
        result = world.sh(script)
        assert (result.code, result.out) == (0, "y\n2\n"), result

    def test_an_attack_s_frame_works(self, world: World) -> None:
        assert "ESCAPED" in world.attack("return open('file').read() == 'own'").out
        assert "HELD" in world.attack("return False").out

    @pytest.mark.parametrize("name", HARMLESS)
    def test_without_confinement_it_succeeds(self, world: World, name: str) -> None:
        result = world.attack(ALL[name], confined=False)
        assert "ESCAPED" in result.out, result


@pytest.mark.parametrize("name", ALL)
def test_attack(world: World, name: str) -> None:
    result = world.attack(ALL[name])

    assert "ESCAPED" not in result.out, result
    assert "HELD" in result.out or result.code not in (0, None), result
    assert world.changed() == {}
    assert world.hits == []
    assert world.set_ids() == []


class TestNarrowPermits:
    """Less than the preset: what a permit does not name is not there, and what it names is there as named."""

    def test_only_what_is_granted_can_be_read(self, world: World) -> None:
        held = granting(reads=("sub/**",))
        assert world.cell.run(world.workspace, "cat", "sub/.git/config", held=held).out == "[core]"
        assert world.cell.run(world.workspace, "cat", "file", held=held).code != 0

    def test_a_tree_to_write_is_not_one_to_read(self, world: World) -> None:
        held = granting(reads=("config/**",), writes=("out/**",))
        script = "cp config/manifest.json out/copy && ! cat out/copy"
        assert world.cell.run(world.workspace, "sh", "-c", script, held=held).code == 0
        assert (world.workspace / "out" / "copy").read_text() == "{}"

    def test_a_file_to_write_cannot_be_replaced(self, world: World) -> None:
        held = granting(reads=("**",), writes=("file",))
        assert world.cell.run(world.workspace, "sh", "-c", "echo new >file", held=held).code == 0
        assert world.cell.run(world.workspace, "sh", "-c", "echo x >/tmp/f; mv /tmp/f file", held=held).code != 0
        assert world.cell.run(world.workspace, "sh", "-c", "rm -f file", held=held).code != 0
        assert (world.workspace / "file").read_text() == "new\n"

    def test_what_is_left_out_of_reading_is_not_there(self, world: World) -> None:
        held = granting(reads=("**",), exclude=("config/**", "file"))
        for path in ("config/manifest.json", "file"):
            assert world.cell.run(world.workspace, "cat", path, held=held).code != 0
        assert world.cell.run(world.workspace, "cat", ".git/HEAD", held=held).code == 0

    def test_a_repository_that_may_be_written_stays_closed_where_it_runs_code(self, world: World) -> None:
        held = granting(reads=("**",), writes=("**", ".git/**"))
        closed = ("echo x >.git/hooks/pre-commit", "echo x >.git/config", "mv .git/hooks h", "echo x >.git/modules/x")
        script = "echo x >.git/index; " + "; ".join(f"! {command}" for command in closed)
        result = world.cell.run(world.workspace, "sh", "-c", script, held=held)
        assert result.code == 0, result
        assert (world.workspace / ".git" / "index").exists()


@pytest.mark.parametrize(("made", "script"), [
    ("new/.git", "mkdir -p new/.git/hooks && echo evil >new/.git/hooks/pre-commit"),
    ("sub/.git", "mv sub away && mkdir -p sub/.git/hooks && echo evil >sub/.git/hooks/pre-commit"),
    ("d/.git", "mkdir d && echo 'gitdir: ../x' >d/.git"),
    ("d/.git", "mkdir d && ln -s /tmp d/.git"),
])  # fmt: skip
def test_a_repository_that_is_made_where_none_was_is_put_out_of_use(world: World, made: str, script: str) -> None:
    result = world.sh(script)

    assert "escapes" in result.error
    assert made in result.error
    assert not os.path.lexists(world.workspace / made)


@pytest.mark.parametrize("name", ["LD_PRELOAD", "BASH_ENV", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_CONFIG_COUNT"])
def test_no_variable_of_the_runner_reaches_a_command(world: World, name: str) -> None:
    assert f"{name}=" not in world.sh("env").out


def test_every_level_of_this_machine_is_tried(cell: Cell) -> None:
    assert cell.level in LEVELS
