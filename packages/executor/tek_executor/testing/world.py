"""The world of a test: what an agent finds there, and the ways to let it run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import attrs

from tek_abi import UNLIMITED, Assignment, ExecutionPlan, Limit, Permit, Policy, Queue, Task, layer_of, preset_permits
from tek_agents import Agent
from tek_executor.testing.answers import Command, Page, Run, Serve
from tek_executor.testing.faults import CALM, Faults, Weather
from tek_executor.testing.file_effects import file_effects
from tek_executor.testing.files import Files
from tek_executor.testing.invariants import check
from tek_executor.testing.ledger import MemoryLedger
from tek_executor.testing.run import NOBODY, Ran, Setting, Way, carry_out
from tek_executor.testing.simulation import Simulated, Simulation, SimulationFailed
from tek_kernel import Effect

_TASK = Task("TASK-001", "TASK-001", layer_of("TASK-001"))


@attrs.define
class World:
    """Files, programs, servers and an environment, all in memory; every run starts from a fresh copy of them.

    ``commands`` and ``pages`` are found by pattern, as permits have them: ``"git status"``, ``"GET https://host/**"``.
    ``effects`` makes further effects, those of a third party; each is permitted as a whole. ``policy`` is what the
    operator grants, by default everything. All chance comes from ``seed``; ``again`` is the command that runs the
    same test with it. ``ledger`` is that of the last run.
    """

    seed: int = 0
    again: str = ""
    files: dict[str, bytes | str] = attrs.field(factory=dict)
    commands: dict[str, Command] = attrs.field(factory=dict)
    pages: dict[str, Page] = attrs.field(factory=dict)
    environ: dict[str, str] = attrs.field(factory=dict)
    effects: Callable[[], Iterable[Effect[Any]]] = tuple
    policy: Policy | None = None
    ledger: MemoryLedger = attrs.field(factory=MemoryLedger, repr=False)

    def run(
        self,
        agent: Agent | Mapping[str, Agent],
        *tasks: Task | Assignment | ExecutionPlan,
        faults: Faults = CALM,
        workers: int = 1,
    ) -> Ran:
        """Run an agent on tasks (``TASK-001`` unless given) or a whole plan, once, and check every invariant.

        Agents may be given by the names that tasks have for them. Raises ``Broken``.
        """
        ran = carry_out(self._setting(agent, tasks), Weather(self.seed, faults), Way(workers, watching=True))
        self.ledger.become(ran.ledger)
        check(ran)
        return ran

    def simulate(
        self,
        agent: Agent | Mapping[str, Agent],
        *tasks: Task | Assignment | ExecutionPlan,
        most: int = 100,
        optional: Collection[str] = (),
        always: Callable[[Ran], object] = lambda ran: None,
    ) -> Simulated:
        """Run an agent undisturbed, under other schedules, with each fault at each of its requests, under many faults,
        and with a crash at each line of its ledger, and check every invariant each time.

        ``most`` bounds the runs with faults; ``optional`` names effects that the agent may do without. A task with
        ``retries`` shows what a second attempt repeats. ``always`` asserts what is to hold after every run, crashed
        ones too, beside what tek promises. Raises ``SimulationFailed``.
        """
        setting = self._setting(agent, tasks)
        again = self.again or f"World(seed={self.seed}).simulate(...)"
        __tracebackhide__ = True  # pytest shows the test's own line
        try:
            simulated = Simulation(setting, self.seed, again, most, optional, always).run()
        except SimulationFailed as failed:
            raise failed.with_traceback(None) from None
        self.ledger.become(simulated.calm.ledger)
        return simulated

    def _setting(self, agent: Agent | Mapping[str, Agent], tasks: tuple[Any, ...]) -> Setting:
        agents = dict(agent) if isinstance(agent, Mapping) else {NOBODY: agent}
        further = tuple(self.effects())
        policy = self.policy or _everything(effect.request.effect for effect in further)
        plan = _plan(tasks)
        if not isinstance(agent, Mapping):
            agents.update({task.agent: agent for _, task in plan.tasks() if task.agent})
        commands, pages, effects = dict(self.commands), dict(self.pages), self.effects

        def over(files: Files) -> tuple[Effect[Any], ...]:
            return (*file_effects(files), Run(commands, files), Serve(pages), *effects())

        return Setting(plan, agents, policy, dict(self.files), dict(self.environ), over, self.ledger.kept)


def _everything(effects: Iterable[str]) -> Policy:
    own = tuple(Permit((name,), ("*",), rule="the simulated world") for name in effects)
    limit = Limit(UNLIMITED, UNLIMITED, UNLIMITED)
    return Policy("unconfined", (*preset_permits("unconfined"), *own), task=limit)


def _plan(given: tuple[Any, ...]) -> ExecutionPlan:
    if len(given) == 1 and isinstance(given[0], ExecutionPlan):
        return given[0]
    tasks = tuple(one.task if isinstance(one, Assignment) else one for one in given)
    return ExecutionPlan((Queue("Queue A — Simulated", tasks or (_TASK,)),))
