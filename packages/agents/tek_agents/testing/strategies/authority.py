"""Strategies for subjects, accesses, patterns and permits, made so that patterns and resources meet often."""

from __future__ import annotations

import shlex
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tek_abi import Access, Caveat, Mismatch, Permit, Subject
from tek_abi.pattern import UrlPattern, UrlResource, parse_url, parse_url_pattern
from tek_agents.testing.strategies.values import (
    agents,
    digests,
    instants,
    layers,
    naturals,
    once,
    queue_letters,
    task_ids,
    texts,
    tuples_of,
    values,
)

FAMILY_ACTIONS: Final = {
    "fs.read": ("fs.read", "fs.list", "fs.stat"),
    "fs.write": ("fs.write", "fs.append", "fs.mkdir", "fs.remove", "fs.rename"),
    "proc": ("proc.exec",),
    "net": ("net.http",),
    "env.get": ("env.get",),
}
_NAMES: Final = ("src", "a", "b", "ab", ".git", "config", "README.md")
_WORDS: Final = ("status", "log", "-n", "1", "--all", "")
_PROGRAMS: Final = ("git", "python3", "/usr/bin/git", "/usr/bin/python3", "./git", "tools/git", "/opt/git")
_HOSTS: Final = ("example.org", "www.example.org", "evilexample.org", "127.0.0.1", "[::1]")
VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL")


@once
def subjects() -> SearchStrategy[Subject]:
    """Who may ask."""
    return st.builds(Subject, task_ids(), agents(), layers(), queue_letters())


@once
def canonical_paths() -> SearchStrategy[str]:
    """Canonical paths beneath both roots, from few names."""
    roots = st.sampled_from(["$WORKSPACE", "$WORKSPACE", "$SYSTEM"])
    names = st.lists(st.sampled_from(_NAMES), max_size=4)
    return st.builds(lambda root, segments: "/".join((root, *segments)), roots, names)


@once
def argvs() -> SearchStrategy[tuple[str, ...]]:
    """Argument vectors from few words."""
    return st.builds(
        lambda program, rest: (program, *rest), st.sampled_from(_PROGRAMS), st.lists(st.sampled_from(_WORDS))
    )


@once
def url_resources() -> SearchStrategy[UrlResource]:
    """Targets of requests, from few hosts and paths."""
    return st.builds(
        lambda method, scheme, host, port, names: parse_url(method, f"{scheme}://{host}{port}/{'/'.join(names)}"),
        st.sampled_from(["GET", "HEAD", "POST"]),
        st.sampled_from(["http", "https"]),
        st.sampled_from(_HOSTS),
        st.sampled_from(["", ":80", ":8080"]),
        st.lists(st.sampled_from(["api", "v1", "x"]), max_size=3),
    )


@once
def url_patterns() -> SearchStrategy[UrlPattern]:
    """Read URL patterns."""
    return resource_patterns("net").map(parse_url_pattern)


@once
def accesses(families: tuple[str, ...] = tuple(FAMILY_ACTIONS)) -> SearchStrategy[Access]:
    """Uses of authority in each family, named as effects name them."""
    return st.sampled_from(families).flatmap(_accesses_of)


@once
def _accesses_of(family: str) -> SearchStrategy[Access]:
    action = st.sampled_from(FAMILY_ACTIONS[family])
    size = st.none() | naturals(2000)
    match family:
        case "proc":
            return argvs().map(lambda argv: Access("proc.exec", "proc", shlex.join(argv), argv))
        case "net":
            return st.builds(
                lambda url, n: Access("net.http", "net", str(url), (), n, url.method), url_resources(), size
            )
        case "env.get":
            return st.sampled_from(VARIABLES).map(lambda name: Access("env.get", "env.get", name))
        case _:
            return st.builds(lambda name, path, n: Access(name, family, path, (), n), action, canonical_paths(), size)


@once
def action_patterns() -> SearchStrategy[str]:
    """Patterns of actions: names, families, globs."""
    return st.sampled_from(["*", "fs.*", "fs.read", "fs.write", "fs.list", "proc", "proc.exec", "net", "env.get"])


@once
def subject_patterns() -> SearchStrategy[str]:
    """Patterns of subjects: tasks, agents, layers, queues."""
    return st.sampled_from(
        ["*", "TASK-*", "TASK-001", "TASK-00?", "TASK-001#2", "agent:shell", "agent:*", "layer:platform", "queue:A*"]
    )


