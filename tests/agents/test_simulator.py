"""The simulator: it passes an agent that is right, and finds each kind of defect with the seed that shows it."""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import time
from typing import Any

import attrs
import pytest

from tek_abi import Access, Allow, Assignment, Limit, TaskReport, parse_rule
from tek_agents import EffectDenied, EffectFailed, clock, env, fs, gather, net, note, proc, race
from tek_agents.testing import exited, task
from tek_executor.testing import Broken, Fault, Faults, SimulationFailed, World, page
from tek_executor.testing.invariants import (
    budgets_are_conserved,
    ledger_is_whole,
    no_effect_without_authority,
    prefix_holds,
)
from tests.executor.bench import Act, ActEffect, echo


def world(seed: int = 1) -> World:
    return World(
        seed,
        f"pytest here --tek-seed={seed}",
        files={"a": "1", "b": "22", "dir/c": "333"},
        commands={"make **": exited(0, b"made\n")},
        pages={"GET https://example.org/**": page("hello")},
        environ={"LANG": "C"},
    )


class Diligent:
    """Asks for a bit of everything, goes on where it stopped, and handles nothing that it should not."""

    async def run(self, task: Assignment) -> TaskReport:
        if not task.progress:
            await fs.append_text("log", "started\n")
        try:
            texts = await gather(*(fs.read_text(path) for path in await fs.glob("?")))
            _, page = await race(net.get("https://example.org/x"), net.get("https://example.org/y"))
            await fs.write_text("out", "".join(texts) + page.body.text())
        except EffectFailed as failure:
            return TaskReport("failed", str(failure), progress=1)
        await note(f"{await clock.now()} {await env.get('LANG')}")
        return TaskReport("ok", f"{len(texts)} files")


def test_an_agent_that_is_right_passes() -> None:
    simulated = world().simulate(Diligent(), task(retries=1))

    assert simulated.calm.status == "ok"
    assert simulated.calm.message == "2 files"
    assert simulated.calm.files["out"] == b"122hello"
    assert simulated.runs["crashes"] == len(simulated.calm.ledger.entries) - 2
    assert simulated.runs["in doubt"] == 1, "of the append, which nobody can look at"
    assert simulated.runs["resumed to the same hash"] >= simulated.runs["crashes"] - 2
    assert simulated.runs["faults"] > 30
    assert simulated.runs["schedules"] > 30


class Clock:
    async def run(self, task: Assignment) -> TaskReport:
        await fs.write_text("out", f"at {time.time()}")
        return TaskReport()


class Calendar:
    async def run(self, task: Assignment) -> TaskReport:
        return TaskReport("ok", f"{datetime.datetime.now(datetime.UTC):%Y}")


class Dice:
    async def run(self, task: Assignment) -> TaskReport:
        await fs.write_text("out", str(random.randint(1, 6)))
        return TaskReport()


class Burglar:
    async def run(self, task: Assignment) -> TaskReport:
        with open(os.devnull) as file:
            return TaskReport("ok", file.read())


class Nosy:
    async def run(self, task: Assignment) -> TaskReport:
        return TaskReport("ok", os.environ.get("HOME", ""))


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (Clock, "calls time.time(), which no permit covers and no replay repeats; ask clock.now"),
        (Calendar, "calls datetime.now()"),
        (Dice, "calls random.getrandbits()"),
        (Burglar, "calls io.open()"),
        (Nosy, "calls os.environ"),
    ],
)
def test_what_an_agent_does_without_asking_is_named_with_its_line(agent: type[Any], said: str) -> None:
    line = agent.run.__code__.co_firstlineno

    text = failure(agent())

    assert said in text
    assert any(f"{os.path.relpath(__file__)}:{line + below} " in text for below in (1, 2))


