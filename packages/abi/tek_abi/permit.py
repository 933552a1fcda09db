"""Permit: who may do what to which resource, until when, within which caveats (DESIGN sections 3 and 4).

Attenuation is conjunction. Each of ``subject``, ``action`` and ``resource`` is a tuple of patterns that must *all*
match; attenuating appends patterns, exclusions and caveats and takes the earlier expiry, so a permit can only
narrow. Globs are never compared with one another.
"""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import attrs

from tek_abi.canonical import Value
from tek_abi.errors import PatternError
from tek_abi.instant import INSTANT, Instant, parse_instant
from tek_abi.pattern import (
    SYSTEM,
    WORKSPACE,
    argv_words,
    canonical_path,
    check_text,
    is_wild,
    match_argv,
    match_name,
    match_path,
    match_url,
    parse_url_pattern,
    path_pattern,
)

__all__ = [
    "CAVEATS", "FAMILIES", "INSTANT", "Access", "Aspect", "Caveat", "Instant", "Mismatch", "Permit", "Subject",
    "canonical_pattern", "family_of", "match_action", "match_resource", "parse_instant", "parse_rule", "show_path",
    "show_rule",
]  # fmt: skip

FAMILIES: Final = ("fs.read", "fs.write", "proc", "net")
"""The families that a task's ``Allow`` narrows one by one (DESIGN section 4)."""

CAVEATS: Final = ("max_bytes", "max_uses", "methods")
"""The caveats that this version enforces. A permit with any other authorises nothing."""


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


def _frozen(value: Value) -> Value:
    """Return a value with its lists as tuples and its maps as tuples of pairs, so that permits can be hashed."""
    if isinstance(value, dict):
        return tuple([(key, _frozen(item)) for key, item in sorted(value.items())])
    if isinstance(value, list | tuple):
        return tuple([_frozen(item) for item in value])
    return value


@attrs.frozen
class Caveat:
    """A further limit, by name: ``max_bytes`` a request, ``max_uses`` a task, ``methods`` (upper case) of HTTP.

    Lists in ``value`` become tuples.
    """

    name: str
    value: Value = attrs.field(converter=_frozen)


