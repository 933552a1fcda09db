"""From what the user typed to what is run: plan, hooks, policy, selection."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tek_abi import ExecutionPlan, Limit, PatternError, Permit, Policy, TekError, parse_rule
from tek_executor import Host
from tek_planner import attach_hooks
from tek_runner.config import Config
from tek_runner.inputs import Source, UnreadableInput


@attrs.define(str=False)
class UnknownTask(TekError, LookupError):
    """``--only`` names a task that the plan does not have."""

    task: str
    close: tuple[str, ...]

    def __str__(self) -> str:
        hint = f"; did you mean {' or '.join(self.close)}?" if self.close else ""
        return f"--only {self.task}: the plan has no such task{hint}"


def config_directory(source: Source, given: Path | None) -> Path:
    """Return where the configuration stands, or would: as given, else ``config/`` beside the source of truth.

    For a ``plan.json`` the plan's own directory and the current one are looked at too, as the older kit did.
    """
    if given is not None:
        return given
    homes = [source.workspace, source.path.resolve().parent]
    if source.is_json:
        homes.append(Path.cwd())
    places = [home / "config" for home in homes]
    return next((place for place in places if place.is_dir()), places[0])


def with_hooks(plan: ExecutionPlan, config: Config) -> tuple[ExecutionPlan, tuple[str, ...]]:
    """Return the plan with ``config/hooks.json`` on its tasks, and warnings. Raises ``InvalidInput``."""
    if config.hooks is None:
        return plan, ()
    hooked, warnings = attach_hooks(plan, config.hooks)
    return hooked, tuple(warning.render() for warning in warnings)


def select(plan: ExecutionPlan, only: Sequence[str]) -> frozenset[str]:
    """Return the ids of the tasks that ``--only`` means: a bare id means all its occurrences, a queue all its tasks.

    Raises ``UnknownTask``.
    """
    chosen: set[str] = set()
    for name in only:
        found = [
            task.id
            for queue, task in plan.tasks()
            if name in (task.id, task.id.partition("#")[0], queue.letter, queue.name)
        ]
        if not found:
            import difflib

            ids = [task.id for _, task in plan.tasks()]
            raise UnknownTask(name, tuple(difflib.get_close_matches(name, ids, 2)))
        chosen.update(found)
    return frozenset(chosen)


@attrs.define(str=False)
class UnreadableRule(TekError, ValueError):
    """A rule of ``--allow`` grants nothing, because it cannot be read. ``problem`` says what to change."""

    rule: str
    problem: str

    def __str__(self) -> str:
        return f"--allow {self.rule}: {self.problem}"


def operator_policy(config: Config, rules: Sequence[str], budget: Limit) -> Policy:
    """Return the configured policy with ``--allow`` rules added and the run's ceiling from ``--budget``.

    Raises ``UnreadableRule``.
    """
    policy = config.policy
    allowed = tuple(_allowed(text) for text in rules)
    return attrs.evolve(policy, permits=(*policy.permits, *allowed), run=budget.inherit(policy.run))


def _allowed(text: str) -> Permit:
    try:
        return parse_rule(text, f"--allow {text}")
    except PatternError as error:
        raise UnreadableRule(text, error.problem) from None


@attrs.define(str=False)
class UnusableAgents(TekError, LookupError):
    """Agents that tasks name cannot be had. Each of ``problems`` names the tasks and says why."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.problems)


def load_agents(host: Host, agents: Mapping[str, Sequence[str]]) -> None:
    """Load every agent, given with the ids of its tasks. Raises ``UnusableAgents`` for all that cannot be."""
    problems: list[str] = []
    for agent, tasks in sorted(agents.items()):
        try:
            host.load(agent)
        except TekError as error:
            more = f" and {len(tasks) - _SHOWN} more" if len(tasks) > _SHOWN else ""
            problems.append(f"{', '.join(tasks[:_SHOWN])}{more}: {error}")
    if problems:
        raise UnusableAgents(tuple(problems))


_SHOWN = 3


def check_places(*places: Path | None) -> None:
    """Refuse a path that is no text, since it stands on record. Raises ``UnreadableInput``."""
    for place in places:
        if place is None:
            continue
        try:
            os.fspath(place.resolve()).encode()
        except UnicodeEncodeError:
            problem = "the path is not UTF-8, as a record must be; rename the directory or file, or run in a copy of it"
            raise UnreadableInput(os.fspath(place.resolve()), problem) from None


def program() -> str:
    """Return the word by which this program can be started again: its name where PATH finds it, else its path."""
    started = Path(sys.argv[0])
    found = shutil.which(started.name)
    if found is not None and started.exists() and os.path.samefile(found, started):
        return started.name
    return shown(started) if started.exists() else "tek-runner"


def shown(path: Path) -> str:
    """Return a path as short as it can be written here."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
