"""Permit: who may do what to which resource, until when, within which caveats (DESIGN sections 3 and 4).

Attenuation is conjunction. Each of ``subject``, ``action`` and ``resource`` is a tuple of patterns that must *all*
match; attenuating appends patterns, exclusions and caveats and takes the earlier expiry, so a permit can only
narrow. Globs are never compared with one another.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import attrs

from tek_abi.canonical import Value
from tek_abi.errors import PatternError
from tek_abi.pattern import (
    argv_words,
    canonical_path,
    check_text,
    match_argv,
    match_name,
    match_path,
    match_url,
    parse_url_pattern,
)

Instant: TypeAlias = str
"""A moment in UTC as RFC 3339 with six digits of a second and ``Z``: fixed width, so text order is time order."""

INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)
_LOOSE_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?Z", re.ASCII)

FAMILIES: Final = ("fs.read", "fs.write", "proc", "net")
"""The families that a task's ``Allow`` narrows one by one (DESIGN section 4)."""

CAVEATS: Final = ("max_bytes", "max_uses", "methods")
"""The caveats that this version enforces. A permit with any other authorises nothing."""


def parse_instant(text: str) -> Instant:
    """Read an RFC 3339 moment in UTC (``2027-01-31T00:00:00Z``) into its fixed-width form."""
    match = _LOOSE_INSTANT.fullmatch(text)
    if match is None:
        raise PatternError(text, "not a moment in UTC; write it as 2027-01-31T00:00:00Z")
    return f"{match[1]}.{(match[2] or '').ljust(6, '0')}Z"


@attrs.frozen
class Access:
    """One use of authority that a request needs.

    ``action`` is the effect's name and ``family`` the right that covers it (``fs.list`` belongs to ``fs.read``).
    ``resource`` is canonical in the family's namespace. For programs ``argv`` holds the words and ``resource`` their
    shell spelling. ``bytes`` is how much the request moves at most, ``None`` where only the effect will know.
    """

    action: str
    family: str
    resource: str
    argv: tuple[str, ...] = ()
    bytes: int | None = None
    method: str | None = None


@attrs.frozen
class Subject:
    """Who asks: the task, by its full id and its queue, and the agent that carries it out."""

    task: str
    agent: str
    layer: str = "execution"
    queue: str = ""

    def matches(self, pattern: str) -> bool:
        """Match ``TASK-001``, ``TASK-0*``, ``agent:shell``, ``layer:platform`` or ``queue:A``.

        A bare id covers every occurrence of the task (``TASK-001#2``).
        """
        kind, colon, name = pattern.partition(":")
        if colon and kind in ("agent", "layer", "queue"):
            return match_name(name, getattr(self, kind))
        return match_name(pattern, self.task) or match_name(pattern, self.task.partition("#")[0])


Aspect: TypeAlias = Literal["subject", "action", "resource", "exclude", "expired", "caveat", "signature"]


@attrs.frozen
class Mismatch:
    """Why one permit does not cover one access: the aspect that failed and the pattern or caveat at fault."""

    aspect: Aspect
    detail: str


@attrs.frozen
class Caveat:
    """A further limit, by name: ``max_bytes`` a request, ``max_uses`` a task, ``methods`` (upper case) of HTTP."""

    name: str
    value: Value


@attrs.frozen
class Permit:
    """A capability. ``rule`` says where it comes from, in words that a denial can quote."""

    action: tuple[str, ...]
    resource: tuple[str, ...]
    subject: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    expires_at: Instant | None = None
    caveats: tuple[Caveat, ...] = ()
    rule: str = ""
    sig: str | None = None

    def attenuate(self, narrower: Permit) -> Permit:
        """Return a permit that covers what both cover and nothing else. The signature does not carry over."""
        expiries = [at for at in (self.expires_at, narrower.expires_at) if at is not None]
        return Permit(
            action=_merged(self.action, narrower.action),
            resource=_merged(self.resource, narrower.resource),
            subject=_merged(self.subject, narrower.subject),
            exclude=_merged(self.exclude, narrower.exclude),
            expires_at=min(expiries, default=None),
            caveats=tuple(dict.fromkeys((*self._hashable_caveats(), *narrower._hashable_caveats()))),
            rule=" and ".join(rule for rule in dict.fromkeys((self.rule, narrower.rule)) if rule),
        )

    def _hashable_caveats(self) -> tuple[Caveat, ...]:
        return tuple(attrs.evolve(c, value=tuple(c.value)) if isinstance(c.value, list) else c for c in self.caveats)

    def mismatch(self, access: Access, subject: Subject, at: Instant, uses: int = 0) -> Mismatch | None:
        """Return why this permit does not cover ``access`` at ``at``, or ``None`` if it does.

        ``uses`` is how often the subject's task has used this permit so far. Signatures are the caller's to check.
        """
        for pattern in self.action:
            if not match_action(pattern, access):
                return Mismatch("action", pattern)
        for pattern in self.subject:
            if not subject.matches(pattern):
                return Mismatch("subject", pattern)
        for pattern in self.resource:
            if not match_resource(pattern, access):
                return Mismatch("resource", pattern)
        for pattern in self.exclude:
            if match_resource(pattern, access):
                return Mismatch("exclude", pattern)
        if self.expires_at is not None and at >= self.expires_at:
            return Mismatch("expired", self.expires_at)
        for caveat in self.caveats:
            problem = _caveat_problem(caveat, access, uses)
            if problem is not None:
                return Mismatch("caveat", problem)
        return None

    def max_bytes(self) -> int | None:
        """Return the tightest ``max_bytes`` caveat, a cap for effects that cannot know their size beforehand."""
        caps = [c.value for c in self.caveats if c.name == "max_bytes" and type(c.value) is int]
        return min(caps, default=None)

    def __str__(self) -> str:
        return f"{' & '.join(self.action)}:{' & '.join(self.resource)}"


