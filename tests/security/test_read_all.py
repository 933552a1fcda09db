"""A permit to read all of / shows what is there, and nothing of what a root has of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tek_abi.pattern import path_pattern
from tests.security.cell import Cell, granting
from tests.security.world import World

_READS_ALL = granting(reads=("$SYSTEM/**", path_pattern("**")), writes=(path_pattern("out/**"),))


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory in no tree that a root has of its own, with a file and a directory."""
    with TemporaryDirectory(prefix="tek-elsewhere-", dir="/var/tmp") as name:
        (Path(name) / "dir").mkdir()
        for path in (Path(name) / "file", Path(name) / "dir/leaf"):
            path.write_text("told")
        for path in (Path(name), Path(name) / "dir"):
            path.chmod(0o755)
        yield Path(name)


def test_what_stands_anywhere_is_read_and_nothing_of_it_written(
    cell: Cell, worlds: Callable[[bool], World], elsewhere: Path
) -> None:
    file = elsewhere / "file"
    file.chmod(0o666)

    script = f"cat {file}; echo changed >{file}"
    result = cell.run(worlds(cell.seals).workspace, "sh", "-c", script, held=_READS_ALL)

    assert result.out == "told", result.error
    assert file.read_text() == "told"


def test_temporary_files_and_processes_are_its_own_still(cell: Cell, worlds: Callable[[bool], World]) -> None:
    world = worlds(cell.seals)

    script = 'name=$(mktemp) && echo x >"$name" && cat "$name"; ls /sys /proc/1/root 2>/dev/null; true'
    result = cell.run(world.workspace, "sh", "-c", script, held=_READS_ALL)

    assert (result.code, result.out) == (0, "x\n"), result.error


def test_what_is_left_out_of_it_stays_closed(cell: Cell, worlds: Callable[[bool], World], elsewhere: Path) -> None:
    world = worlds(True)
    if not cell.seals:
        pytest.skip(f"{cell.level} keeps nothing closed within what is open, and refuses it")
    held = granting(reads=("$SYSTEM/**",), exclude=(f"$SYSTEM{elsewhere}/dir/**",))

    result = cell.run(world.workspace, "cat", str(elsewhere / "file"), str(elsewhere / "dir/leaf"), held=held)

    assert result.out == "told"
    assert result.code != 0
