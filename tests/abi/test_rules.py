"""Rules: what people write in ``Allow`` and ``--allow``, and what a denial tells them to write."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Access, PatternError, Permit, Subject, parse_rule
from tek_abi.pattern import canonical_path, parse_url
from tek_abi.permit import family_of, show_path, show_rule
from tek_agents.testing.strategies import accesses, texts

NOW = "2027-01-31T00:00:00.000000Z"
SOMEONE = Subject("TASK-001", "shell")
ODD_NAMES = st.text(st.sampled_from("ab*?[]'\"`\\ $:%#\u200b\u00a0é"), min_size=1, max_size=8)


def covers(permit: Permit, access: Access) -> bool:
    return permit.mismatch(access, SOMEONE, NOW) is None


@pytest.mark.parametrize(
    ("rule", "action", "resource"),
    [
        ("fs.read:src/**", "fs.read", "$WORKSPACE/src/**"),
        ("fs.write:/var/tmp/x", "fs.write", "$SYSTEM/var/tmp/x"),
        ("fs.list:.", "fs.list", "$WORKSPACE"),
        ("fs.read:a:b", "fs.read", "$WORKSPACE/a:b"),
        ("proc.exec:git log **", "proc.exec", "git log **"),
        ("proc:../a.sh", "proc", "../a.sh"),
        ("net.http:POST https://example.org:*/api/**", "net.http", "POST https://example.org:*/api/**"),
        ("env.get:LC_*", "env.get", "LC_*"),
        ("clock.*:*", "clock.*", "*"),
    ],
)
def test_a_rule_is_read_into_a_permit(rule: str, action: str, resource: str) -> None:
    permit = parse_rule(rule)
    assert (permit.action, permit.resource, permit.rule) == ((action,), (resource,), rule)
    assert permit.subject == ("*",)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        ":",
        "fs.read",
        "fs.read:",
        ":src",
        "fs.*:src",
        "fs:src",
        "*:src",
        "f*:src",
        "?s.write:src",
        "**:x",
        "*.x:y",
        "fs.chmod:src",
        "proc.kill:1",
        "net.tcp:x",
        "proc.exec:",
        "proc.exec:''",
        "proc.exec:'a",
        "proc.exec:../*",
        "fs.read:../x",
        "fs.read:a\0b",
        "fs.read:a\u200bb",
        "fs.read:a\u202eb",
        "fs.read:a**",
        "net.http:example.org",
        "net.http:https://u@h/",
        " fs.read:x",
        "fs.read :x",
        "env get:x",
        "env.get:" + "x" * 9000,
        "fs.read:\ud800",
    ],
)
def test_a_rule_that_cannot_be_read_never_grants(rule: str) -> None:
    with pytest.raises(PatternError):
        parse_rule(rule)


@pytest.mark.parametrize(
    ("action", "family"),
    [("fs.stat", "fs.read"), ("fs.rename", "fs.write"), ("proc.*", "proc"), ("net", "net"), ("git.commit", "other")],
)
def test_an_action_belongs_to_one_family(action: str, family: str) -> None:
    assert family_of(action) == family


@settings(max_examples=300)
@given(accesses())
def test_the_rule_that_a_denial_shows_covers_the_access(access: Access) -> None:
    assert covers(parse_rule(show_rule(access)), access)


@settings(max_examples=300)
@given(st.lists(ODD_NAMES, max_size=3), st.booleans())
def test_it_does_so_for_files_of_any_name(names: list[str], absolute: bool) -> None:
    path = "/".join(("" if absolute else ".", *names)) or "/"
    try:
        resource = canonical_path(path)
    except PatternError:
        return
    for family in ("fs.read", "fs.write"):
        access = Access(family, family, resource)
        assert covers(parse_rule(show_rule(access)), access)


@settings(max_examples=300)
@given(
    st.one_of(ODD_NAMES, st.sampled_from(["../a*b", "./a b", "/x/'y'/z*", "$SYSTEM/bin/git", "x" * 9000, "'" * 4000]))
)
def test_it_does_so_for_programs_of_any_name(program: str) -> None:
    argv = (program, "x", "y z")
    access = Access("proc.exec", "proc", shlex.join(argv), argv)
    assert covers(parse_rule(show_rule(access)), access)


@given(
    st.text(st.sampled_from("ab*;=@:!$&'()+,-.~_"), max_size=10), st.sampled_from(["h.org", "[::1]", "127.0.0.1:81"])
)
def test_it_does_so_for_urls(path: str, authority: str) -> None:
    try:
        target = parse_url("POST", f"https://{authority}/{path}")
    except PatternError:
        return
    access = Access("net.http", "net", str(target), method="POST")
    assert covers(parse_rule(show_rule(access)), access)


@given(texts(12) | st.just("x" * 9000))
def test_it_does_so_for_effects_of_others(resource: str) -> None:
    access = Access("git.commit", "git.commit", resource)
    assert covers(parse_rule(show_rule(access)), access)


def test_the_shown_rule_is_no_wider_than_it_must_be() -> None:
    shown = {
        "src/a": "fs.read:src/a",
        "/etc/hosts": "fs.read:/etc/hosts",
        "/": "fs.read:/",
        ".": "fs.read:.",
        "a b": "fs.read:a b",
        "a*b": "fs.read:a?b",
        "**": "fs.read:??",
        "./$SYSTEM/etc": "fs.read:./$SYSTEM/etc",
        "a`b": "fs.read:a?b",
    }
    for path, rule in shown.items():
        assert show_rule(Access("fs.stat", "fs.read", canonical_path(path))) == rule
    assert show_rule(Access("proc.exec", "proc", "", ("my tool", "x"))) == "proc.exec:'my tool'"


@given(
    st.lists(st.sampled_from(["a", "$WORKSPACE", "$SYSTEM", "b"]), max_size=3),
    st.sampled_from(["$WORKSPACE", "$SYSTEM"]),
)
def test_a_shown_path_leads_back_to_the_path(names: list[str], root: str) -> None:
    path = "/".join((root, *names))
    assert canonical_path(show_path(path)) == path