def _merged(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _caveat_problem(caveat: Caveat, access: Access, uses: int) -> str | None:
    value = caveat.value
    if caveat.name == "max_bytes" and type(value) is int:
        too_much = access.bytes is not None and access.bytes > value
        return f"max_bytes={value}, asked for {access.bytes}" if too_much else None
    if caveat.name == "max_uses" and type(value) is int:
        return f"max_uses={value} a task, all used" if uses >= value else None
    if caveat.name == "methods" and isinstance(value, list | tuple):
        refused = access.method is not None and access.method not in value
        return f"methods={','.join(map(str, value))}, asked for {access.method}" if refused else None
    return f"unknown caveat {caveat.name}={value!r}"


def match_action(pattern: str, access: Access) -> bool:
    """Match an action pattern: the effect's name, its family (``fs.write``, ``proc``), or a glob such as ``fs.*``."""
    return match_name(pattern, access.action) or match_name(pattern, access.family)


def match_resource(pattern: str, access: Access) -> bool:
    """Match a resource pattern in the namespace of the access's family."""
    if access.family in ("fs.read", "fs.write"):
        return match_path(pattern, access.resource)
    if access.family == "proc":
        return match_argv(pattern, access.argv)
    if access.family == "net":
        return match_url(pattern, access.resource)
    return match_name(pattern, access.resource)


def family_of(action: str) -> str:
    """Return the family that an action pattern of a rule belongs to: ``fs.read``, ``fs.write``, ``proc``, ``net``,
    or ``other`` for effects outside these. ``fs.*`` is refused here: a rule names one family.
    """
    if action in ("fs.read", "fs.list", "fs.stat", "fs.glob", "fs.hash"):
        return "fs.read"
    if action in ("fs.write", "fs.append", "fs.mkdir", "fs.remove", "fs.rename", "fs.copy"):
        return "fs.write"
    if action in ("proc", "proc.*", "proc.exec"):
        return "proc"
    if action in ("net", "net.*", "net.http"):
        return "net"
    if action.startswith(("fs.", "proc.", "net.")) or action in ("fs", "*", ""):
        raise PatternError(action, "an action is fs.read, fs.write, proc.exec, net.http or another effect's name")
    return "other"


def parse_rule(text: str, rule: str = "") -> Permit:
    """Read ``ACTION:RESOURCE`` as in ``Allow`` fields and ``--allow``: ``fs.read:src/**``, ``proc.exec:git``.

    Path patterns become canonical. Raises ``PatternError``; what cannot be read never grants.
    """
    action, colon, resource = text.partition(":")
    if not colon:
        raise PatternError(text, "write ACTION:RESOURCE, such as fs.read:src/** or proc.exec:python3")
    check_text(text, "rule")
    return Permit(action=(action,), resource=(canonical_pattern(action, resource),), rule=rule or text)


def canonical_pattern(action: str, resource: str) -> str:
    """Check a resource pattern in its action's namespace and return its canonical form. Raises ``PatternError``."""
    family = family_of(action)
    check_text(resource, "resource")
    if family in ("fs.read", "fs.write"):
        return canonical_path(resource)
    if family == "proc":
        if not argv_words(resource):
            raise PatternError(resource, "name a program, such as git or python3")
    elif family == "net":
        parse_url_pattern(resource)
    return resource


def show_rule(access: Access) -> str:
    """Return the narrowest rule that would cover ``access``, as ``--allow`` and ``Allow`` take it."""
    if access.family in ("fs.read", "fs.write"):
        return f"{access.family}:{show_path(access.resource)}"
    if access.family == "proc":
        return f"proc.exec:{access.argv[0] if access.argv else access.resource}"
    if access.family == "net":
        return f"net.http:{access.resource}"
    return f"{access.action}:{access.resource}"


def show_path(canonical: str) -> str:
    """Return a canonical path as people write it: relative to the workspace, or absolute."""
    if canonical == "$WORKSPACE":
        return "."
    return canonical.removeprefix("$WORKSPACE/").removeprefix("$SYSTEM") or "/"
