"""Drive: what a stepped coroutine asks for, where, and what it gets back."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Coroutine, Iterator
from itertools import count
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import AgentExited, Asked, Bound, Drive, Event, ForeignAwait, Gather, Path, Race, Request, Won


@attrs.frozen
class Ask(Request[Any]):
    """A request that is told from others by its label."""

    effect: ClassVar[str] = "test.ask"
    output: ClassVar[type] = object
    label: Any


class Trouble(Exception):
    """What an effect's failure raises here."""


async def asking(*labels: object) -> list[Any]:
    return [await Ask(label) for label in labels]


async def awaiting(awaitable: Any) -> Any:
    return await awaitable


def started(coroutine: Coroutine[Any, Any, Any], first_index: int = 0) -> tuple[Drive, list[Event]]:
    drive = Drive(coroutine, first_index)
    return drive, drive.start()


def asked(events: list[Event]) -> dict[Any, Path]:
    """Return what was asked for, by label."""
    return {label_of(event.bound): event.path for event in events if isinstance(event, Asked)}


def label_of(bound: Bound[Any]) -> Any:
    assert isinstance(bound.request, Ask)
    return bound.request.label


def won(events: list[Event]) -> list[Won]:
    return [event for event in events if isinstance(event, Won)]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Fail where a coroutine of the test is dropped without having been awaited or closed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# One request after the other


def test_requests_in_sequence_are_numbered_from_zero_and_answered_with_their_values() -> None:
    drive, events = started(asking("a", "b"))

    assert asked(events) == {"a": (0,)}
    assert asked(drive.answer((0,), "A")) == {"b": (1,)}
    assert drive.answer((1,), "B") == []
    assert (drive.finished, drive.result, drive.error) == (True, ["A", "B"], None)


def test_a_retry_goes_on_numbering_where_it_is_told_to() -> None:
    _, events = started(asking("c"), first_index=2)

    assert asked(events) == {"c": (2,)}


def test_requests_of_coroutines_that_are_awaited_in_place_count_in_the_caller() -> None:
    async def agent() -> None:
        await asking("a", "b")
        await Ask("c")

    drive, _ = started(agent())
    drive.answer((0,), None)

    assert asked(drive.answer((1,), None)) == {"c": (2,)}


def test_a_bound_request_keeps_its_bounds_and_a_plain_one_gets_none() -> None:
    bound = Bound(Ask("a"), invariants=("exit_code==0",))
    drive, events = started(awaiting(bound))

    assert events == [Asked((0,), bound)]
    assert drive.pending == {(0,): bound}
    assert started(awaiting(Ask("b")))[1] == [Asked((0,), Bound(Ask("b")))]


def test_a_failure_is_raised_where_the_request_was_awaited_and_may_be_handled() -> None:
    async def agent() -> str:
        try:
            await Ask("a")
        except Trouble:
            return "handled"
        return "missed"

    drive, _ = started(agent())
    drive.fail((0,), Trouble())

    assert drive.result == "handled"


def test_an_exception_that_the_agent_does_not_handle_is_its_error() -> None:
    drive, _ = started(asking("a", "b"))
    trouble = Trouble()

    assert drive.fail((0,), trouble) == []
    assert (drive.finished, drive.result, drive.error) == (True, None, trouble)


def test_an_agent_that_asks_for_nothing_ends_at_once() -> None:
    drive, events = started(asking())

    assert (events, drive.finished, drive.result) == ([], True, [])


def test_an_answer_to_what_nobody_asked_is_refused() -> None:
    drive, _ = started(asking("a"))

    with pytest.raises(LookupError, match=r"no request is open at \(7,\)"):
        drive.answer((7,), None)
    drive.answer((0,), None)
    with pytest.raises(LookupError, match=r"no request is open at \(0,\)"):
        drive.answer((0,), None)


# Gather


def test_branches_of_a_gather_are_numbered_by_place_and_answers_keep_the_order_of_the_source() -> None:
    drive, events = started(awaiting(Gather((asking("a", "b"), Ask("c")))))

    assert asked(events) == {"a": (0, 0, 0), "c": (0, 1, 0)}
    drive.answer((0, 1, 0), "C")
    assert asked(drive.answer((0, 0, 0), "A")) == {"b": (0, 0, 1)}
    drive.answer((0, 0, 1), "B")
    assert drive.result == [["A", "B"], "C"]


