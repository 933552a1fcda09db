"""Authority: the one place where a permit is checked (DESIGN section 4, *declared ∩ policy*).

An access is allowed by a permit of the policy and, at each level (document, queue, task) whose ``Allow`` names the
access's family, by one of that level's rules. What covered it is their conjunction. The answer says which rule
allowed it, or which refused it and what would grant it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import product

import attrs

from tek_abi import Access, Allow, Denial, ExecutionPlan, Instant, Mismatch, Permit, Policy, Queue, Subject, Task
from tek_abi.pattern import match_path
from tek_abi.permit import family_of, match_action, show_path, show_rule
from tek_abi.policy import PROTECTED
from tek_kernel.candidates import Candidate, Candidates
from tek_kernel.effect import Held
from tek_kernel.signature import NO_KEYS, Verifier

_ASPECT_RANK = ("action", "subject", "resource", "exclude", "caveat", "expired", "signature")


@attrs.frozen
class Grant:
    """An access that is allowed. ``permit`` is the conjunction of what covers it, ``base`` the policy's part of it,
    ``asked`` the rules of the plan's.
    """

    permit: Permit
    base: Permit
    asked: tuple[Permit, ...] = ()

    @property
    def rule(self) -> str:
        """The rules that allowed it, in words."""
        return self.permit.rule


@attrs.frozen
class _Level:
    """The rules of one ``Allow`` level. ``owner`` is the document, a queue or a task; ``line`` where it stands."""

    owner: str
    line: int | None
    families: frozenset[str]
    rules: tuple[Permit, ...]

    def names(self, access: Access) -> bool:
        """Whether this level narrows the access's family."""
        return any(match_action(family, access) for family in self.families)


class Authority:
    """What the operator grants in one run. ``protected`` are further paths that no grant to write includes."""

    def __init__(self, policy: Policy, protected: Sequence[str] = (), verifier: Verifier = NO_KEYS) -> None:
        self.policy = policy
        self.protected = (*PROTECTED, *protected)

        unsigned = Mismatch("signature", "not signed by a trusted key")
        self._permits = tuple(
            Candidate(permit, None if verifier.accepts(permit) else unsigned) for permit in policy.permits
        )
        self._by_action: dict[tuple[str, str], Candidates] = {}

    def candidates(self, access: Access) -> Candidates:
        """Return the policy's permits whose action matches, with what is wrong with each."""
        key = (access.action, access.family)
        found = self._by_action.get(key)
        if found is None:
            matching = (one for one in self._permits if all(match_action(a, access) for a in one.permit.action))
            found = self._by_action[key] = Candidates(access.family, matching)
        return found

    def for_task(self, plan: ExecutionPlan, queue: Queue, task: Task, agent: str) -> TaskAuthority:
        """Return what one task may do when ``agent`` carries it out."""
        levels = (
            *_level("the document", plan.allow),
            *_level(queue.name, queue.allow),
            *_level(task.id, task.allow),
        )
        own = tuple(dict.fromkeys(step.argv[0] for step in task.steps if step.argv))
        return TaskAuthority(self, Subject(task.id, agent, task.layer, queue.letter), levels, own)


def _level(owner: str, allows: Sequence[Allow]) -> list[_Level]:
    """Join the ``Allow`` fields of one level: several of them ask for more, they do not narrow each other."""
    rules = tuple(rule for allow in allows for rule in allow.rules)
    if not rules:
        return []
    return [_Level(owner, allows[0].line, frozenset(map(_family, rules)), rules)]


def _family(rule: Permit) -> str:
    action = rule.action[0]
    family = family_of(action)
    return action if family == "other" else family


