"""Whether a run's plan and policy are still those that it was started under."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from tek_abi import ExecutionPlan, Limit, Policy
from tek_kernel import plan_digest, utc_now
from tek_runner.config import Config
from tek_runner.inputs import load_source
from tek_runner.prepare import with_hooks
from tek_runner.recorded import recorded_budget
from tek_runner.resuming import Left

ALLOWED_THEN = "--allow "
"""How the rule of a permit starts that came from the command line, and so stands in no file."""


@attrs.frozen
class Wanted:
    """What somebody wants to be run, who would go on with a run that was cut off if it is the same."""

    plan: ExecutionPlan
    policy: Policy


def as_started(left: Left, config: Config) -> Wanted:
    """Return what starting a run again as it was started would run now: its plan and configuration as they are, with
    the ``--allow`` and ``--budget`` of then. Raises ``UnreadableInput`` or ``InvalidInput``.
    """
    plan, recorded = left.checker.plan, left.checker.policy
    if left.source is not None:
        plan, _ = with_hooks(load_source(left.source, utc_now(), left.workspace).plan, config)
    allowed = (permit for permit in recorded.permits if permit.rule.startswith(ALLOWED_THEN))
    run = recorded_budget(left.checker).inherit(config.policy.run)
    return Wanted(plan, attrs.evolve(config.policy, permits=(*config.policy.permits, *allowed), run=run))


def changes(left: Left, wanted: Wanted) -> Iterator[str]:
    """Yield what has changed since a run was started, a line each; nothing where it can go on as it was."""
    yield from _of_plan(left.checker.plan, wanted.plan, left.source)
    found = list(policy_differences(left.checker.policy, wanted.policy))
    if found:
        yield "the policy has changed since the run was started"
    yield from (f"  it {text}" for text in found)


def _of_plan(before: ExecutionPlan, now: ExecutionPlan, source: Path | None) -> Iterator[str]:
    if plan_digest(now) == plan_digest(before):
        return
    yield f"{source or 'the plan'}: the plan has changed since the run was started"
    yield from (f"  {text}" for text in plan_differences(before, now))


def plan_differences(before: ExecutionPlan, now: ExecutionPlan) -> Iterator[str]:
    """Yield in what two plans differ, task by task and queue by queue."""
    old, new = ({task.id: (queue, task) for queue, task in plan.tasks()} for plan in (before, now))
    for id_ in old.keys() - new.keys():
        yield f"{id_} is gone"
    for id_ in new.keys() - old.keys():
        yield f"{id_} is new"
    for id_ in (id_ for id_ in old if id_ in new):
        fields = _different(old[id_][1], new[id_][1])
        if fields:
            yield f"{id_} differs in {', '.join(fields)}"
    heads = [{queue.letter: attrs.evolve(queue, tasks=()) for queue in plan.queues} for plan in (before, now)]
    for letter in (letter for letter in heads[0] if letter in heads[1]):
        fields = _different(heads[0][letter], heads[1][letter])
        if fields:
            yield f"Queue {letter} differs in {', '.join(fields)}"


def _different(before: object, now: object) -> list[str]:
    names = [field.name for field in attrs.fields(type(before))]  # type: ignore[arg-type]  # attrs classes both
    return [name for name in names if getattr(before, name) != getattr(now, name)]


def policy_differences(before: Policy, now: Policy) -> Iterator[str]:
    """Yield in what the second of two policies differs from the first."""
    yield from (f"no longer grants {permit}" for permit in before.permits if permit not in now.permits)
    yield from (f"now grants {permit}" for permit in now.permits if permit not in before.permits)
    for name in _different(before, now):
        if name != "permits":
            yield f"differs in {name}: {_shown(getattr(before, name))} then, {_shown(getattr(now, name))} now"


def _shown(value: object) -> str:
    if isinstance(value, Limit):
        return ", ".join(f"{name}={bound}" for name, bound in value.items() if bound is not None) or "no limit"
    if isinstance(value, tuple):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value) or "nothing"
    return str(value) or "nothing"