def test_a_gather_takes_one_index_and_what_follows_the_next() -> None:
    async def agent() -> None:
        await Ask("first")
        await Gather((Ask("a"), Ask("b")))
        await Ask("last")

    drive, _ = started(agent())

    assert asked(drive.answer((0,), None)) == {"a": (1, 0, 0), "b": (1, 1, 0)}
    drive.answer((1, 0, 0), None)
    assert asked(drive.answer((1, 1, 0), None)) == {"last": (2,)}


def test_nested_gathers_are_asked_depth_first_in_the_order_of_the_source() -> None:
    inner = Gather((Ask("a"), awaiting(Gather((Ask("b"), Ask("c"))))))
    _, events = started(awaiting(Gather((inner, Ask("d")))))

    assert list(asked(events).items()) == [
        ("a", (0, 0, 0, 0, 0)),
        ("b", (0, 0, 0, 1, 0, 0, 0)),
        ("c", (0, 0, 0, 1, 0, 1, 0)),
        ("d", (0, 1, 0)),
    ]


def test_an_empty_gather_is_answered_at_once_and_takes_no_index() -> None:
    async def agent() -> Any:
        return await Gather(()), await Ask("a")

    drive, events = started(agent())

    assert asked(events) == {"a": (0,)}
    drive.answer((0,), "A")
    assert drive.result == ([], "A")


def test_the_first_error_in_the_order_of_the_source_is_raised_after_all_branches_have_ended() -> None:
    drive, _ = started(awaiting(Gather((Ask("a"), Ask("b"), Ask("c")))))
    first, second = Trouble("b"), Trouble("c")

    drive.fail((0, 2, 0), second)
    drive.fail((0, 1, 0), first)
    assert not drive.finished
    drive.answer((0, 0, 0), "A")

    assert drive.error is first


def test_ten_thousand_gathers_that_end_at_once_take_no_stack() -> None:
    async def agent() -> int:
        for _ in range(10_000):
            await Gather((asking(), asking()))
        return 1

    assert started(agent())[0].result == 1


def test_gathers_nest_as_deep_as_an_agent_likes() -> None:
    async def nest(depth: int) -> Any:
        return await (Gather((nest(depth - 1),)) if depth else Ask("deep"))

    drive, events = started(nest(2_000))

    assert asked(events) == {"deep": (0,) * 4_001}
    drive.close()
    assert drive.pending == {}


# Race


def test_the_first_branch_to_end_wins_and_the_others_are_named_as_lost() -> None:
    drive, events = started(awaiting(Race((Ask("a"), asking("b", "c"), Ask("d")))))

    assert asked(events) == {"a": (0, 0, 0), "b": (0, 1, 0), "d": (0, 2, 0)}
    drive.answer((0, 1, 0), "B")
    assert drive.answer((0, 2, 0), "D") == [Won((0,), 2, ((0, 0, 0), (0, 1, 1)))]


def test_a_race_goes_on_only_when_every_lost_request_has_settled() -> None:
    async def agent() -> Any:
        return await Race((Ask("a"), Ask("b"), Ask("c"))), await Ask("after")

    drive, _ = started(agent())
    drive.answer((0, 1, 0), "B")

    assert drive.pending == {}
    assert drive.fail((0, 0, 0), Trouble("cancelled")) == []
    assert asked(drive.answer((0, 2, 0), "too late")) == {"after": (1,)}
    drive.answer((1,), None)
    assert drive.result == ((1, "B"), None)


def test_a_branch_that_raises_first_wins_with_its_error() -> None:
    drive, _ = started(awaiting(Race((Ask("a"), Ask("b")))))
    trouble = Trouble()

    assert won(drive.fail((0, 0, 0), trouble)) == [Won((0,), 0, ((0, 1, 0),))]
    drive.answer((0, 1, 0), None)
    assert drive.error is trouble


@pytest.mark.usefixtures("quiet")
def test_a_branch_that_ends_at_once_wins_and_those_after_it_never_start() -> None:
    drive, events = started(awaiting(Race((Ask("a"), asking(), asking("never"), Gather((asking("never"),))))))

    assert asked(events) == {"a": (0, 0, 0)}
    assert won(events) == [Won((0,), 1, ((0, 0, 0),))]
    drive.answer((0, 0, 0), None)
    assert drive.result == (1, [])


