"""The agents: whatever comes of their requests, and in a world where everything goes wrong."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Allow, Assignment, parse_rule
from tek_agents import EffectDenied, EffectFailed, TaskCancelled
from tek_agents.testing import improvise, task
from tek_agents.testing.strategies import outcomes_to
from tek_executor.testing import MemoryLedger, Ran, World
from tek_review import Fixer, Reviewer

SOURCES: dict[str, bytes | str] = {
    "src/a.py": "def a():\n    try:\n        pass\n    except:\n        pass\n",
    "src/b.py": '"""Nothing to be found."""\n',
}


def assigned(*rules: str) -> Assignment:
    """Return a task as the plan has it, with what it may ask for."""
    given = task(allow=(Allow(tuple(map(parse_rule, rules))),) if rules else ())
    return attrs.evolve(given, task=attrs.evolve(given.task, inputs=("src/**/*.py",), outputs=("review.md",)))


@pytest.fixture
def world(tek_world: World) -> World:
    tek_world.files |= SOURCES
    return tek_world


@given(st.data())
def test_whatever_comes_of_its_requests_it_reports_or_says_why_not(data: st.DataObject) -> None:
    try:
        report = improvise(Reviewer(), lambda request: data.draw(outcomes_to(request)), assigned())
    except (EffectDenied, EffectFailed, TaskCancelled):
        return
    assert report.status == "ok"


def test_it_writes_one_file_and_asks_for_nothing_but_files(world: World, tek_ledger: MemoryLedger) -> None:
    ran = world.run(Reviewer(), assigned("fs.read:src/**", "fs.write:review.md"))

    assert (ran.status, ran.message) == ("ok", "2 findings in 2 files")
    assert {intent.envelope.effect for intent in tek_ledger.intents()} == {"fs.glob", "fs.read", "fs.write"}
    assert {**ran.files, "review.md": b""} == {
        **{path: str(text).encode() for path, text in SOURCES.items()},
        "review.md": b"",
    }
    assert b"`src/a.py:4` **bare-except**" in ran.files["review.md"]


def test_the_sources_stay_as_they_are_whatever_goes_wrong(world: World) -> None:
    def untouched(ran: Ran) -> None:
        assert {path: ran.files[path].decode() for path in SOURCES} == SOURCES

    world.simulate(Reviewer(), assigned(), always=untouched)


def test_the_fixer_changes_sources_where_it_may_and_none_where_it_may_not(world: World) -> None:
    denied = world.run(Fixer(), assigned("fs.read:src/**", "fs.write:review.md"))
    assert denied.status == "denied"
    assert denied.files["src/a.py"] == str(SOURCES["src/a.py"]).encode()

    repaired = world.run(Fixer(), assigned("fs.read:src/**", "fs.write:src/**"))
    assert (repaired.status, repaired.message) == ("ok", "repaired src/a.py")
    assert b"    except Exception:\n" in repaired.files["src/a.py"]
