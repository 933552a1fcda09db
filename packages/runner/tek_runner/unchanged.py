"""Whether a run's plan and policy are still those that it was started under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from tek_abi import ExecutionPlan, InvalidInput, Limit, Permit, Policy
from tek_kernel import plan_digest, utc_now
from tek_runner.config import Config
from tek_runner.inputs import UnreadableInput, load_source
from tek_runner.prepare import with_hooks
from tek_runner.resuming import Left

ALLOWED_THEN = "--allow "
"""How the rule of a permit starts that came from the command line, and so stands in no file."""


def changes(left: Left, config: Config) -> list[str]:
    """Return what has changed since a run was started, a line each; nothing where it can go on as it was."""
    return [*_of_plan(left, config), *_of_policy(left.checker.policy, config.policy)]


def _of_plan(left: Left, config: Config) -> Iterator[str]:
    if left.source is None:
        return
    try:
        loaded = load_source(left.source, utc_now(), left.workspace)
        now, _ = with_hooks(loaded.plan, config)
    except (UnreadableInput, InvalidInput) as error:
        yield f"{left.source}: the plan cannot be read any more: {error}"
        return
    before = left.checker.plan
    if plan_digest(now) == plan_digest(before):
        return
    yield f"{left.source}: the plan has changed since the run was started"
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


def _of_policy(before: Policy, now: Policy) -> Iterator[str]:
    written = [attrs.evolve(policy, permits=_written(policy.permits), run=Limit()) for policy in (before, now)]
    found = list(policy_differences(*written))
    if found:
        yield "the policy has changed since the run was started"
    yield from (f"  it {text}" for text in found)


def policy_differences(before: Policy, now: Policy) -> Iterator[str]:
    """Yield in what the second of two policies differs from the first."""
    yield from (f"no longer grants {permit}" for permit in before.permits if permit not in now.permits)
    yield from (f"now grants {permit}" for permit in now.permits if permit not in before.permits)
    yield from (f"differs in {name}" for name in _different(before, now) if name != "permits")


def _written(permits: Iterable[Permit]) -> tuple[Permit, ...]:
    return tuple(permit for permit in permits if not permit.rule.startswith(ALLOWED_THEN))
