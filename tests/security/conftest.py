from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.security.cell import LEVELS, Cell
from tests.security.world import World

_BROKEN = ("what must work", "a confined process could", "the self-test")


@pytest.fixture(scope="session", params=LEVELS)
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    """A cell at each level. What is impossible here is skipped with the doctor's reason; what is broken fails."""
    with closing(Cell(request.param)) as cell:
        if cell.unavailable.startswith(_BROKEN):
            pytest.fail(cell.unavailable)
        if cell.unavailable:
            pytest.skip(f"{cell.level}: {cell.unavailable}")
        yield cell


@pytest.fixture
def worlds(cell: Cell) -> Iterator[Callable[[bool], World]]:
    with ExitStack() as made:

        def make(sealed: bool) -> World:
            # Not in pytest's own directory, which an ordinary user's cell cannot enter.
            base = Path(made.enter_context(TemporaryDirectory(prefix="tek-world-"))).resolve()
            base.chmod(0o755)
            return made.enter_context(closing(World(cell, base, sealed)))

        yield make


@pytest.fixture
def world(cell: Cell, worlds: Callable[[bool], World]) -> World:
    """A world in which the preset can be held: at some levels only where nothing in it must stay closed."""
    return worlds(cell.seals)


@pytest.fixture
def sealed_world(worlds: Callable[[bool], World]) -> World:
    """A world with repositories, configuration and a run in its workspace."""
    return worlds(True)