class Counting:
    """Keeps a state between its runs."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, task: Assignment) -> TaskReport:
        self.runs += 1
        await fs.write_text("out", "x" * self.runs)
        return TaskReport()


class Weighted:
    """Is chance of a kind that no profile sees."""

    def __init__(self) -> None:
        self.dice = random.Random(4)

    async def run(self, task: Assignment) -> TaskReport:
        return TaskReport("ok", str(self.dice.random()))


@pytest.mark.parametrize("agent", [Counting, Weighted])
def test_an_agent_that_is_not_the_same_each_time_is_found_by_its_replay(agent: type[Any]) -> None:
    assert failure(agent()).startswith("5: an agent asks for the same when it is driven again: line ")


class Swallowing:
    async def run(self, task: Assignment) -> TaskReport:
        with contextlib.suppress(OSError):
            await fs.write_text("out", "x")
        return TaskReport()


def test_a_swallowed_denial_is_found_unless_the_effect_is_optional() -> None:
    text = failure(Swallowing())

    assert "TASK-001 reports ok as if fs.write had not been denied at TASK-001[1].0" in text
    world().simulate(Swallowing(), optional=("fs.write",))


class Careful:
    """Says that it did without."""

    async def run(self, task: Assignment) -> TaskReport:
        try:
            await fs.write_text("out", "x")
        except EffectDenied:
            return TaskReport("ok", "nothing was written")
        return TaskReport()


class Resourceful:
    """Asks for something else in its place."""

    async def run(self, task: Assignment) -> TaskReport:
        try:
            await fs.write_text("out", "x")
        except EffectDenied:
            await fs.write_text("elsewhere", "x")
        return TaskReport()


@pytest.mark.parametrize("agent", [Careful, Resourceful])
def test_a_denial_that_is_handled_is_not_swallowed(agent: type[Any]) -> None:
    world().simulate(agent())


class Repeating:
    """Does its first step again where its second failed."""

    async def run(self, task: Assignment) -> TaskReport:
        await fs.append_text("log", "x")
        await fs.read_text("a")
        return TaskReport()


def test_a_step_that_a_retry_repeats_is_found() -> None:
    text = failure(Repeating(), task(retries=1))

    assert "7: nothing is done twice: fs.append at TASK-001[2].0 was done by an attempt before" in text
    world().simulate(Repeating(), task(retries=0))
    world().simulate(Repeating(), task(retries=1, idempotent=True))


class Insisting:
    """Takes a lost answer for a failure."""

    async def run(self, task: Assignment) -> TaskReport:
        try:
            await proc.exec("make", "install")
        except EffectFailed:
            await proc.exec("make", "install")
        return TaskReport()


def test_a_step_that_is_repeated_though_it_may_have_been_done_is_found() -> None:
    text = failure(Insisting())

    assert "proc.exec at TASK-001[1].1 may have been done at TASK-001[1].0, whose answer was lost" in text
    assert "in a run with proc.exec at TASK-001[1].0 lost" in text


def test_what_a_test_wants_to_hold_always_is_checked_after_every_run_and_crash() -> None:
    def log_is_there(ran: Any) -> None:
        assert "out" not in ran.files or "log" in ran.files, "there is no log"

    class Hasty:
        async def run(self, task: Assignment) -> TaskReport:
            await fs.write_text("out", "x")
            await fs.write_text("log", "x")
            return TaskReport()

    with pytest.raises(SimulationFailed, match="there is no log") as caught:
        world().simulate(Hasty(), always=log_is_there)
    assert "--tek-seed=1" in str(caught.value)


def test_an_agent_that_breaks_where_nothing_hinders_it_does_not_pass() -> None:
    class Breaking:
        async def run(self, assignment: Assignment) -> TaskReport:
            raise KeyError("never there")

    said = failure(Breaking())

    assert "an agent reports what it cannot do" in said
    assert "it raised KeyError: 'never there'" in said


def test_a_failure_shows_the_way_to_it_the_seed_and_the_command() -> None:
    lines = failure(Repeating(), task(retries=1), seed=77).splitlines()

    assert lines[1].startswith("  in a run with fs.read at TASK-001[1].1 ")
    assert any(line.startswith("    TASK-001[2].0 fs.append {") and line.endswith(" -> ok") for line in lines)
    assert lines[-1] == "  seed 77; see it again: pytest here --tek-seed=77"


def test_a_seed_gives_the_same_failure_again() -> None:
    assert failure(Insisting(), seed=5) == failure(Insisting(), seed=5)


def failure(agent: Any, *tasks: Any, seed: int = 1) -> str:
    with pytest.raises(SimulationFailed) as caught:
        world(seed).simulate(agent, *tasks)
    return str(caught.value)


def test_a_run_leaves_files_a_ledger_and_reports() -> None:
    here = world()
    ran = here.run(Diligent())

    assert (ran.status, ran.message) == ("ok", "2 files")
    assert here.ledger.verify().replay_hash == ran.replay_hash
    assert [intent.envelope.effect for intent in here.ledger.intents("fs.write")] == ["fs.write"]
    assert here.files == world().files, "the world itself stays as it was"


def test_the_operators_policy_and_the_plans_rules_decide() -> None:
    asked = (Allow((parse_rule("fs.write:log"),)),)

    assert world().run(Diligent(), task(allow=asked)).status == "denied"
    denied = Faults(denied=(Access("fs.read", "fs.read", "$WORKSPACE/a"),))
    assert world().run(Repeating(), faults=denied).status == "denied"
    assert world().run(Diligent(), faults=Faults(limit=Limit(io=5))).status == "denied"


@pytest.mark.parametrize(("fault", "status"), [(Fault.FAILED, "failed"), (Fault.REFUSED, "denied"), (Fault.SLOW, "ok")])
def test_a_fault_can_be_put_where_it_is_wanted(fault: Fault, status: str) -> None:
    key = world().run(Repeating()).ledger.intents("fs.read")[0].envelope.idempotence_key

    assert world().run(Repeating(), faults=Faults({key: fault})).status == status


def test_agents_may_be_given_by_name_for_tasks_that_need_each_other() -> None:
    class Second:
        async def run(self, task: Assignment) -> TaskReport:
            return TaskReport("ok", await fs.read_text("out"))

    ran = world().run(
        {"first": Diligent(), "second": Second()},
        task("TASK-001", agent="first"),
        task("TASK-002", agent="second", needs=("TASK-001",)),
        workers=2,
    )

    assert ran.statuses == {"TASK-001": "ok", "TASK-002": "ok"}
    assert ran.ledger.ended("TASK-002").report == TaskReport("ok", "122hello")


def test_an_effect_of_ones_own_is_part_of_the_world_and_its_faults() -> None:
    class Asking:
        async def run(self, task: Assignment) -> TaskReport:
            await Act("x")
            return TaskReport()

    here = attrs.evolve(world(), effects=lambda: (ActEffect(echo),))

    assert here.simulate(Asking()).runs["faults"] > 5


def test_a_program_may_change_files_and_one_that_is_not_there_is_not_found() -> None:
    class Building:
        async def run(self, task: Assignment) -> TaskReport:
            await proc.exec("cc", "-o", "hello")
            await proc.exec("unheard-of")
            return TaskReport()

    def compile_(request: Any, files: Any) -> Any:
        files["hello"] = b"ELF"
        return exited(0)

    here = attrs.evolve(world(), commands={"cc": compile_})
    ran = here.run(Building())

    assert ran.files["hello"] == b"ELF"
    assert (ran.status, "unheard-of" in ran.message) == ("failed", True)


def test_a_deed_without_an_intent_is_found() -> None:
    ran = world().run(Repeating())
    ran.weather.deeds.append(attrs.evolve(ran.weather.deeds[0], key="f" * 64))

    with pytest.raises(Broken, match="1: no effect without authority"):
        no_effect_without_authority(ran)
    with pytest.raises(Broken, match="the intent is durable before the effect"):
        prefix_holds(ran, ran.ledger)


def test_a_deed_that_no_permit_covers_is_found() -> None:
    ran = world().run(Repeating())
    ran.policy = attrs.evolve(ran.policy, permits=())

    with pytest.raises(Broken, match="no permit covers"):
        no_effect_without_authority(ran)


def test_spending_past_the_limit_is_found() -> None:
    ran = world().run(Repeating())
    ran.policy = attrs.evolve(ran.policy, task_max=Limit(io=0))

    with pytest.raises(Broken, match="TASK-001 has spent"):
        budgets_are_conserved(ran)


def test_an_outcome_on_record_that_never_was_is_found() -> None:
    ran = world().run(Repeating())
    del ran.weather.deeds[0]

    with pytest.raises(Broken, match=r"fs\.append at TASK-001\[1\]\.0 never was"):
        prefix_holds(ran, ran.ledger)


def test_a_ledger_with_another_hash_than_its_run_is_found() -> None:
    ran = world().run(Repeating())
    ran.replay_hash = "0" * 64

    with pytest.raises(Broken, match="another hash than the run had"):
        ledger_is_whole(ran)
