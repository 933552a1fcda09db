"""What each task of a plan may do, spend and wait for, and why it would be denied: the plan as an operator reads it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import attrs

from tek_abi import Access, Denial, ExecutionPlan, Instant, Limit, Permit, Policy, Queue, Task
from tek_abi.pattern import may_meet
from tek_abi.permit import show_path
from tek_abi.policy import preset_permits
from tek_abi.quantity import show_duration, show_size
from tek_kernel import Authority, Lack, Scopes, Verifier, lacks
from tek_kernel.needs import covers

_RIGHTS: Final = (("reads", "fs.read", "fs.read"), ("writes", "fs.write", "fs.write"), ("starts", "proc.exec", "proc"),
                  ("reaches", "net.http", "net"))  # fmt: skip
RIGHTS: Final = tuple(name for name, _, _ in _RIGHTS)
_SECRET: Final = "secret:"  # noqa: S105  # it marks the name of a secret, and is none
_SYSTEM_TOOLS: Final = "the system's tools"
_SYSTEM: Final = frozenset(
    show_path(permit.resource[0])
    for permit in preset_permits("read-only")
    if permit.action == ("fs.read",) and permit.resource[0].startswith("$SYSTEM")
)


@attrs.frozen
class TaskRights:
    """One task before it runs. Each right is a list of patterns with what they leave out; ``runs`` are its commands,
    ``waits`` what it needs, ``lacks`` what it declares and would be denied, ``missing`` its secrets that are not set.
    """

    queue: Queue
    task: Task
    agent: str
    rights: dict[str, tuple[str, ...]]
    limit: Limit
    lacks: tuple[Lack, ...]
    missing: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Its commands, each on one line."""
        return tuple(one_line(" ".join(step.argv)) for step in self.task.steps)

    @property
    def waits(self) -> tuple[str, ...]:
        """The tasks and queues that must have ended well before it starts."""
        return (*self.queue.needs, *self.task.needs)

    @property
    def spends(self) -> str:
        """What it may spend, as a ``Budget`` field has it, and its timeout."""
        timeout = f" timeout={show_duration(self.task.timeout)}" if self.task.timeout is not None else ""
        return show_limit(self.limit) + timeout

    def as_json(self) -> dict[str, Any]:
        """Return the row for programs."""
        return {
            "task": self.task.id,
            "queue": self.queue.name,
            "line": self.task.line,
            "agent": self.agent,
            "runs": [list(step.argv) for step in self.task.steps],
            **{name: list(self.rights[name]) for name in RIGHTS},
            "env": [list(pair) for pair in self.task.env],
            "limit": attrs.asdict(self.limit),
            "timeout_ms": self.task.timeout,
            "retries": self.task.retries,
            "waits_for": list(self.waits),
            "denied": [
                {"rule": lack.rule, "why": lack.denial.message, "grant": lack.denial.grant} for lack in self.lacks
            ],
            "missing_secrets": list(self.missing),
        }


def rights(
    plan: ExecutionPlan,
    policy: Policy,
    keys: Sequence[bytes],
    choose: Callable[[Task], str],
    at: Instant,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[TaskRights]:
    """Yield what each task may do at ``at``, in plan order."""
    authority = Authority(policy, (), Verifier(tuple(keys)))
    scopes = Scopes(plan, policy, authority)
    same_for_all = all(permit.subject == ("*",) for permit in policy.permits) and not plan.allow
    common: dict[str, tuple[str, ...]] | None = None
    limits: dict[tuple[Limit, Limit], Limit] = {}
    for queue, task in plan.tasks():
        agent = choose(task)
        if same_for_all and not task.allow and not queue.allow:
            common = common or _rights(authority, plan, queue, task, agent, at)
            own = common
        else:
            own = _rights(authority, plan, queue, task, agent, at)
        lacking = () if agent == "noop" else tuple(lacks(authority, plan, queue, task, agent, at))
        secrets = (value.removeprefix(_SECRET) for _, value in task.env if value.startswith(_SECRET))
        missing = tuple(name for name in secrets if name not in environment)
        bounds = task.budget, queue.budget
        limit = limits.get(bounds) or limits.setdefault(bounds, scopes.task_limit(queue, task))
        yield TaskRights(queue, task, agent, own, limit, lacking, missing)


def _rights(
    authority: Authority, plan: ExecutionPlan, queue: Queue, task: Task, agent: str, at: Instant
) -> dict[str, tuple[str, ...]]:
    holder = authority.for_task(plan, queue, task, agent)
    found: dict[str, tuple[str, ...]] = {}
    for name, action, family in _RIGHTS:
        found[name] = tuple(_shown(holder.conjunctions(Access(action, family, ""), at), family))
    commands = (Access("proc.exec", "proc", shlex.join(step.argv), step.argv) for step in task.steps)
    own = [shlex.quote(access.argv[0]) for access in commands if not isinstance(holder.decide((access,), at), Denial)]
    if "any program" not in found["starts"]:
        found["starts"] = tuple(dict.fromkeys((*own, *found["starts"])))
    return found


def _shown(permits: Sequence[Permit], family: str) -> Iterator[str]:
    """Yield permits in words, each once; the system's own trees together are its tools."""
    words = dict.fromkeys(word for permit in permits if (word := _words(permit, family)))
    has_tools = family == "fs.read" and words.keys() >= _SYSTEM
    yield from (word for word in words if not (has_tools and word in _SYSTEM))
    if has_tools:
        yield _SYSTEM_TOOLS


def _words(permit: Permit, family: str) -> str:
    """Return one conjunction in words, without what another part of it covers; nothing where no path can match it."""
    patterns = list(dict.fromkeys(permit.resource))
    if family in ("fs.read", "fs.write"):
        if not all(may_meet(one, other) for one, other in combinations(patterns, 2)):
            return ""
        kept = [one for one in patterns if not any(one != other and covers(one, other) for other in patterns)]
        shown = " within ".join(map(show_path, reversed(kept)))
        excluded = [show_path(pattern) for pattern in permit.exclude if any(may_meet(pattern, one) for one in kept)]
    else:
        kept = [one for one in patterns if one not in ("*", "**")] or ["any program" if family == "proc" else "*"]
        shown = " within ".join(reversed(kept))
        excluded = list(permit.exclude)
    return f"{shown} but {', '.join(excluded)}" if excluded else shown


def show_limit(limit: Limit) -> str:
    """Return a limit as a ``Budget`` field has it; nothing of a dimension in which nothing may be spent."""
    shown = {"ms": show_duration, "io": show_size}
    bounds = ((name, bound) for name, bound in limit.items() if bound not in (None, 0))
    return " ".join(
        f"{name}={bound if isinstance(bound, str) else shown.get(name, str)(bound)}" for name, bound in bounds
    )


def one_line(text: str) -> str:
    """Return the first line of a command, marked where others follow."""
    lines = text.strip().splitlines()
    return f"{lines[0]} ..." if len(lines) > 1 else "".join(lines)
