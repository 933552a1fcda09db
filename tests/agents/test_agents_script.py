"""tek_agents.testing: an agent against a script."""

from __future__ import annotations

import doctest
import gc
from typing import Any

import pytest

import tek_agents.testing.scripting
from tek_abi import Assignment, Blob, Bound, Budget, Cancelled, Denial, Denied, Ok, TaskReport
from tek_abi.vocabulary.core import Note, Now
from tek_abi.vocabulary.fs import Read, Write
from tek_agents import EffectDenied, TaskCancelled, bounded, fs, gather, note, race
from tek_agents.testing import ScriptMismatch, exited, script, task


async def copying(source: str = "a", target: str = "b") -> str:
    text = await fs.read_text(source)
    await fs.write_text(target, text)
    return text


def mismatch(lines: list[tuple[Any, Any]], call: Any) -> str:
    with pytest.raises(ScriptMismatch) as caught:
        script(lines).run(call)
    return str(caught.value)


def test_the_examples_of_the_documentation_hold() -> None:
    results = doctest.testmod(tek_agents.testing.scripting)

    assert results.attempted > 0
    assert results.failed == 0


def test_a_script_that_is_followed_gives_the_result() -> None:
    assert script([(Read("a"), b"A"), (Write("b", Blob.of(b"A")), None)]).run(copying()) == "A"


def test_a_script_can_be_run_again() -> None:
    same = script([(Note("x"), None)])

    assert [same.run(note("x")), same.run(note("x"))] == [None, None]


def test_an_agent_gets_its_task() -> None:
    class Titled:
        async def run(self, task: Assignment) -> TaskReport:
            return TaskReport(message=f"{task.id} {task.title} {task.task.layer} {task.attempt}")

    assert script([]).run(Titled()).message == "TASK-001 TASK-001 foundation 1"
    assert script([]).run(Titled(), task("TASK-030", title="T", attempt=2)).message == "TASK-030 T platform 2"


def test_requests_of_a_retry_are_numbered_from_the_progress() -> None:
    class Twice:
        async def run(self, task: Assignment) -> TaskReport:
            await race(note("a"), note("b"))
            return TaskReport()

    with pytest.raises(ScriptMismatch, match=r"the race at \[3\] is won by 0; \[3, 1, 0\] is lost"):
        script([(Note("a"), None), (Note("c"), None)]).run(Twice(), task(progress=3))


def test_an_outcome_may_be_given_in_any_form() -> None:
    assert script([(Read("a"), Blob.of(b"A"))]).run(fs.read_text("a")) == "A"
    assert script([(Now(), Ok("2026-01-31T12:00:00.000000Z"))]).run(_awaited(Now())) == "2026-01-31T12:00:00.000000Z"
    with pytest.raises(EffectDenied):
        script([(Read("a"), Denied(Denial("permit", "no")))]).run(fs.read_text("a"))
    with pytest.raises(TaskCancelled):
        script([(Read("a"), Cancelled("timeout"))]).run(fs.read_text("a"))
    with pytest.raises(ZeroDivisionError):
        script([(Read("a"), ZeroDivisionError())]).run(fs.read_text("a"))


def test_an_answer_of_the_wrong_type_is_the_scripts_mistake() -> None:
    assert "the script's answer to fs.read(path='a') is not one" in mismatch([(Read("a"), 5)], fs.read_text("a"))
    assert "the script's answer to clock.now() is not one" in mismatch([(Now(), 1.5)], _awaited(Now()))


def test_requests_open_at_the_same_time_are_answered_in_the_order_of_the_script() -> None:
    lines = [(Read("b"), b"B"), (Read("a"), b"A")]

    assert script(lines).run(_awaited(gather(fs.read_text("a"), fs.read_text("b")))) == ["A", "B"]


def test_equal_requests_open_at_the_same_time_are_answered_in_the_order_of_the_source() -> None:
    lines = [(Read("a"), b"1"), (Read("a"), b"2")]

    assert script(lines).run(_awaited(gather(fs.read_text("a"), fs.read_text("a")))) == ["1", "2"]


def test_losers_of_a_race_need_no_outcome() -> None:
    async def nested() -> tuple[int, Any]:
        return await race(note("a"), _awaited(race(note("b"), note("c"))))

    assert script([(Note("c"), None)]).run(nested()) == (1, (1, None))


def test_a_bound_in_the_script_asks_for_the_same_reservation() -> None:
    asked = bounded(Note("a"), budget=Budget(ms=5))
    assert script([(Note("a"), None)]).run(_awaited(asked)) is None

    text = mismatch([(Bound(Note("a"), Budget(ms=6)), None)], _awaited(bounded(Note("a"), budget=Budget(ms=5))))

    assert "  budget: expected Budget(ms=6, tokens=0, io=0), actual Budget(ms=5, tokens=0, io=0)" in text


def test_another_request_is_shown_field_by_field_after_what_went_well() -> None:
    text = mismatch([(Read("a"), b"A"), (Write("c", Blob.of(b"A"), 0o600), None)], copying())

    blob = Blob.of(b"A")
    assert text.splitlines() == [
        "the agent does not follow its script",
        "  1. fs.read(path='a') -> 1 bytes",
        f"expected: fs.write(path='c', data={blob!r}, mode=384)",
        f"actual:   fs.write(path='b', data={blob!r}, mode=None)",
        "  path: expected 'c', actual 'b'",
        "  mode: expected 384, actual None",
    ]


def test_another_effect_is_shown_whole() -> None:
    assert mismatch([(Note("a"), None)], copying()).splitlines()[1:] == [
        "expected: note(text='a')",
        "actual:   fs.read(path='a')",
    ]


def test_the_open_request_of_the_same_effect_is_the_one_compared() -> None:
    text = mismatch([(Note("x"), None)], _awaited(gather(fs.read_text("a"), note("y"))))

    assert text.splitlines()[2:] == [
        "actual:   note(text='y')",
        "     also:   fs.read(path='a')",
        "  text: expected 'x', actual 'y'",
    ]


def test_a_request_too_many_is_a_mismatch() -> None:
    text = mismatch([(Read("a"), b"A")], copying())

    assert "expected: no further request\nactual:   fs.write(path='b'" in text


def test_a_request_too_few_is_a_mismatch() -> None:
    lines = [(Note("a"), None), (Note("b"), None)]

    assert "actual:   the agent ended and returned None" in mismatch(lines, note("a"))


def test_an_agent_that_raises_early_is_a_mismatch_that_shows_what_it_raised() -> None:
    lines = [(Note("a"), OSError("disk")), (Note("b"), None)]

    assert "actual:   the agent ended by raising OSError('disk')" in mismatch(lines, note("a"))


def test_a_mismatch_closes_the_agent() -> None:
    seen: list[str] = []

    async def agent() -> None:
        try:
            await note("a")
        finally:
            seen.append("closed")

    mismatch([], agent())
    gc.collect()

    assert seen == ["closed"]


def test_exited_has_a_signal_or_a_code() -> None:
    assert (exited(2).code, exited(2).signal) == (2, None)
    assert (exited(signal=9).code, exited(signal=9).signal) == (None, 9)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
