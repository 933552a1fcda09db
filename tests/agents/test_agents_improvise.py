"""Agents against whatever may come of their requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Assignment, Cancelled, Denied, Failed, TaskReport
from tek_abi.vocabulary.fs import Read
from tek_agents import EffectDenied, EffectFailed, NoopAgent, ShellAgent, TaskCancelled, fs, gather, note, race
from tek_agents.testing import Script, ScriptMismatch, improvise, task
from tek_agents.testing.strategies import REQUESTS, answers_to, assignments, outcomes_to
from tests.executor.bench import Act


@given(st.data())
def test_every_drawn_outcome_is_one_that_a_script_takes(data: st.DataObject) -> None:
    request = data.draw(st.sampled_from(list(REQUESTS)).flatmap(lambda kind: REQUESTS[kind]()))
    outcome = data.draw(outcomes_to(request))

    async def ask() -> Any:
        return await request

    try:
        answer = Script(((request, outcome),)).run(ask())
    except (EffectDenied, EffectFailed, TaskCancelled):
        assert isinstance(outcome, Denied | Failed | Cancelled)
    else:
        assert answer == outcome


@given(st.data())
def test_a_third_partys_request_is_answered_by_its_outputs_type(data: st.DataObject) -> None:
    assert isinstance(data.draw(answers_to(Act("x"))), str)


@given(assignments(), st.data())
def test_the_built_in_agents_report_whatever_comes(assignment: Assignment, data: st.DataObject) -> None:
    for agent in (NoopAgent(), ShellAgent()):
        try:
            report = improvise(agent, lambda request: data.draw(outcomes_to(request)), assignment)
        except (EffectDenied, TaskCancelled):
            continue
        assert isinstance(report, TaskReport)


def test_requests_open_at_once_are_answered_in_the_order_of_the_source() -> None:
    asked: list[str] = []

    def answer(request: Any) -> Any:
        asked.append(request.path)
        return request.path.encode()

    async def agent() -> list[str]:
        return await gather(fs.read_text("a"), fs.read_text("b"), fs.read_text("c"))

    assert improvise(agent(), answer) == asked == ["a", "b", "c"]


def test_losers_of_a_race_are_not_asked_about() -> None:
    async def agent() -> Any:
        return await race(note("a"), note("b"))

    assert improvise(agent(), lambda request: None) == (0, None)


def test_an_answer_of_the_wrong_type_is_the_tests_mistake() -> None:
    with pytest.raises(ScriptMismatch, match=r"answer to fs\.read"):
        improvise(fs.read_text("a"), lambda request: 5, task())


def test_an_exception_is_raised_where_the_request_was_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        improvise(fs.read_text("a"), lambda request: ZeroDivisionError() if isinstance(request, Read) else None)