@once
def resource_patterns(family: str) -> SearchStrategy[str]:
    """Canonical patterns in a family's namespace, wide ones most often."""
    match family:
        case "proc":
            words = st.lists(st.sampled_from(["**", "*", "status", "log", "-?"]), max_size=3)
            programs = st.sampled_from(["*", "**", "git", "py*", "/usr/bin/*", "tools/**", "./git"])
            return st.builds(lambda program, rest: shlex.join((program, *rest)).replace("'", ""), programs, words)
        case "net":
            return st.builds(
                lambda method, scheme, host, port, path: f"{method}{scheme}://{host}{port}{path}",
                st.sampled_from(["", "* ", "GET|POST ", "POST "]),
                st.sampled_from(["http", "https"]),
                st.sampled_from(["*", "*.example.org", *_HOSTS]),
                st.sampled_from(["", ":*", ":8080"]),
                st.sampled_from(["", "/**", "/api/**", "/api/*", "/api/v?", "/"]),
            )
        case "env.get":
            return st.sampled_from(["*", "LC_*", "PATH", "L*"])
        case _:
            roots = st.sampled_from(["$WORKSPACE", "$WORKSPACE", "$SYSTEM"])
            segments = st.lists(st.sampled_from(["**", "**", "*", "a*", "?", "*.md", *_NAMES]), max_size=4)
            return st.builds(lambda root, rest: "/".join((root, *rest)), roots, segments)


@once
def caveats() -> SearchStrategy[Caveat]:
    """Caveats that are known, and some that are not or hold the wrong type."""
    known = st.one_of(
        st.builds(Caveat, st.just("max_bytes"), st.sampled_from([0, 100, 1000, 10_000])),
        st.builds(Caveat, st.just("max_uses"), st.integers(0, 4)),
        st.builds(Caveat, st.just("methods"), st.sampled_from([["GET"], ["GET", "POST"], []])),
    )
    odd = st.builds(Caveat, st.sampled_from(["max_bytes", "max_uses", "methods", "on_sundays"]), values(3))
    return st.one_of(known, known, known, known, odd)


@once
def permits() -> SearchStrategy[Permit]:
    """Permits of one family or of several, that meet ``accesses`` and ``subjects`` now and then."""
    return st.sampled_from(tuple(FAMILY_ACTIONS)).flatmap(
        lambda family: st.builds(
            Permit,
            action=tuples_of(action_patterns(), 2, 1),
            resource=tuples_of(resource_patterns(family), 2, 1),
            subject=tuples_of(subject_patterns(), 2, 1),
            exclude=tuples_of(resource_patterns(family), 1),
            expires_at=st.none() | instants(),
            caveats=tuples_of(caveats(), 2),
            rule=texts(),
            sig=st.none() | digests(),
        )
    )


@st.composite
def permits_near(draw: st.DrawFn, access: Access, subject: Subject) -> Permit:
    """Permits made around one access: about half of them cover it, the others fail in one or two aspects."""
    rarely = _rarely()
    action = [draw(st.sampled_from(["*", access.action, access.family]))]
    resource = [_around(draw, access)]
    asking = [draw(st.sampled_from(["*", subject.task, f"agent:{subject.agent}", f"queue:{subject.queue}"]))]
    if draw(rarely):
        action.append(draw(action_patterns()))
    if draw(rarely):
        resource.append(draw(resource_patterns(access.family)))
    if draw(rarely):
        asking.append(draw(subject_patterns()))
    return Permit(
        tuple(action),
        tuple(resource),
        tuple(asking),
        exclude=(draw(resource_patterns(access.family)),) if draw(rarely) else (),
        expires_at=draw(instants()) if draw(rarely) else None,
        caveats=(draw(caveats()),) if draw(_now_and_then()) else (),
        rule=draw(texts()),
    )


@once
def _rarely() -> SearchStrategy[bool]:
    return st.sampled_from([False] * 11 + [True])


@once
def _now_and_then() -> SearchStrategy[bool]:
    return st.sampled_from([False, False, True])


def _around(draw: st.DrawFn, access: Access) -> str:
    """A pattern that covers the access."""
    match access.family:
        case "proc":
            return draw(st.sampled_from(["**", f"{access.argv[0]}", f"{access.argv[0]} **"]))
        case "net":
            scheme, _, rest = access.resource.partition(" ")[2].partition("://")
            host = rest.partition("/")[0]
            return draw(st.sampled_from([f"* {scheme}://*:*", f"{access.method} {scheme}://{host}/**"]))
        case "env.get":
            return draw(st.sampled_from(["*", access.resource, access.resource[:2] + "*"]))
        case _:
            root, *names = access.resource.split("/")
            kept = draw(st.integers(0, len(names)))
            wider = [draw(st.sampled_from([name, "*", f"{name[:1]}*"])) for name in names[:kept]]
            return "/".join((root, *wider, *([] if kept == len(names) and draw(st.booleans()) else ["**"])))


@once
def mismatches() -> SearchStrategy[Mismatch]:
    """Why one permit does not cover one access."""
    aspects = ["subject", "action", "resource", "exclude", "expired", "caveat", "signature"]
    return st.builds(Mismatch, st.sampled_from(aspects), texts())