def test_a_race_of_nothing_is_an_error_of_the_agent() -> None:
    drive, _ = started(awaiting(Race(())))

    assert isinstance(drive.error, ValueError)
    assert str(drive.error) == "race needs at least one branch"


def test_losers_run_their_finally_blocks_innermost_first_before_the_race_goes_on() -> None:
    seen: list[str] = []

    async def loser(name: str, body: Any) -> None:
        try:
            await body
        finally:
            seen.append(name)

    drive, _ = started(awaiting(Race((loser("outer", Gather((loser("inner", Ask("a")),))), Ask("b")))))
    drive.answer((0, 1, 0), None)

    assert seen == ["inner", "outer"]


def test_a_loser_can_neither_ask_for_more_nor_survive() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await Ask("again")
            except GeneratorExit:
                await Ask("not now")

    drive, _ = started(awaiting(Race((stubborn(), Ask("b")))))
    events = drive.answer((0, 1, 0), "B")

    assert events == [Won((0,), 1, ((0, 0, 0),))]
    drive.fail((0, 0, 0), Trouble())
    assert drive.result == (1, "B")


def test_a_race_that_is_lost_while_it_waits_for_its_own_losers_hands_them_to_the_outer_race() -> None:
    inner = Race((Ask("a"), Ask("b")))
    drive, _ = started(awaiting(Race((awaiting(inner), Ask("c")))))

    assert drive.answer((0, 0, 0, 0, 0), "A") == [Won((0, 0, 0), 0, ((0, 0, 0, 1, 0),))]
    assert drive.answer((0, 1, 0), "C") == [Won((0,), 1, ())]
    assert not drive.finished
    drive.fail((0, 0, 0, 1, 0), Trouble())
    assert drive.result == (1, "C")


def test_a_loser_deep_in_gathers_and_races_is_lost_as_a_whole() -> None:
    tree = Gather((Ask("a"), awaiting(Race((Ask("b"), awaiting(Gather((Ask("c"), Ask("d")))))))))
    drive, _ = started(awaiting(Race((Ask("x"), awaiting(tree)))))

    (win,) = won(drive.answer((0, 0, 0), "X"))

    assert win.lost == (
        (0, 1, 0, 0, 0),
        (0, 1, 0, 1, 0, 0, 0),
        (0, 1, 0, 1, 0, 1, 0, 0, 0),
        (0, 1, 0, 1, 0, 1, 0, 1, 0),
    )
    for path in win.lost:
        assert not drive.finished
        drive.answer(path, None)
    assert drive.result == (0, "X")


# What is not an effect


def test_a_bare_yield_is_refused_by_name() -> None:
    drive, _ = started(awaiting(asyncio.sleep(0)))

    assert isinstance(drive.error, ForeignAwait)
    assert "not a bare yield, as asyncio.sleep(0) does; there is no event loop here" in str(drive.error)


def test_a_future_is_refused_by_name_alone_and_as_a_branch() -> None:
    loop = asyncio.new_event_loop()
    try:
        for awaitable in (loop.create_future(), Gather((loop.create_future(),)), Race((loop.create_future(),))):  # type: ignore[arg-type]  # the mistake under test
            drive, _ = started(awaiting(awaitable))
            assert isinstance(drive.error, ForeignAwait)
            assert drive.error.what == "a _asyncio.Future"
    finally:
        loop.close()


def test_a_branch_that_cannot_be_awaited_is_refused_by_name() -> None:
    drive, _ = started(awaiting(Gather((Ask("a"), 5))))  # type: ignore[arg-type]  # the mistake under test
    drive.answer((0, 0, 0), None)

    assert str(drive.error).endswith("not a builtins.int; there is no event loop here")


def test_an_agent_that_returns_no_coroutine_is_refused_by_name() -> None:
    drive, _ = started("a report")  # type: ignore[arg-type]  # the mistake under test

    assert isinstance(drive.error, ForeignAwait)
    assert drive.error.what == "a builtins.str"


