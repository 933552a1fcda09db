from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.cell import LEVELS, Cell
from tests.security.world import World


@pytest.fixture(scope="session", params=LEVELS)
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    cell = Cell(request.param)
    yield cell
    cell.close()


@pytest.fixture
def world(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    base = tmp_path_factory.mktemp("world").resolve()
    for directory in (base, *base.parents):
        if str(directory).startswith("/tmp/") and os.stat(directory).st_uid == os.getuid():
            os.chmod(directory, 0o755)  # an ordinary user's cell must get here
    made = World(cell, Path(base))
    yield made
    made.close()
