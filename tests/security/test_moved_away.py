"""What must stay closed is not moved away with what is above it (CWE-706), nor looked for behind a symlink (CWE-59)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tek_abi.pattern import path_pattern
from tests.integration.cli import plan, tek
from tests.security.cell import Cell, granting
from tests.security.world import World


@pytest.fixture
def world(cell: Cell, worlds: Callable[[bool], World]) -> World:
    if not cell.seals:
        pytest.skip(f"{cell.level} keeps nothing closed within what is open, and refuses it")
    return worlds(True)


_WITHOUT = granting(
    reads=(path_pattern("**"),), writes=(path_pattern("**"),), exclude=(path_pattern("deep/within/**"),)
)


def _make(world: World, *directories: Path) -> None:
    for directory in directories:
        directory.mkdir(parents=True)
        (directory / "file").write_text("told")
        world.cell.own(directory.parent, directory, directory / "file")


def test_a_directory_above_what_is_left_out_stays_where_it_is(world: World) -> None:
    _make(world, world.workspace / "deep/within")
    for script in ("mv deep gone", "cat gone/within/file", "echo changed >gone/within/file"):
        result = world.cell.run(world.workspace, "sh", "-c", script, held=_WITHOUT)
        assert result.code != 0, result
    assert (world.workspace / "deep/within/file").read_text() == "told"


def test_nothing_behind_a_symlink_is_set_aside(world: World) -> None:
    (world.workspace / "deep").mkdir()
    world.cell.own(world.workspace / "deep")
    _make(world, world.outside / "within")
    script = f"rmdir deep && ln -s {world.outside} deep"
    world.cell.run(world.workspace, "sh", "-c", script, held=_WITHOUT)
    assert (world.outside / "within/file").read_text() == "told"


def test_configuration_behind_a_symlink_is_not_set_aside(tmp_path: Path) -> None:
    work, outside = tmp_path / "ws", tmp_path / "outside"
    outside.mkdir()
    (outside / "manifest.json").write_text("mine")
    plan(work, f"## Queue A — One\n\n### `TASK-001` Link\n\n```sh\nln -s {outside} config\n```\n")
    assert tek("run", cwd=work).code == 1
    assert os.listdir(outside) == ["manifest.json"]
    assert not os.path.lexists(work / "config")


def test_a_run_directory_is_not_moved_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    plan(tmp_path, "## Queue A — One\n\n### `TASK-001` Move\n\n```sh\nmv build gone\n```\n")
    assert tek("run", "--run-dir", "build/one", cwd=tmp_path).code == 1
    assert tek("replay", "build/one", cwd=tmp_path).code == 0


def test_a_repository_that_is_granted_is_not_moved(tmp_path: Path) -> None:
    (tmp_path / ".git/hooks").mkdir(parents=True)
    plan(tmp_path, "## Queue A — One\n\n### `TASK-001` Move\n\n```sh\nmv .git gone\n```\n")
    assert tek("run", "--allow", "fs.write:.git/**", cwd=tmp_path).code == 1
    assert (tmp_path / ".git/hooks").is_dir()
