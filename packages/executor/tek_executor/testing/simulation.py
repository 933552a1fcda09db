"""The simulation: one agent through every fault at every request, every crash, and many schedules."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from tek_abi import Decision, Denied, Failed, Limit, TekError, canonical, status_of
from tek_executor.resume import Answer
from tek_executor.testing.faults import CALM, Fault, Faults, Weather
from tek_executor.testing.invariants import Broken, check, prefix_holds
from tek_executor.testing.remembered import Remembered
from tek_executor.testing.run import Ran, Setting, Way, carry_out, go_on
from tek_kernel import LedgerInvalid

_WORKERS: Final = (1, 2, 3, 8)
_SHOWN: Final = 12
_WIDTH: Final = 80


@attrs.define(str=False)
class SimulationFailed(TekError, AssertionError):
    """A rule was broken: tek's or the test's own. ``scenario`` is what went wrong around the agent, ``log`` how far it
    came, ``again`` the command that shows it again.
    """

    broken: AssertionError
    scenario: str
    seed: int
    again: str
    log: tuple[str, ...] = ()

    def __str__(self) -> str:
        log = "".join(f"\n    {line}" for line in self.log)
        return f"{self.broken}\n  in a run with {self.scenario}{log}\n  seed {self.seed}; see it again: {self.again}"


@attrs.frozen
class Simulated:
    """A simulation in which every rule held. ``calm`` is the run in which nothing went wrong, ``runs`` how many there
    were of each kind.
    """

    calm: Ran
    runs: dict[str, int]


@attrs.define
class Simulation:
    """One agent's way through faults, schedules and crashes, all drawn from ``seed``.

    At most ``most`` runs meet a fault, each at another place while there are any. ``optional`` names effects that the
    agent may do without: it is not blamed for going on when one of them is denied. ``always`` asserts what else is to
    hold after each run.
    """

    setting: Setting
    seed: int
    again: str
    most: int = 100
    optional: Collection[str] = ()
    always: Callable[[Ran], object] = lambda ran: None
    _counts: Counter[str] = attrs.field(factory=Counter, init=False)

    def run(self) -> Simulated:
        """Run all of it. Raises ``SimulationFailed`` at the first rule that is broken."""
        calm = self._checked("no fault", CALM)
        with self._blaming("no fault", calm):
            _nothing_broke(calm)
        self._same_hash(calm, "no fault")
        for scenario, faults in self._single_faults(calm):
            ran = self._checked(scenario, faults)
            with self._blaming(scenario, ran):
                _denials_are_heard(calm, ran, self.optional)
        for number in range(max(1, self.most // 8)):
            scenario = f"a fault at one request in five, the {number + 1}. time"
            workers = _WORKERS[number % len(_WORKERS)]
            stormy = self._checked(scenario, Faults(chance=0.2, jitter=True), self.seed + number, workers)
            self._same_hash(stormy, scenario)
        self._crashes(calm)
        return Simulated(calm, dict(self._counts))

    def _checked(self, scenario: str, faults: Faults, seed: int | None = None, workers: int = 1) -> Ran:
        weather = Weather(self.seed if seed is None else seed, faults)
        ran = carry_out(self.setting, weather, Way(workers, grouped=workers > 1, watching=True))
        self._counts["faults" if faults != CALM else "calm"] += 1
        with self._blaming(scenario, ran):
            check(ran)
            self.always(ran)
        return ran

    @contextmanager
    def _blaming(self, scenario: str, ran: Ran) -> Iterator[None]:
        """Say of a broken rule in which run it was broken, and how to see that again."""
        try:
            yield
        except AssertionError as broken:
            raise SimulationFailed(broken, scenario, self.seed, self.again, tuple(_log(ran))) from None

    def _single_faults(self, calm: Ran) -> Iterator[tuple[str, Faults]]:
        """Yield one fault at each request of the calm run, or as many of them as there may be."""
        positions = {intent.envelope.idempotence_key: intent.position for intent in calm.ledger.intents()}
        single: list[tuple[str, Faults]] = []
        for deed in calm.weather.deeds:
            what = f"{deed.request.effect} at {positions[deed.key]}"
            single += [(f"{what} {fault}", Faults({deed.key: fault})) for fault in Fault]
        for access in dict.fromkeys(access for deed in calm.weather.deeds for access in deed.accesses):
            single.append((f"no permit for {access.action}:{access.resource}", Faults(denied=(access,))))
        most = sum(outcome.usage.io for outcome in calm.ledger.outcomes())
        for io in sorted({0, 1, most // 2, max(0, most - 1)} if most else ()):
            single.append((f"a budget of io={io}", Faults(limit=Limit(io=io))))
        random.Random(self.seed).shuffle(single)  # noqa: S311  # a choice of tests, no secret
        yield from single[: self.most]

    def _same_hash(self, first: Ran, scenario: str) -> None:
        """Check invariant 5: the same outcomes and decisions under other schedules give the same replay hash."""
        for workers in _WORKERS:
            weather = Remembered(self.seed + workers, first.weather.faults, first.ledger)
            again = carry_out(self.setting, weather, Way(workers, grouped=workers % 2 == 0))
            self._counts["schedules"] += 1
            with self._blaming(f"{scenario}, and the same again with {workers} workers", again):
                _require_same(first, again)

    def _crashes(self, whole: Ran) -> None:
        """Crash after each line of a run in which nothing else goes wrong, check what is left, and let it go on."""
        for lines in range(2, len(whole.ledger.lines)):
            scenario = f"a crash after line {lines}"
            crashed = carry_out(self.setting, Weather(self.seed, CALM), Way(), lines)
            self._counts["crashes"] += 1
            with self._blaming(scenario, crashed):
                prefix_holds(crashed, crashed.ledger)
                self.always(crashed)
            resumed = self._resumed(scenario, crashed, {})
            if resumed.end is not None and resumed.end.in_doubt:
                self._counts["in doubt"] += 1
                resumed = self._resumed(f"{scenario}, which left something in doubt", resumed, _truth(resumed))
            if resumed.replay_hash == whole.replay_hash:
                self._counts["resumed to the same hash"] += 1

    def _resumed(self, scenario: str, crashed: Ran, answers: dict[str, Answer]) -> Ran:
        with self._blaming(f"{scenario}, resumed", crashed):
            try:
                resumed = go_on(crashed, answers)
            except LedgerInvalid as error:
                raise Broken("7: a run goes on where it was cut off", str(error)) from error
        with self._blaming(f"{scenario}, resumed", resumed):
            check(resumed)
            self.always(resumed)
        return resumed


def _truth(ran: Ran) -> dict[str, Answer]:
    """Return what is true of each request in doubt, as somebody who has looked would say."""
    assert ran.end is not None
    done = {deed.key for deed in ran.weather.deeds}
    keys = {intent.position: intent.envelope.idempotence_key for intent in ran.ledger.intents()}
    doubtful = [one for several in ran.end.in_doubt.values() for one in several]
    truth: dict[str, Answer] = {}
    for one in doubtful:
        was_done: Answer = "done" if "done" in one.answers else "fail"
        truth[str(one.position)] = was_done if keys[one.position] in done else "retry"
    return truth


def _nothing_broke(calm: Ran) -> None:
    """An agent that nothing hinders comes to an end of its own: a report, or the error of an effect."""
    for raised in calm.broke:
        raise Broken("an agent reports what it cannot do", f"it raised {raised}; return a TaskReport that says so")


def _require_same(first: Ran, again: Ran) -> None:
    if _winners(again) != _winners(first):
        return  # another schedule, another winner: another run
    if isinstance(again.weather, Remembered) and again.weather.strange:
        raise Broken("an agent is a function of its answers", f"it asked for {again.weather.strange[0]} this time")
    if again.replay_hash != first.replay_hash:
        problem = f"{first.replay_hash} and {again.replay_hash} for the same outcomes and decisions"
        raise Broken("5: one replay hash", problem)


def _winners(ran: Ran) -> dict[str, Any]:
    return {str(entry.position): entry.value for entry in ran.ledger.of(Decision) if entry.subject == "race"}


def _denials_are_heard(calm: Ran, ran: Ran, optional: Collection[str]) -> None:
    """A denial makes a difference: the agent reports something else, or asks for something in its place."""
    asked = {intent.position: intent.envelope for intent in ran.ledger.intents()}
    before = {(i.position.task, i.envelope.effect, i.envelope.args_digest) for i in calm.ledger.intents()}
    denied_before = {str(outcome.position) for outcome in calm.ledger.outcomes() if _is_denial(outcome.outcome)}
    for outcome in ran.ledger.outcomes():
        position = outcome.position
        end, calm_end = ran.ledger.ended(position.task), calm.ledger.ended(position.task)
        effect = asked[position].effect
        if not _is_denial(outcome.outcome) or effect in optional or str(position) in denied_before:
            continue
        others = {(p.task, e.effect, e.args_digest) for p, e in asked.items() if p.task == position.task}
        unheard = position.attempt == end.attempts and end.status in ("ok", "noop") and others <= before
        if unheard and end.report == calm_end.report:
            problem = f"{position.task} reports {end.status} as if {effect} had not been denied at {position}"
            advice = f"let EffectDenied end the task, or say optional=({effect!r},)"
            raise Broken("a denial is not swallowed", f"{problem}; {advice}")


def _is_denial(outcome: object) -> bool:
    return isinstance(outcome, Denied) or (isinstance(outcome, Failed) and outcome.error.exhausted is not None)


def _log(ran: Ran) -> Iterator[str]:
    outcomes = {outcome.position: outcome.outcome for outcome in ran.ledger.outcomes()}
    intents = ran.ledger.intents()
    if len(intents) > _SHOWN:
        yield f"... {len(intents) - _SHOWN} requests before"
    for intent in intents[-_SHOWN:]:
        outcome = outcomes.get(intent.position)
        args = canonical(ran.ledger.codec.unseal(intent.envelope.args)).decode()
        shown = args if len(args) <= _WIDTH else f"{args[: _WIDTH - 1]}…"
        end = "nothing" if outcome is None else status_of(outcome)
        yield f"{intent.position} {intent.envelope.effect} {shown} -> {end}"
    for task, status in ran.statuses.items():
        report = ran.ledger.ended(task).report
        yield f"{task} {status}{': ' + report.message if report and report.message else ''}"
