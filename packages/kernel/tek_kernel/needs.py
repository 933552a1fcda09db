"""What a recorded run needed of the authority that it had: ``permits infer`` (DESIGN section 4).

A request names what it needs itself, and the record says which requests were granted. A command's own accesses to
files are on no record: for those stands what its task held when it was started.
"""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Callable
from typing import BinaryIO

import attrs

from tek_abi import (
    Access,
    Caveat,
    Codec,
    DecodeError,
    Denied,
    EffectIntent,
    EffectOutcome,
    Instant,
    PatternError,
    Permit,
    Position,
    TaskStarted,
    Value,
    ValueNotAllowed,
)
from tek_abi.pattern import may_meet, path_pattern, static_prefix
from tek_abi.permit import canonical_pattern, show_path, show_rule
from tek_kernel.authority import Authority, Grant, TaskAuthority
from tek_kernel.lines import LedgerInvalid, Line, read_lines
from tek_kernel.redaction import Redacted
from tek_kernel.registry import Registry, UnknownEffect
from tek_kernel.signature import NO_KEYS, Verifier
from tek_kernel.verify import Checker, Verification


@attrs.frozen
class Need:
    """One rule that was needed, as a manifest has it. ``exclude``, ``expires_at`` and ``caveats`` are those of the
    permit that stood for it.
    """

    action: str
    resource: str
    exclude: tuple[str, ...] = ()
    expires_at: Instant | None = None
    caveats: tuple[Caveat, ...] = ()

    @property
    def permit(self) -> Permit:
        """The permit that a manifest with this rule would hold."""
        resource = canonical_pattern(self.action, self.resource)
        exclude = tuple(canonical_pattern(self.action, pattern) for pattern in self.exclude)
        return Permit((self.action,), (resource,), ("*",), exclude, self.expires_at, self.caveats)


@attrs.frozen
class Asked:
    """A need that a request named itself, with the access that it is the rule for."""

    need: Need
    access: Access


@attrs.frozen
class Needs:
    """What a run needed, by the tasks that did. ``held`` is what tasks with commands could do, with the moment at
    which the first such command was asked for; ``unknown`` says which requests are not judged, and why.
    """

    checker: Checker
    verification: Verification
    asked: dict[Asked, tuple[str, ...]]
    held: dict[Need, tuple[str, ...]]
    commands_since: Instant | None
    unknown: tuple[str, ...]


@attrs.define
class _Gathering:
    checker: Checker
    codec: Codec
    registry: Registry
    authority: Authority
    asked: dict[Asked, Counter[str]] = attrs.field(factory=dict)
    held: dict[Need, dict[str, None]] = attrs.field(factory=dict)
    since: Instant | None = None
    unknown: list[str] = attrs.field(factory=list)
    _tasks: dict[str, TaskAuthority] = attrs.field(factory=dict)
    _open: dict[Position, Line] = attrs.field(factory=dict)

    @classmethod
    def of(cls, checker: Checker, codec: Codec, registry: Registry, recorded: Verifier) -> _Gathering:
        """Gather from a run whose first task starts: what a person granted beyond the policy is known."""
        return cls(checker, codec, registry, Authority(checker.granted, checker.plan_entry.protected, recorded))

    def take(self, line: Line) -> None:
        """Take one line, each after its ``Checker`` has."""
        match line.entry:
            case TaskStarted(task=task, agent=agent) if task not in self._tasks:
                queue, declared = self.checker.tasks[task]
                self._tasks[task] = self.authority.for_task(self.checker.plan, queue, declared, agent)
            case EffectIntent(allow=True, position=position):
                self._open[position] = line
            case EffectOutcome(position, outcome):
                asked = self._open.pop(position, None)
                if asked is not None and not isinstance(outcome, Denied):
                    self._note(asked, line.entry.obs)
            case _:
                pass

    def finish(self) -> None:
        """Count requests whose outcome is not on record: they were granted."""
        for line in self._open.values():
            self._note(line, None)

    def _note(self, line: Line, obs: Value) -> None:
        assert isinstance(line.entry, EffectIntent)
        position, envelope = line.entry.position, line.entry.envelope
        task = self._tasks[position.task]
        try:
            effect = self.registry.get(envelope.effect, envelope.v)
            request = self.codec.decode(self.codec.unseal(envelope.args), effect.request, envelope.effect)
            accesses = effect.accesses(request)
        except (Redacted, UnknownEffect) as error:
            self.unknown.append(f"{position}  {envelope.effect}: {error}")
            return
        except (LookupError, DecodeError, ValueNotAllowed) as error:
            raise LedgerInvalid(line.number, f"holds what no run could have written: {error}") from None
        grants = task.decide(accesses, line.at)
        if not isinstance(grants, tuple):
            raise LedgerInvalid(line.number, f"allows what its policy denies: {grants.message}")
        task.use(grants)
        for access, grant in zip(accesses, grants, strict=True):
            self.asked.setdefault(Asked(_exact(access, grant), access), Counter())[position.task] += 1
        if any(access.family == "proc" for access in accesses):
            self._note_held(position.task, task, line.at, obs)

    def _note_held(self, name: str, task: TaskAuthority, at: Instant, obs: Value) -> None:
        """Note what a command's task could do; hosts only where it is on record that it asked for any."""
        self.since = at if self.since is None else min(self.since, at)
        held = task.held(at)
        net = held.net if isinstance(obs, dict) and obs.get("connections") else ()
        for action, permits in (("fs.read", held.reads), ("fs.write", held.writes), ("net.http", net)):
            for permit in permits:
                resource = _narrowest(permit.resource) if action != "net.http" else permit.resource[-1]
                if resource is not None:
                    shown = show_path(resource) if action != "net.http" else resource
                    exclude = tuple(show_path(pattern) for pattern in permit.exclude if may_meet(pattern, resource))
                    need = Need(action, shown, exclude, permit.expires_at, permit.caveats)
                    self.held.setdefault(need, {})[name] = None


