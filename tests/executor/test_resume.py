"""Invariant 7: whatever line a run is cut off at, it goes on to the same replay hash, and does nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tek_abi import ExecutionPlan
from tek_executor import Options
from tek_executor.resume import Answer, AnswerRefused
from tek_kernel import EffectError, LedgerInvalid, StorageFailed, find_tail
from tests.executor.bench import ActEffect, Bench, Ran, plan, task
from tests.executor.cuts import Crash, PowerCut, World, acts_on_record
from tests.executor.scripted_plans import Script, body
from tests.size import examples

_STEPS: Script = ["seq", [["gather", [["look", "a"], ["act", "b"], ["glance", "a"]]], ["act", "c"]]]
_SCRIPTS: dict[str, Script] = {
    "TASK-001": _STEPS,
    "TASK-002": ["seq", [["race", 1, [["seq", [["look", "hold"]]], ["act", "d"]]], ["look", "forbidden"]]],
    "TASK-003": ["seq", [["act", "e"], ["look", "fail"]]],
    "TASK-004": ["act", "never"],
    "TASK-005": ["act", "f"],
}
_PLAN = plan(task(1), task(2, "TASK-001"), task(3, retries=1), task(4, "TASK-003"), task(5, "TASK-002"))


def _bench(world: World, todo: ExecutionPlan = _PLAN, scripts: dict[str, Script] = _SCRIPTS, **more: Any) -> Bench:
    more = {"group": False, **more}
    return Bench(todo, body(scripts), act=world, options=Options(workers=1, backoff=1), **more)


def _crashed(world: World, lines: int, **more: Any) -> bytes:
    """Run until so many lines are written; return them."""
    storage = Crash(lines)
    with pytest.raises(StorageFailed):
        _bench(world, storage=storage, **more).run()
    return bytes(storage.data)


def _to_the_end(world: World, data: bytes, **more: Any) -> Ran:
    """Resume as a person would: look whether what is in doubt was done, and say so."""
    ran = _bench(world, **more).resume(data)
    for _ in range(5):
        if not ran.end.in_doubt:
            return ran
        recorded, doubtful = acts_on_record(ran.ledger)
        answers: dict[str, Answer] = {
            task: "done" if world.done[name] > recorded[name] else "retry" for task, name in doubtful
        }
        ran = _bench(world, **more).resume(ran.ledger, by_task=answers)
    raise AssertionError("it never ends")


def _whole() -> tuple[Ran, Counter[str]]:
    world = World()
    return _bench(world).run(), world.done


_UNDISTURBED, _DONE = _whole()
_LINES = len(_UNDISTURBED.ledger.splitlines())


@pytest.mark.parametrize("lines", range(2, _LINES))
def test_cut_off_after_any_line_it_comes_to_the_same_end(lines: int) -> None:
    world = World()
    data = _crashed(world, lines)

    ran = _to_the_end(world, data)

    assert ran.replay_hash == _UNDISTURBED.replay_hash
    assert ran.end.statuses == _UNDISTURBED.end.statuses
    acts = {name: count for name, count in world.done.items() if name in "bcdef"}
    assert acts == {name: _DONE[name] for name in "bcdef"}, "an act was done twice, or not at all"
    assert ran.ledger.startswith(data)


@pytest.mark.parametrize("lines", range(2, _LINES, 3))
@pytest.mark.parametrize("again", [1, 4, 9])
def test_cut_off_once_more_while_it_goes_on(lines: int, again: int) -> None:
    world = World()
    data = _crashed(world, lines)
    storage = Crash(again)
    storage.data += data
    try:
        data = _bench(world, storage=storage).resume(data, keep=True).ledger
    except StorageFailed:
        data = bytes(storage.data)

    if b'"run.closed"' not in data:
        data = _to_the_end(world, data).ledger
    assert json.loads(data.splitlines()[-1])["replay_hash"] == _UNDISTURBED.replay_hash
    acts = {name: count for name, count in world.done.items() if name in "bcdef"}
    assert acts == {name: _DONE[name] for name in "bcdef"}


def test_what_must_happen_once_waits_for_a_word_and_is_not_repeated() -> None:
    world = World()
    scripts: dict[str, Script] = {"TASK-001": ["act", "b"]}
    todo = plan(task(1))
    data = _crashed(world, 4, todo=todo, scripts=scripts)
    assert world.done["b"] == 1

    paused = _bench(world, todo, scripts).resume(data)

    (doubtful,) = paused.end.in_doubt["TASK-001"]
    assert (str(doubtful.position), doubtful.answers) == ("TASK-001[1].0", ("done", "retry", "fail"))
    assert world.done["b"] == 1
    assert json.loads(paused.ledger.splitlines()[-1])["reason"] == "in doubt"


@pytest.mark.parametrize(("answer", "count", "status"), [("retry", 2, "ok"), ("done", 1, "ok"), ("fail", 1, "failed")])
def test_each_answer_is_recorded_and_followed(answer: Any, count: int, status: str) -> None:
    world = World()
    scripts: dict[str, Script] = {"TASK-001": ["act", "b"]}
    todo = plan(task(1))
    data = _crashed(world, 4, todo=todo, scripts=scripts)

    ran = _bench(world, todo, scripts).resume(data, answer)

    assert ran.end.statuses == {"TASK-001": status}
    assert world.done["b"] == count
    decisions = [line for line in map(json.loads, ran.ledger.splitlines()) if line["kind"] == "decision"]
    assert [(line["subject"], line["value"]) for line in decisions] == [("in-doubt", answer)]


def test_an_outcome_that_nobody_can_make_up_is_not_taken_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def presumed(self: object, request: object) -> str:
        raise EffectError("unsupported", "its answer cannot be known")

    world = World()
    scripts: dict[str, Script] = {"TASK-001": ["act", "b"]}
    todo = plan(task(1))
    data = _crashed(world, 4, todo=todo, scripts=scripts)
    monkeypatch.setattr(ActEffect, "presumed", presumed)

    (doubtful,) = _bench(world, todo, scripts).resume(data).end.in_doubt["TASK-001"]
    assert doubtful.answers == ("retry", "fail")
    for name in ("", "TASK-001", "TASK-001[1].0"):
        with pytest.raises(AnswerRefused, match=r"TASK-001\[1\]\.0: .* say retry or fail of it"):
            _bench(world, todo, scripts).resume(data, by_task={name: "done"})
    with pytest.raises(AnswerRefused, match=r"TASK-002: nothing of this name is in doubt; in doubt is TASK-001\[1\]"):
        _bench(world, todo, scripts).resume(data, by_task={"TASK-002": "retry"})


def test_a_task_that_may_be_repeated_is_not_in_doubt() -> None:
    world = World()
    scripts: dict[str, Script] = {"TASK-001": ["act", "b"]}
    todo = plan(task(1, idempotent=True))
    data = _crashed(world, 4, todo=todo, scripts=scripts)
    ran = _bench(world, todo, scripts).resume(data)
    assert (ran.end.statuses, world.done["b"]) == ({"TASK-001": "ok"}, 2)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cut=st.integers(1, len(_UNDISTURBED.ledger) - 1), tail=st.binary(max_size=60), drop=st.booleans())
def test_any_prefix_with_any_torn_tail_is_cut_to_its_whole_lines_or_refused(cut: int, tail: bytes, drop: bool) -> None:
    """The power-cut model: bytes up to some point are there, and after it anything that was never promised."""
    whole = _UNDISTURBED.ledger
    data = whole[:cut] + tail
    end = whole.rfind(b"\n", 0, cut) + 1
    if drop and end < cut:
        # A hole, and intact lines after it that nobody had promised.
        data = whole[:end] + b"\0" * (cut - end) + b"\n" + whole[cut:]
    try:
        found = find_tail(data)
    except LedgerInvalid:
        assert drop, "a torn tail was taken for damage"
        return
    assert data[: found.offset] == whole[: found.offset]
    assert found.offset >= min(end, found.offset)
    assert data[: found.offset] + found.cut == data


@pytest.mark.parametrize("group", [True, False])
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    room=st.integers(2, _LINES),
    sector=st.sampled_from([64, 512, 4096]),
    fates=st.lists(st.sampled_from(["kept", "zeros", "end"]), min_size=1, max_size=8),
)
def test_after_a_power_cut_it_goes_on_from_what_was_promised(
    group: bool, room: int, sector: int, fates: list[str]
) -> None:
    """Invariant 7 where unsynced writes are lost, torn, or come to the disk in another order."""
    world, storage = World(), PowerCut(room)
    with suppress(StorageFailed):
        _bench(world, storage=storage, check=False, group=group).run()
    data = storage.left(sector, fates)

    found = find_tail(data)

    assert found.offset >= storage.promised, "what was promised is lost"
    whole = data[: found.offset]
    if b'"kind":"plan"' not in whole:
        assert not world.done, "something was done before anything was on record"
        return
    if b'"run.closed"' not in whole:
        whole = _to_the_end(world, whole).ledger
    assert json.loads(whole.splitlines()[-1])["replay_hash"] == _UNDISTURBED.replay_hash
    assert {name: world.done[name] for name in "bcdef"} == {name: _DONE[name] for name in "bcdef"}


def test_a_hole_before_what_was_promised_is_damage() -> None:
    lines = _UNDISTURBED.ledger.splitlines(keepends=True)
    with pytest.raises(LedgerInvalid):
        find_tail(b"".join([*lines[:5], b"x" * 20 + b"\n", *lines[6:]]))


def test_a_ledger_that_was_closed_is_not_cut() -> None:
    lines = _UNDISTURBED.ledger.splitlines(keepends=True)
    with pytest.raises(LedgerInvalid):
        find_tail(b"".join([*lines[:-2], lines[-1]]))


def test_going_on_from_another_line_is_refused() -> None:
    from tests.kernel.test_verify_lies import chained

    world = World()
    ran = _to_the_end(world, _crashed(world, 6))
    lines = [json.loads(line) for line in ran.ledger.splitlines()]
    at = next(i for i, line in enumerate(lines) if line["kind"] == "run.resumed")
    lines[at]["head"] = "0" * 64
    with pytest.raises(LedgerInvalid, match="goes on from another line") as caught:
        _bench(world).redrive(chained(lines))
    assert caught.value.line == at + 1


@pytest.mark.parametrize("group", [True, False])
def test_the_line_that_closes_a_run_follows_lines_that_are_safe(group: bool) -> None:
    last = json.loads(_bench(World(), group=group).run().ledger.splitlines()[-1])
    assert (last["kind"], last["synced"]) == ("run.closed", last["seq"] - 1)
