"""Whether a run's plan and policy are still those that it was started under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from tek_abi import ExecutionPlan, InvalidInput, Permit, Policy
from tek_kernel import plan_digest, utc_now
from tek_runner.config import Config
from tek_runner.inputs import UnreadableInput, load_source
from tek_runner.prepare import with_hooks
from tek_runner.resuming import Left

_FLAG = "--allow "
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
    yield from _of_tasks(before, now)


def _of_tasks(before: ExecutionPlan, now: ExecutionPlan) -> Iterator[str]:
    old, new = ({task.id: (queue, task) for queue, task in plan.tasks()} for plan in (before, now))
    for id_ in old.keys() - new.keys():
        yield f"  {id_} is gone"
    for id_ in new.keys() - old.keys():
        yield f"  {id_} is new"
    for id_ in (id_ for id_ in old if id_ in new):
        fields = _different(old[id_][1], new[id_][1])
        if fields:
            yield f"  {id_} differs in {', '.join(fields)}"
    heads = [{queue.letter: attrs.evolve(queue, tasks=()) for queue in plan.queues} for plan in (before, now)]
    for letter in (letter for letter in heads[0] if letter in heads[1]):
        fields = _different(heads[0][letter], heads[1][letter])
        if fields:
            yield f"  Queue {letter} differs in {', '.join(fields)}"


def _different(before: object, now: object) -> list[str]:
    names = [field.name for field in attrs.fields(type(before))]  # type: ignore[arg-type]  # attrs classes both
    return [name for name in names if getattr(before, name) != getattr(now, name)]


def _of_policy(before: Policy, now: Policy) -> Iterator[str]:
    old = _written(before.permits)
    new = _written(now.permits)
    lost, gained = [one for one in old if one not in new], [one for one in new if one not in old]
    fields = [name for name in _different(before, now) if name not in ("permits", "run")]
    if lost or gained or fields:
        yield "the policy has changed since the run was started"
    yield from (f"  it no longer grants {permit}" for permit in lost)
    yield from (f"  it now grants {permit}" for permit in gained)
    yield from (f"  it differs in {name}" for name in fields)


def _written(permits: Iterable[Permit]) -> list[Permit]:
    return [permit for permit in permits if not permit.rule.startswith(_FLAG)]
