"""The pytest plugin: ``tek_world`` and ``tek_ledger``, drawn from a seed that ``--tek-seed`` sets."""

from __future__ import annotations

import os
import random
import shlex
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tek_executor.testing import MemoryLedger, World

_SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--tek-seed``."""
    parser.getgroup("tek").addoption(
        "--tek-seed", type=int, metavar="N", help="seed of tek_world; another one each time unless given"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed of this session; the workers of pytest-xdist get that of the process which started them."""
    given = getattr(config, "workerinput", {}).get("tek_seed", config.getoption("tek_seed"))
    config.stash[_SEED] = random.randrange(2**32) if given is None else given  # noqa: S311  # chance of tests


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: pytest.Item) -> None:
    """Hand the seed to a worker of pytest-xdist."""
    node.workerinput["tek_seed"] = node.config.stash[_SEED]  # type: ignore[attr-defined]  # a node of pytest-xdist


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say of a failure in which world it was seen, and how to see it again."""
    report = yield
    world = getattr(item, "funcargs", {}).get("tek_world")
    if report.failed and world is not None:
        report.sections.append(("tek_world", f"seed {world.seed}; see it again: {world.again}"))
    return report


@pytest.fixture
def tek_world(request: pytest.FixtureRequest) -> World:
    """An empty world in memory: fill its ``files``, ``commands``, ``pages``, then ``run`` or ``simulate`` an agent."""
    from tek_executor.testing import World

    seed = request.config.stash[_SEED]
    path = os.path.relpath(request.node.path, request.config.invocation_params.dir)
    test = "::".join((path, *request.node.nodeid.split("::")[1:]))
    return World(seed, f"pytest {shlex.quote(test)} --tek-seed={seed}")


@pytest.fixture
def tek_ledger(tek_world: World) -> MemoryLedger:
    """The ledger of the last run of ``tek_world``."""
    return tek_world.ledger
