"""Each function asks for its effect and turns the answer into what its type says."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from tek_abi import Blob, Bound, Budget, Denial, Denied, Failed, Failure, Request
from tek_abi.vocabulary.core import EnvGet, Note, Now, RandomBytes
from tek_abi.vocabulary.fs import (
    Append,
    Copy,
    Digest,
    Entry,
    Glob,
    Hash,
    List,
    Mkdir,
    Read,
    Remove,
    Rename,
    Stat,
    Status,
    Write,
)
from tek_abi.vocabulary.proc import Exec
from tek_agents import CommandFailed, EffectDenied, NotFound, bounded, clock, env, fs, gather, note, proc, race, random
from tek_agents.testing import exited, script

DIGEST = Digest("0" * 64, 3)
STATUS = Status("file", 3, 0o644)


@pytest.mark.parametrize(
    ("call", "request_", "outcome", "answer"),
    [
        (fs.read_bytes("a"), Read("a"), b"\xff\r\n", b"\xff\r\n"),
        (fs.read_text("a"), Read("a"), "é\r\n".encode(), "é\r\n"),
        (fs.write_bytes("a", b"\xff"), Write("a", Blob.of(b"\xff")), None, None),
        (fs.write_text("a", "é", mode=0o755), Write("a", Blob.of("é".encode()), 0o755), None, None),
        (fs.append_bytes("a", b"x"), Append("a", Blob.of(b"x")), None, None),
        (fs.append_text("a", "é"), Append("a", Blob.of("é".encode())), None, None),
        (fs.copy("a", "b"), Copy("a", "b"), DIGEST, DIGEST),
        (fs.hash("a"), Hash("a"), DIGEST, DIGEST),
        (fs.glob("src/**/*.py"), Glob("src/**/*.py"), ("src/a.py", "src/b/c.py"), ("src/a.py", "src/b/c.py")),
        (fs.list(), List("."), (Entry("a", "file", 3),), (Entry("a", "file", 3),)),
        (fs.stat("a"), Stat("a"), STATUS, STATUS),
        (fs.exists("a"), Stat("a"), STATUS, True),
        (fs.exists("a"), Stat("a"), Failed(Failure("not-found", "no a")), False),
        (fs.mkdir("a/b"), Mkdir("a/b"), None, None),
        (fs.remove("a"), Remove("a"), None, None),
        (fs.rename("a", "b"), Rename("a", "b"), None, None),
        (clock.now(), Now(), "2026-01-31T12:00:00.000001Z", datetime(2026, 1, 31, 12, 0, 0, 1, UTC)),
        (random.bytes(3), RandomBytes(3), "00ff10", b"\x00\xff\x10"),
        (env.get("HOME"), EnvGet("HOME"), "/root", "/root"),
        (env.get("HOME"), EnvGet("HOME"), None, None),
        (env.get("HOME", "/"), EnvGet("HOME"), None, "/"),
        (env.get("HOME", "/"), EnvGet("HOME"), "", ""),
        (note("done"), Note("done"), None, None),
    ],
)
def test_a_call_asks_for_one_effect_and_answers_in_its_type(
    call: Coroutine[Any, Any, Any], request_: Request[Any], outcome: Any, answer: Any
) -> None:
    assert script([(request_, outcome)]).run(call) == answer


def test_exists_does_not_take_a_denial_for_an_absence() -> None:
    with pytest.raises(EffectDenied):
        script([(Stat("a"), Denied(Denial("permit", "no rule grants fs.stat on a")))]).run(fs.exists("a"))


@pytest.mark.parametrize(
    "call", [lambda: random.bytes(0), lambda: random.bytes(4097), lambda: env.get("A=B"), lambda: note("x" * 65_537)]
)
def test_arguments_out_of_bounds_are_refused_before_anything_is_asked(call: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        script([]).run(call())


# Programs


def test_words_may_stand_alone_or_in_a_list() -> None:
    asked = Exec(("git", "log", "-1"), "src", (("LANG", "C"),), 5_000)
    done = exited(0, b"out")
    for words in (("git", "log", "-1"), (["git", "log", "-1"],), (("git", "log"), "-1")):
        call = proc.exec(*words, cwd="src", env={"LANG": "C"}, timeout=5_000)
        assert script([(asked, done)]).run(call) == done


def test_a_checked_command_that_fails_raises_with_its_words_output_and_last_line() -> None:
    done = exited(2, b"partial", b"first\nno rule to make 'all'\n\n")

    with pytest.raises(CommandFailed) as caught:
        script([(Exec(("make", "a b")), done)]).run(proc.exec("make", "a b"))

    assert caught.value.argv == ("make", "a b")
    assert caught.value.exit.stdout.text() == "partial"
    assert caught.value.code == "exit"
    assert str(caught.value) == "exit: `make 'a b'` exited with 2: no rule to make 'all'"


def test_a_command_killed_by_a_signal_is_a_failure_too() -> None:
    with pytest.raises(CommandFailed, match="was killed by SIGKILL"):
        script([(Exec(("make",)), exited(signal=9))]).run(proc.exec("make"))


def test_an_unchecked_command_may_fail() -> None:
    assert script([(Exec(("make",)), exited(2))]).run(proc.exec("make", check=False)).code == 2


def test_output_text_is_all_of_stdout_and_is_checked() -> None:
    assert script([(Exec(("date",)), exited(0, b" now\n"))]).run(proc.output_text("date")) == " now\n"
    with pytest.raises(CommandFailed):
        script([(Exec(("date",)), exited(1, b" now\n"))]).run(proc.output_text("date"))


def test_no_words_are_refused() -> None:
    with pytest.raises(ValueError, match="argv"):
        script([]).run(proc.exec())


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (exited(1), "exited with 1"),
        (exited(signal=15), "was killed by SIGTERM"),
        (exited(signal=40), "was killed by signal 40"),
        (exited(1, b"stdout is not quoted"), "exited with 1"),
        (exited(1, stderr=b"\n \n"), "exited with 1"),
        (exited(1, stderr=b"one\ntwo"), "exited with 1: two"),
        (exited(1, stderr=b"\x1b[31mred\x07\xff"), "exited with 1: \ufffd[31mred\ufffd\ufffd"),
        (exited(1, stderr=b"x" * 5_000), f"exited with 1: {'x' * 199}…"),
    ],
)
def test_a_command_is_described_with_its_last_line_fit_for_a_terminal(done: proc.Exit, words: str) -> None:
    assert proc.describe(done) == words


# Several at once, and reservations


def test_gather_answers_in_the_order_of_its_arguments() -> None:
    lines = [(Read("b"), b"B"), (Read("a"), b"A")]

    assert script(lines).run(_awaited(gather(fs.read_text("a"), fs.read_text("b")))) == ["A", "B"]


def test_race_answers_with_the_index_and_the_answer_of_the_winner() -> None:
    assert script([(Read("b"), b"B")]).run(_awaited(race(fs.read_text("a"), fs.read_text("b")))) == (1, "B")


def test_bounded_reserves_for_a_request_and_names_its_invariants() -> None:
    budget = Budget(io=10)
    asked = Bound(Read("a"), budget, ("size<=10",))

    call = _awaited(bounded(Read("a"), budget=budget, invariants=("size<=10",)))

    assert script([(asked, b"A")]).run(call) == Blob.of(b"A")


def test_bounded_reaches_every_request_of_a_call_and_of_the_branches_in_it() -> None:
    budget = Budget(ms=5)

    async def both() -> list[str]:
        await note("first")
        return await gather(fs.read_text("a"), fs.read_text("b"))

    lines = [(Bound(asked, budget), outcome) for asked, outcome in ((Note("first"), None), (Read("a"), b"A"))]

    assert script([*lines, (Bound(Read("b"), budget), b"B")]).run(_awaited(bounded(both(), budget=budget))) == [
        "A",
        "B",
    ]


def test_an_inner_bound_keeps_its_budget_and_adds_to_the_invariants() -> None:
    inner = bounded(Read("a"), budget=Budget(io=1), invariants=("size<=1",))
    asked = Bound(Read("a"), Budget(io=1), ("size<=1", "size>=1"))

    call = _awaited(bounded(inner, budget=Budget(io=9), invariants=("size>=1",)))

    assert script([(asked, b"A")]).run(call) == Blob.of(b"A")


def test_bounded_lets_failures_through_to_the_call() -> None:
    failed = Failed(Failure("not-found", "no a"))

    assert script([(Stat("a"), failed)]).run(_awaited(bounded(fs.exists("a"), budget=Budget(ms=5)))) is False
    with pytest.raises(NotFound):
        script([(Read("a"), failed)]).run(_awaited(bounded(fs.read_text("a"))))


def test_bounded_calls_may_stand_in_a_race_and_are_closed_when_they_lose() -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await fs.read_text("slow")
        finally:
            seen.append("closed")

    call = _awaited(race(bounded(slow(), budget=Budget(ms=5)), note("fast")))

    assert script([(Note("fast"), None)]).run(call) == (1, None)
    assert seen == ["closed"]


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
