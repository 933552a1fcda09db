"""Approvals: what a person grants to one task before the run's first task starts, beyond the policy (DESIGN section 3).

The questions are about what the plan declares: the rules of a task's ``Allow`` and the secrets of its ``Env``. Every
answer is a decision on record. One that grants is a permit for that task alone, decided like any of the policy's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, TypeGuard

import attrs

from tek_abi import (
    Access,
    Decision,
    Denial,
    ExecutionPlan,
    Instant,
    PatternError,
    Permit,
    Position,
    Queue,
    Step,
    Subject,
    Task,
)
from tek_abi.pattern import argv_words, match_path
from tek_abi.permit import family_of, parse_rule, show_path, show_rule
from tek_kernel.authority import Authority

APPROVAL: Final = "approval"
"""The subject of the decision."""

Answer: TypeAlias = Literal["once", "always", "no"]
ANSWERS: Final[tuple[Answer, ...]] = ("once", "always", "no")

_SECRET: Final = "secret:"  # noqa: S105  # it marks the name of a secret, and is none


@attrs.frozen
class Approval:
    """A person's answer about one task. ``rules`` are as ``--allow`` takes them. ``always`` grants as ``once`` does;
    that it is to be kept is the runner's business.
    """

    task: str
    answer: Answer
    rules: tuple[str, ...]

    @classmethod
    def of(cls, decision: Decision) -> Approval:
        """Read a decision. Raises ``ValueError`` for one that no run writes, ``PatternError`` for a rule."""
        position, value = decision.position, decision.value
        if (position.attempt, position.path) != (0, ()) or not isinstance(value, dict):
            raise ValueError("an approval is about a whole task, and says answer and rules")
        answer, rules = value.get("answer"), value.get("rules")
        if set(value) != {"answer", "rules"} or answer not in ANSWERS or not _are_texts(rules):
            raise ValueError("an approval says answer (once, always or no) and rules")
        approval = cls(position.task, answer, tuple(rules))
        approval.permits()
        return approval

    def decision(self) -> Decision:
        """Return the decision that stands in the ledger."""
        return Decision(Position(self.task, 0, ()), APPROVAL, {"answer": self.answer, "rules": list(self.rules)})

    def permits(self) -> tuple[Permit, ...]:
        """Return what is granted: nothing for ``no``. Raises ``PatternError``."""
        read = (parse_rule(rule, f"approved for {self.task}") for rule in self.rules)
        permits = tuple(attrs.evolve(permit, subject=(self.task,)) for permit in read)
        return permits if self.answer != "no" else ()


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


@attrs.frozen
class Lack:
    """A rule that a task declares and that the policy does not cover. ``denial`` is what a request for just what the
    rule says would meet; ``is_grantable`` is unset where no grant includes it.
    """

    rule: str
    denial: Denial
    is_grantable: bool


def lacks(
    authority: Authority, plan: ExecutionPlan, queue: Queue, task: Task, agent: str, at: Instant
) -> Iterator[Lack]:
    """Yield the rules that a task declares and that no permit of the policy covers as a whole.

    A rule here says that a request may be denied, none that all are allowed: requests are decided when they are made.
    """
    subject = Subject(task.id, agent, task.layer, queue.letter)
    holder = authority.for_task(plan, queue, task, agent)
    asked = [(rule, access) for rule in _declared(plan, queue, task) if (access := _access(rule)) is not None]
    asked += [(show_rule(access), access) for access in map(_command, task.steps)]
    for rule, access in dict(asked).items():
        is_grantable = access.family != "fs.write" or not any(
            match_path(pattern, access.resource) for pattern in authority.protected
        )
        if is_grantable and _is_covered(authority, access, subject, at):
            continue
        decided = holder.decide((access,), at)
        if isinstance(decided, Denial):
            grant = f"--allow {shlex.quote(rule)}" if decided.grant else ""
            yield Lack(rule, attrs.evolve(decided, grant=grant), is_grantable)


def beyond(authority: Authority, plan: ExecutionPlan, queue: Queue, task: Task, agent: str, at: Instant) -> list[str]:
    """Return the rules that a task lacks and that somebody could grant."""
    return [lack.rule for lack in lacks(authority, plan, queue, task, agent, at) if lack.is_grantable]


def _declared(plan: ExecutionPlan, queue: Queue, task: Task) -> Iterator[str]:
    """Yield what a task asks for: of each family the rules of the innermost ``Allow`` that names it, and secrets."""
    named = set[str]()
    for allows in (task.allow, queue.allow, plan.allow):
        rules = [rule for allow in allows for rule in allow.rules if _right(rule.action[0]) not in named]
        for rule in rules:
            yield f"{rule.action[0]}:{show_path(rule.resource[0])}"
        named.update(_right(rule.action[0]) for rule in rules)
    for _, value in task.env:
        if value.startswith(_SECRET):
            yield f"env.get:{value.removeprefix(_SECRET)}"


def _right(action: str) -> str:
    """Return the family that a level narrows by naming an action; effects outside of the families stand alone."""
    family = family_of(action)
    return action if family == "other" else family


def _command(step: Step) -> Access:
    return Access("proc.exec", "proc", shlex.join(step.argv), step.argv)


def _access(rule: str) -> Access | None:
    """Return the access to a rule's own words, which a permit covers if it covers all that they stand for."""
    try:
        permit = parse_rule(rule)
        action, resource = permit.action[0], permit.resource[0]
        family = _right(action)
        argv = argv_words(resource) if family == "proc" else ()
    except PatternError:
        return None
    return Access(action, family, resource, argv, method=resource.partition(" ")[0] if family == "net" else None)


def _is_covered(authority: Authority, access: Access, subject: Subject, at: Instant) -> bool:
    for one in authority.candidates(access).all:
        if one.bad is None and any(access.resource == pattern for pattern in one.permit.resource):
            if one.permit.is_in_force(access, subject, at):
                return True
        elif one.bad is None and one.permit.mismatch(access, subject, at) is None:
            return True
    return False
