"""A root that was built before its command was asked for shows what is there when it is (CWE-367)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tek_abi.pattern import path_pattern
from tests.security.cell import Cell, granting
from tests.security.world import World

_HELD = granting(
    reads=(path_pattern("**"),), writes=(path_pattern("**"),), exclude=(path_pattern("closed"), path_pattern("dir/**"))
)


@pytest.fixture
def world(cell: Cell, worlds: Callable[[bool], World]) -> World:
    if not cell.seals:
        pytest.skip(f"{cell.level} keeps nothing closed within what is open, and refuses it")
    made = worlds(True)
    (made.workspace / "closed").write_text("told")
    (made.workspace / "dir").mkdir()
    (made.workspace / "dir/file").write_text("told")
    cell.own(made.workspace / "closed", made.workspace / "dir", made.workspace / "dir/file")
    return made


def _sh(world: World, script: str) -> tuple[int | None, str]:
    result = world.cell.run(world.workspace, "sh", "-c", script, held=_HELD)
    return result.code, result.out + result.error


def _settle(world: World) -> None:
    """Let two commands ask for the same root, so that it is built ahead of a third."""
    for _ in range(2):
        assert _sh(world, "! cat closed && ! cat dir/file")[0] == 0
    time.sleep(0.05)  # nobody tells when it is done; had it not begun, the test would only show less


def _link_anew(path: Path) -> None:
    os.link(path, path.with_name("kept"))
    path.unlink()
    path.with_name("kept").rename(path)


def _rename_and_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    os.link(path.with_name("moved"), path)
    path.with_name("moved").unlink()


def _write_anew(path: Path) -> None:
    owner = path.stat()
    path.with_name("new").write_text("told anew")
    os.chown(path.with_name("new"), owner.st_uid, owner.st_gid)
    path.with_name("new").rename(path)


@pytest.mark.parametrize("change", [_link_anew, _rename_and_link, _write_anew])
def test_what_is_closed_stays_closed_though_its_name_is_made_anew(world: World, change: Callable[[Path], None]) -> None:
    for _ in range(3):
        _settle(world)
        change(world.workspace / "closed")
        assert _sh(world, "cat closed; echo changed >closed") == (_sh(world, "exit 2")[0], "")
        assert (world.workspace / "closed").read_text().startswith("told")


def test_a_closed_directory_stays_closed_though_another_takes_its_place(world: World) -> None:
    _settle(world)
    (world.workspace / "dir").rename(world.workspace / "old")
    (world.workspace / "dir").mkdir()
    (world.workspace / "dir/file").write_text("told")
    world.cell.own(world.workspace / "dir", world.workspace / "dir/file")
    assert _sh(world, "cat dir/file || cat dir/*")[1] == ""
    assert _sh(world, "cat old/file") == (0, "told")


def test_a_workspace_that_is_made_anew_is_the_one_that_is_seen(world: World) -> None:
    _settle(world)
    gone = world.workspace.with_name("gone")
    owner = world.workspace.stat()
    world.workspace.rename(gone)
    world.workspace.mkdir()
    (world.workspace / "fresh").write_text("here")
    world.cell.own(world.workspace, world.workspace / "fresh")
    os.chmod(world.workspace, owner.st_mode & 0o7777)
    assert _sh(world, "cat fresh") == (0, "here")


def test_scratch_is_new_for_each_command_and_as_large_as_its_budget(world: World) -> None:
    for _ in range(4):
        code, out = _sh(world, "test ! -e /tmp/left && echo x >/tmp/left && df -k /tmp | tail -n 1")
        assert code == 0
        assert int(out.split()[1]) < 20 * 1024  # the cell's budget for io, with room for the root itself
        time.sleep(0.02)