def needs(
    file: BinaryIO,
    codec: Codec,
    registry: Callable[[Checker], Registry],
    recorded: Callable[[Checker], Verifier] = lambda checker: NO_KEYS,
) -> Needs:
    """Verify a ledger and gather what its run needed. Raises ``LedgerInvalid`` as ``verify`` does.

    ``registry`` makes the effects' pure parts for the recorded run, ``recorded`` knows the keys that it trusted.
    """
    checker = Checker(codec)
    gathering: _Gathering | None = None
    for line in read_lines(file, codec):
        checker.take(line)
        if gathering is None and isinstance(line.entry, TaskStarted):
            gathering = _Gathering.of(checker, codec, registry(checker), recorded(checker))
        if gathering is not None:
            gathering.take(line)
    verified = checker.finish()
    gathering = gathering or _Gathering.of(checker, codec, registry(checker), recorded(checker))
    gathering.finish()
    asked = {_used(one, max(uses.values())): tuple(uses) for one, uses in gathering.asked.items()}
    held = {need: tuple(tasks) for need, tasks in gathering.held.items()}
    return Needs(checker, verified, asked, held, gathering.since, tuple(gathering.unknown))


def _used(asked: Asked, uses: int) -> Asked:
    """Let a permit that limits its uses be used as often as it was for this request, and no more."""
    caveats = tuple(
        attrs.evolve(caveat, value=uses) if caveat.name == "max_uses" else caveat for caveat in asked.need.caveats
    )
    return attrs.evolve(asked, need=attrs.evolve(asked.need, caveats=caveats))


def _exact(access: Access, grant: Grant) -> Need:
    """Return the narrowest rule for an access, within what the permit that stood for it has beside its resource.

    Where no pattern holds a command's words, its permit's own stands for them.
    """
    action, _, resource = show_rule(access).partition(":")
    exclude: tuple[str, ...] = ()
    if access.family == "proc":
        words = _words(access.argv)
        resource, exclude = (words, ()) if words is not None else (grant.base.resource[0], grant.base.exclude)
    return Need(action, resource, exclude, grant.base.expires_at, grant.base.caveats)


def _words(argv: tuple[str, ...]) -> str | None:
    """Return a pattern of exactly these words, ``?`` for what a pattern cannot hold; ``None`` where it is too long."""
    pattern = " ".join(shlex.quote("".join(c if c.isprintable() and c != "*" else "?" for c in word)) for word in argv)
    try:
        return canonical_pattern("proc.exec", pattern)
    except PatternError:
        return None


def _narrowest(patterns: tuple[str, ...]) -> str | None:
    """Return the one of several path patterns, which all must match, that the others cover; ``None`` where no path can
    match them all. Where none covers another it is the first, the policy's: the plan goes on narrowing it.
    """
    canonical = [path_pattern(pattern) for pattern in patterns]
    for one in canonical:
        if all(one == other or covers(other, one) for other in canonical):
            return one
    if not all(may_meet(one, other) for one, other in itertools.combinations(canonical, 2)):
        return None
    return canonical[0]


def covers(tree: str, pattern: str) -> bool:
    """Whether a canonical path pattern is a whole tree, and all that another matches lies in it."""
    root = tree.removesuffix("/**")
    return root != tree and root == static_prefix(root) and (static_prefix(pattern) + "/").startswith(root + "/")
