"""The agent, in three ways: against a script, against any outcome, and in a world where everything goes wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Allow, parse_rule
from tek_abi.vocabulary.fs import Glob
from tek_agents import EffectDenied, EffectFailed, TaskCancelled
from tek_agents.testing import improvise, script, task
from tek_agents.testing.strategies import outcomes_to
from tek_changelog import Changelog
from tek_executor.testing import MemoryLedger, Ran, World

NOTES: dict[str, bytes | str] = {"changes/1.md": "- a faster start\n", "changes/2.md": "- one bug less\n"}


def test_without_notes_there_is_nothing_to_do() -> None:
    assert script([(Glob("changes/*.md"), ())]).run(Changelog()).status == "noop"


@given(st.data())
def test_whatever_comes_of_its_requests_it_reports_or_says_why_not(data: st.DataObject) -> None:
    try:
        report = improvise(Changelog(), lambda request: data.draw(outcomes_to(request)))
    except (EffectDenied, EffectFailed, TaskCancelled, UnicodeDecodeError):
        return
    assert report.status in ("ok", "noop")


@pytest.fixture
def world(tek_world: World) -> World:
    tek_world.files |= {**NOTES, "CHANGELOG.md": "## 2029-12-31\n\n- the first release\n"}
    return tek_world


def test_it_moves_the_notes_into_the_log(world: World, tek_ledger: MemoryLedger) -> None:
    ran = world.run(Changelog(), task(retries=1))

    assert ran.message == "folded 2 notes into CHANGELOG.md"
    assert list(ran.files) == ["CHANGELOG.md"]
    assert b"- a faster start" in ran.files["CHANGELOG.md"]
    assert [intent.envelope.effect for intent in tek_ledger.intents()].count("fs.remove") == 2


def test_it_writes_nowhere_else(world: World) -> None:
    log = parse_rule("fs.write:CHANGELOG.md"), parse_rule("fs.write:changes/*.md")

    assert world.run(Changelog(), task(allow=(Allow(log),))).status == "ok"
    assert world.run(Changelog(), task(allow=(Allow(log[:1]),))).status == "denied"


def test_no_note_is_lost_or_taken_twice_whatever_goes_wrong(world: World) -> None:
    def each_note_is_somewhere(ran: Ran) -> None:
        log = ran.files["CHANGELOG.md"].decode()
        for name, text in NOTES.items():
            assert log.count(str(text)) == 1 or (str(text) not in log and name in ran.files)

    world.simulate(Changelog(), task(retries=1), optional=("note",), always=each_note_is_somewhere)