def _some(_: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    # A conjunction over no pattern at all would hold for everything.
    if not value:
        raise ValueError(f"a permit's {attribute.name} holds at least one pattern")


def _fixed_width(_: object, __: object, value: Instant | None) -> None:
    # Expiries are compared as text; another form would be before or after the wrong moments.
    if value is not None and (INSTANT.fullmatch(value) is None or parse_instant(value) != value):
        raise ValueError(f"expires_at is a moment such as 2027-01-31T00:00:00.000000Z, not {value!r}")


@attrs.frozen
class Permit:
    """A capability. ``rule`` says where it comes from, in words that a denial can quote.

    Raises ``ValueError`` for an aspect without a pattern and an expiry in another form than ``Instant``'s.
    """

    action: tuple[str, ...] = attrs.field(validator=_some)
    resource: tuple[str, ...] = attrs.field(validator=_some)
    subject: tuple[str, ...] = attrs.field(default=("*",), validator=_some)
    exclude: tuple[str, ...] = ()
    expires_at: Instant | None = attrs.field(default=None, validator=_fixed_width)
    caveats: tuple[Caveat, ...] = ()
    rule: str = ""
    sig: str | None = None

    def attenuate(self, narrower: Permit) -> Permit:
        """Return a permit that covers what both cover and nothing else. The signature does not carry over."""
        expiries = [at for at in (self.expires_at, narrower.expires_at) if at is not None]
        # By their text, since Python takes 1 and True for equal: max_uses=True is unknown, and must not get lost.
        caveats = {(caveat.name, repr(caveat.value)): caveat for caveat in (*self.caveats, *narrower.caveats)}
        return Permit(
            action=_merged(self.action, narrower.action),
            resource=_merged(self.resource, narrower.resource),
            subject=_merged(self.subject, narrower.subject),
            exclude=_merged(self.exclude, narrower.exclude),
            expires_at=min(expiries, default=None),
            caveats=tuple(caveats.values()),
            rule=" and ".join(rule for rule in dict.fromkeys((self.rule, narrower.rule)) if rule),
        )

    def mismatch(self, access: Access, subject: Subject, at: Instant, uses: int = 0) -> Mismatch | None:
        """Return why this permit does not cover ``access`` at ``at``, or ``None`` if it does.

        ``uses`` is how often the subject's task has used this permit so far. Signatures are the caller's to check.
        Total: a pattern or resource that cannot be read refuses, in an exclusion too.
        """
        if not _is_canonical(access.family, access.resource):
            return Mismatch("resource", f"{access.resource!r} is not in its canonical form")
        aspect: Aspect = "action"
        try:
            for pattern in self.action:
                if not match_action(pattern, access):
                    return Mismatch("action", pattern)
            aspect = "subject"
            for pattern in self.subject:
                if not subject.matches(pattern):
                    return Mismatch("subject", pattern)
            aspect = "resource"
            for pattern in self.resource:
                if not match_resource(pattern, access):
                    return Mismatch("resource", pattern)
            aspect = "exclude"
            for pattern in self.exclude:
                if match_resource(pattern, access):
                    return Mismatch("exclude", pattern)
        except PatternError as error:
            return Mismatch(aspect, str(error))
        if self.expires_at is not None and not (INSTANT.fullmatch(at) and at < self.expires_at):
            return Mismatch("expired", self.expires_at)
        for caveat in self.caveats:
            problem = _caveat_problem(caveat, access, uses)
            if problem is not None:
                return Mismatch("caveat", problem)
        return None

    def is_in_force(self, access: Access, subject: Subject, at: Instant) -> bool:
        """Whether this permit is about the subject and the access's action at ``at``, whatever its resource."""
        return (
            all(match_action(pattern, access) for pattern in self.action)
            and all(subject.matches(pattern) for pattern in self.subject)
            and (self.expires_at is None or (INSTANT.fullmatch(at) is not None and at < self.expires_at))
        )

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
        too_much = value < 0 or (access.bytes is not None and access.bytes > value)
        return f"max_bytes={value}, asked for {access.bytes}" if too_much else None
    if caveat.name == "max_uses" and type(value) is int:
        return f"max_uses={value} a task, all used" if uses >= value else None
    if caveat.name == "methods" and isinstance(value, tuple):
        of_http = access.family == "net" or access.method is not None
        refused = of_http and access.method not in value
        return f"methods={','.join(map(str, value))}, asked for {access.method}" if refused else None
    return f"unknown caveat {caveat.name}={value!r}"


@lru_cache(maxsize=4096)
def _is_canonical(family: str, resource: str) -> bool:
    """Whether the effect named its path in the form that patterns are about; ``src/../x`` is not under ``src``.

    Whether a program or URL can be judged is for its matcher to say.
    """
    if family not in ("fs.read", "fs.write"):
        return True
    try:
        return canonical_path(resource) == resource
    except PatternError:
        return False


def match_action(pattern: str, access: Access) -> bool:
    """Match an action pattern: the effect's name, its family (``fs.write``, ``proc``), or a glob such as ``fs.*``."""
    return match_name(pattern, access.action) or match_name(pattern, access.family)


def match_resource(pattern: str, access: Access) -> bool:
    """Match a resource pattern in the namespace of the access's family. Raises ``PatternError`` for one that cannot
    be read there.
    """
    if access.family in ("fs.read", "fs.write"):
        return match_path(path_pattern(pattern), access.resource)
    if access.family == "proc":
        return match_argv(pattern, access.argv)
    if access.family == "net":
        return match_url(pattern, access.resource)
    return match_name(pattern, access.resource)


_ACTION: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?:\.\*)?")


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
    if not _ACTION.fullmatch(action) or action.partition(".")[0] in ("fs", "proc", "net"):
        # A wildcard before the first dot (f*) could reach into a family that the rule does not name.
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
        return path_pattern(resource)
    if family == "proc":
        program = next(iter(argv_words(resource)), "")
        if not program:
            raise PatternError(resource, "name a program, such as git or python3")
        if "/" in program and is_wild(program):
            path_pattern(program)
    elif family == "net":
        parse_url_pattern(resource)
    return resource


def show_rule(access: Access) -> str:
    """Return the narrowest rule that would cover ``access``, as ``--allow`` and ``Allow`` take it.

    ``?`` stands for each character that a rule cannot hold as itself: wildcards, backticks, invisible ones.
    """
    if access.family in ("fs.read", "fs.write"):
        return f"{access.family}:{_literal(show_path(access.resource))}"
    if access.family == "proc":
        program = shlex.quote(_literal(access.argv[0] if access.argv else access.resource))
        return f"proc.exec:{program if _is_readable('proc', program) else '**'}"
    if access.family == "net":
        return f"net.http:{_literal(access.resource)}"
    resource = _literal(access.resource)
    return f"{access.action}:{resource if _is_readable('other', resource) else '*'}"


def _is_readable(action: str, resource: str) -> bool:
    try:
        parse_rule(f"{action}:{resource}")
    except PatternError:
        return False
    return True


def _literal(text: str) -> str:
    return "".join("?" if char in "*`" or not char.isprintable() else char for char in text)


def show_path(canonical: str) -> str:
    """Return a canonical path as people write it: relative to the workspace, or absolute."""
    root, _, rest = canonical.partition("/")
    if root == SYSTEM:
        return f"/{rest}"
    if root != WORKSPACE:
        return canonical
    if rest.partition("/")[0] in (WORKSPACE, SYSTEM):
        return f"./{rest}"
    return rest or "."