def test_a_foreign_await_may_be_handled_and_the_agent_goes_on() -> None:
    async def agent() -> Any:
        try:
            await asyncio.sleep(0)
        except TypeError:
            return await Ask("a")

    assert asked(started(agent())[1]) == {"a": (0,)}


@pytest.mark.usefixtures("quiet")
def test_one_coroutine_in_two_branches_is_refused_and_gets_only_its_own_answers() -> None:
    shared = asking("a")
    drive, events = started(awaiting(Gather((shared, shared))))

    assert asked(events) == {"a": (0, 0, 0)}
    drive.answer((0, 0, 0), "A")
    assert isinstance(drive.error, ForeignAwait)
    assert drive.error.what == "a coroutine that runs already"


@pytest.mark.parametrize("exit_", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
def test_what_would_end_the_program_ends_the_agent_alone(exit_: BaseException) -> None:
    async def agent() -> None:
        raise exit_

    drive, _ = started(agent())

    assert isinstance(drive.error, AgentExited)
    assert repr(exit_) in str(drive.error)


def test_an_interrupt_passes_through_the_agent() -> None:
    async def agent() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(agent())


# Closing


@pytest.mark.usefixtures("quiet")
def test_close_runs_finally_blocks_innermost_first_and_leaves_nothing_pending() -> None:
    seen: list[str] = []

    async def level(name: str, body: Any) -> None:
        try:
            await body
        finally:
            seen.append(name)

    drive, _ = started(level("root", Gather((level("left", Ask("a")), level("right", Ask("b"))))))
    drive.close()

    assert seen == ["right", "left", "root"]
    assert (drive.finished, drive.pending) == (True, {})


@pytest.mark.usefixtures("quiet")
def test_close_reaches_a_branch_that_waits_for_the_losers_of_its_race() -> None:
    seen: list[str] = []

    async def branch() -> None:
        try:
            await Race((Ask("a"), Ask("b")))
        finally:
            seen.append("branch")

    drive, _ = started(awaiting(Gather((branch(), Ask("c")))))
    drive.answer((0, 0, 0, 0, 0), None)
    drive.close()

    assert seen == ["branch"]


@pytest.mark.usefixtures("quiet")
def test_close_before_start_warns_of_no_forgotten_coroutine() -> None:
    drive = Drive(asking("a"))
    drive.close()

    assert drive.finished


@pytest.mark.usefixtures("quiet")
def test_close_outlasts_finally_blocks_that_ask_and_raise() -> None:
    seen: list[str] = []

    async def agent() -> None:
        try:
            while len(seen) < 5:
                try:
                    await Ask("a")
                except GeneratorExit:
                    seen.append("asking")
        finally:
            seen.append("end")
            raise SystemExit

    drive, _ = started(agent())
    drive.close()

    assert (seen, drive.pending, drive.finished) == ([*["asking"] * 5, "end"], {}, True)


def test_close_twice_or_after_the_end_changes_nothing() -> None:
    drive, _ = started(asking())
    drive.close()
    drive.close()

    assert drive.result == []


# Any tree of gathers and races, answered in any order


@attrs.frozen
class Leaf:
    label: int


@attrs.frozen
class Node:
    """``then`` awaits its items one by one, ``all`` gathers them, ``first`` races them, ``try`` handles failures."""

    kind: str
    items: tuple[Leaf | Node, ...]


@st.composite
def trees(draw: st.DrawFn, kinds: tuple[str, ...] = ("then", "all", "first", "try")) -> Leaf | Node:
    nodes = st.recursive(
        st.just(Leaf(0)),
        lambda inner: st.builds(Node, st.sampled_from(kinds), st.lists(inner, min_size=1, max_size=4).map(tuple)),
        max_leaves=12,
    )
    return _relabelled(draw(nodes), count())


def _relabelled(tree: Leaf | Node, labels: Iterator[int]) -> Leaf | Node:
    if isinstance(tree, Leaf):
        return Leaf(next(labels))
    return Node(tree.kind, tuple(_relabelled(item, labels) for item in tree.items))


async def carry_out(tree: Leaf | Node) -> Any:
    if isinstance(tree, Leaf):
        return await Ask(tree.label)
    if tree.kind == "then":
        return [await carry_out(item) for item in tree.items]
    if tree.kind == "try":
        return [await attempted(item) for item in tree.items]
    branches = tuple(Ask(item.label) if isinstance(item, Leaf) else carry_out(item) for item in tree.items)
    return await (Gather(branches) if tree.kind == "all" else Race(branches))


async def attempted(item: Leaf | Node) -> Any:
    try:
        return await carry_out(item)
    except Trouble as trouble:
        return str(trouble)


def positions(tree: Leaf | Node, prefix: Path = (), index: int = 0) -> tuple[dict[int, Path], int]:
    """Where each leaf is asked if the whole tree runs, read off the source alone; and the next index."""
    if isinstance(tree, Leaf):
        return {tree.label: (*prefix, index)}, index + 1
    found: dict[int, Path] = {}
    if tree.kind in ("then", "try"):
        for item in tree.items:
            inner, index = positions(item, prefix, index)
            found |= inner
        return found, index
    for slot, item in enumerate(tree.items):
        found |= positions(item, (*prefix, index, slot))[0]
    return found, index + 1


@attrs.define
class Play:
    """A tree driven to its end, each time settling one of the open requests as ``choices`` say."""

    events: list[Event] = attrs.field(factory=list)
    answered: list[Path] = attrs.field(factory=list)
    lost: set[Path] = attrs.field(factory=set)
    outcome: tuple[Any, str] = (None, "")

    @classmethod
    def of(cls, tree: Leaf | Node, choices: list[int], failing: frozenset[int]) -> Play:
        play, turn = cls(), iter(choices)
        drive = Drive(carry_out(tree))
        owed: set[Path] = set()
        events = drive.start()
        while True:
            play.events += events
            owed |= {path for win in won(events) for path in win.lost}
            play.lost |= owed
            if drive.finished:
                assert not drive.pending
                assert not owed
                play.outcome = (drive.result, repr(drive.error))
                return play
            open_ = sorted({*drive.pending, *owed})
            path = open_[next(turn, 0) % len(open_)]
            if path in owed:
                owed.discard(path)
                events = drive.fail(path, Trouble("cancelled"))
                continue
            play.answered.append(path)
            label = label_of(drive.pending[path])
            events = drive.fail(path, Trouble(label)) if label in failing else drive.answer(path, label)


choices = st.lists(st.integers(0, 50), max_size=30)
failing = st.frozensets(st.integers(0, 12))


@given(trees(), choices, failing)
def test_the_same_answers_in_the_same_order_give_the_same_events(
    tree: Leaf | Node, choices: list[int], failing: frozenset[int]
) -> None:
    assert Play.of(tree, choices, failing) == Play.of(tree, choices, failing)


@given(trees(("then", "all", "first")), choices, failing)
def test_a_position_depends_on_the_source_and_never_on_the_order_of_answers(
    tree: Leaf | Node, choices: list[int], failing: frozenset[int]
) -> None:
    expected, _ = positions(tree)
    for label, path in asked(Play.of(tree, choices, failing).events).items():
        assert path == expected[label]


@given(trees(("then", "all", "try")), choices, choices, failing)
def test_without_a_race_no_order_of_answers_changes_requests_positions_or_result(
    tree: Leaf | Node, one: list[int], other: list[int], failing: frozenset[int]
) -> None:
    first, second = Play.of(tree, one, failing), Play.of(tree, other, failing)

    assert asked(first.events) == asked(second.events)
    assert first.outcome == second.outcome


@given(trees(), choices, failing)
def test_every_request_is_asked_once_and_either_answered_or_lost(
    tree: Leaf | Node, choices: list[int], failing: frozenset[int]
) -> None:
    play = Play.of(tree, choices, failing)
    paths = [event.path for event in play.events if isinstance(event, Asked)]

    assert len(paths) == len(set(paths))
    assert sorted(paths) == sorted([*play.answered, *play.lost])


@given(trees(), choices, failing)
def test_nothing_is_asked_beneath_a_branch_that_has_lost(
    tree: Leaf | Node, choices: list[int], failing: frozenset[int]
) -> None:
    winners: dict[Path, int] = {}
    for event in Play.of(tree, choices, failing).events:
        for race, winner in winners.items():
            depth = len(race)
            assert event.path[:depth] != race or event.path[depth] == winner
        if isinstance(event, Won):
            winners[event.path] = event.winner