class TaskAuthority:
    """What one task may do. It counts the uses of permits that limit them."""

    def __init__(
        self, authority: Authority, subject: Subject, levels: tuple[_Level, ...], own: tuple[str, ...]
    ) -> None:
        self._authority = authority
        self.subject = subject
        self._levels = levels
        self._own = own
        self._uses: Counter[tuple[bool, Permit]] = Counter()

    def decide(self, accesses: Sequence[Access], at: Instant) -> tuple[Grant, ...] | Denial:
        """Return a grant for every access, or why the first that has none is refused. Pure: counts no use."""
        grants: list[Grant] = []
        taken = self._uses
        for access in accesses:
            grant = self._check(access, at, taken)
            if isinstance(grant, Denial):
                return grant
            grants.append(grant)
            if limited := _limited(grant):
                taken = taken + Counter(limited)
        return tuple(grants)

    def use(self, grants: Sequence[Grant]) -> None:
        """Count one use of each grant, for permits that limit their uses."""
        for grant in grants:
            if limited := _limited(grant):
                self._uses.update(limited)

    def covers(self, access: Access, at: Instant) -> bool:
        """Whether a further access that an effect met on its way is allowed too. Counts no use."""
        return isinstance(self._check(access, at, self._uses), Grant)

    def covering(self, access: Access, at: Instant, grants: Sequence[Grant] = ()) -> tuple[Permit, ...]:
        """Return every conjunction that covers an access, for effects to which it matters how it is named.

        ``grants`` are the request's own, whose uses have been counted and still hold for it.
        """
        if self._protected(access) is not None:
            return ()
        own = Counter(use for grant in grants for use in _limited(grant))
        fitting_here = self._authority.candidates(access).fitting(access)
        sources = [[(False, one.permit) for one in fitting_here if one.bad is None]]
        sources += [[(True, rule) for rule in level.rules] for level in self._levels if level.names(access)]
        fitting = [
            [use[1] for use in uses if use[1].mismatch(access, self.subject, at, self._uses[use] - own[use]) is None]
            for uses in sources
        ]
        return tuple(reduce(Permit.attenuate, chosen) for chosen in product(*fitting))

    def held(self, at: Instant) -> Held:
        """Return all that the task may do with files and the network at ``at``."""
        reads, writes, net = (
            self.conjunctions(Access(action, family, ""), at)
            for action, family in (("fs.read", "fs.read"), ("fs.write", "fs.write"), ("net.http", "net"))
        )
        return Held(reads, writes, net, self._authority.protected)

    def conjunctions(self, access: Access, at: Instant) -> tuple[Permit, ...]:
        """Return every conjunction in force whose actions cover ``access``, whatever resource it names."""
        sources = [[one.permit for one in self._authority.candidates(access).all if one.bad is None]]
        sources += [list(level.rules) for level in self._levels if level.names(access)]
        fitting = [
            [permit for permit in permits if permit.is_in_force(access, self.subject, at)] for permits in sources
        ]
        return tuple(reduce(Permit.attenuate, chosen) for chosen in product(*fitting))

    def _check(self, access: Access, at: Instant, uses: Counter[tuple[bool, Permit]]) -> Grant | Denial:
        protected = self._protected(access)
        if protected is not None:
            return self._denial(access, f"protected path {protected}", "no grant to write includes it", "")
        granted = self._policy_grant(access, at, uses)
        if isinstance(granted, Denial):
            return granted
        permit, rules = granted, list[Permit]()
        for level in self._levels:
            if not level.names(access):
                continue
            asked = self._asked(level, access, at, uses)
            if asked is None:
                where = f" (line {level.line})" if level.line else ""
                offers = ", ".join(rule.rule for rule in level.rules if match_action(_family(rule), access))
                return self._denial(
                    access,
                    f"Allow of {level.owner}{where}",
                    f"it asks for {offers} and nothing else of {access.family}",
                    f"add `{show_rule(access)}` to the Allow of {level.owner}{where}",
                )
            permit = permit.attenuate(asked)
            rules.append(asked)
        return Grant(permit, granted, tuple(rules))

    def _asked(self, level: _Level, access: Access, at: Instant, uses: Counter[tuple[bool, Permit]]) -> Permit | None:
        for rule in level.rules:
            if rule.mismatch(access, self.subject, at, uses[True, rule]) is None:
                return rule
        if access.family == "proc" and access.argv and access.argv[0] in self._own:
            # A block or hook asks for its own program by itself (DESIGN section 4).
            program = access.argv[0]
            return Permit(("proc",), (shlex.quote(program),), rule=f"own program {program}")
        return None

    def _policy_grant(self, access: Access, at: Instant, uses: Counter[tuple[bool, Permit]]) -> Permit | Denial:
        candidates = self._authority.candidates(access)
        nearest: tuple[int, Mismatch, Permit] | None = None
        for one in candidates.fitting(access):
            used = uses[False, one.permit] if one.permit.caveats else 0
            mismatch = one.bad or one.permit.mismatch(access, self.subject, at, used)
            if mismatch is None:
                return one.permit
            rank = _ASPECT_RANK.index(mismatch.aspect)
            if nearest is None or rank > nearest[0]:
                nearest = (rank, mismatch, one.permit)
        rule, why = "the policy", f"no rule grants {access.action}"
        if nearest is not None and nearest[1].aspect not in ("subject", "resource"):
            rule, why = nearest[2].rule, _explain(nearest[1], nearest[2])
        elif candidates.all:
            why = f"no rule grants it; for {access.family} there is {_offer(candidates.all)}"
        return self._denial(access, rule, why, f"--allow {shlex.quote(show_rule(access))}")

    def _protected(self, access: Access) -> str | None:
        if access.family != "fs.write":
            return None
        for pattern in self._authority.protected:
            if match_path(pattern, access.resource):
                return pattern
            if access.action in ("fs.rename", "fs.remove") and _is_above(access.resource, pattern):
                return pattern
        return None

    def _denial(self, access: Access, rule: str, why: str, grant: str) -> Denial:
        resource = access.resource.replace("\n", "⏎")
        return Denial("permit", f"{access.action} on {resource} refused by {rule}: {why}", rule, grant)


_SHOWN = 5


def _offer(candidates: Sequence[Candidate]) -> str:
    """Return what the policy grants of one family, shortened for a message."""
    offers = []
    for permit in (one.permit for one in candidates[:_SHOWN]):
        whom = "" if permit.subject == ("*",) else f" for {' & '.join(permit.subject)}"
        offers.append(" & ".join(map(show_path, permit.resource)) + whom)
    more = f" and {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return ", ".join(offers) + more


def _limited(grant: Grant) -> list[tuple[bool, Permit]]:
    """Return the permits whose uses count: the policy's as ``(False, permit)``, the plan's as ``(True, permit)``."""
    base = [(False, grant.base)] if grant.base.caveats else []
    return base + [(True, rule) for rule in dict.fromkeys(grant.asked) if rule.caveats]


def _is_above(path: str, pattern: str) -> bool:
    """Whether moving ``path`` away would move what ``pattern`` protects: it matches one of the pattern's parents."""
    segments = pattern.split("/")
    for end in range(2, len(segments)):
        if segments[end - 1] != "**" and match_path("/".join(segments[:end]), path):
            return True
    return False


def _explain(mismatch: Mismatch, permit: Permit) -> str:
    match mismatch.aspect:
        case "exclude":
            return f"{permit} leaves out {show_path(mismatch.detail)}"
        case "expired":
            return f"{permit} expired at {mismatch.detail}"
        case "caveat":
            return f"{permit} holds only within {mismatch.detail}"
        case _:
            return f"{permit} is {mismatch.detail}"
