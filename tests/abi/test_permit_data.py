"""Permits: what can be constructed, and how subjects, expiries and caveats decide."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given

from tek_abi import Access, Caveat, PatternError, Permit, Policy, Subject
from tek_abi.permit import parse_instant
from tek_abi.policy import PRESETS, PROTECTED, preset_permits
from tek_agents.testing.strategies import accesses, instants, permits, subjects

NOW = "2027-01-31T00:00:00.000000Z"
READ = Access("fs.read", "fs.read", "$WORKSPACE/a")
SOMEONE = Subject("TASK-001#2", "shell", "platform", "A")
ALL = Permit(("*",), ("**",))


def allowed(permit: Permit, access: Access = READ, at: str = NOW, uses: int = 0) -> bool:
    return permit.mismatch(access, SOMEONE, at, uses) is None


@pytest.mark.parametrize("aspect", ["action", "resource", "subject"])
def test_a_permit_without_a_pattern_for_an_aspect_cannot_be_made(aspect: str) -> None:
    """A conjunction over nothing would hold for everything."""
    patterns: Any = {"action": ("*",), "resource": ("*",), "subject": ("*",), aspect: ()}
    with pytest.raises(ValueError, match=f"{aspect} holds at least one pattern"):
        Permit(**patterns)


@pytest.mark.parametrize(
    "expires_at",
    [
        "",
        "2027",
        "2027-01-31T00:00:00Z",
        "2027-01-31T00:00:00.000Z",
        "2027-01-31 00:00:00.000000Z",
        "2027-01-31T00:00:00.000000+00:00",
        "2027-01-31t00:00:00.000000z",
        "2027-02-31T00:00:00.000000Z",
        "2027-13-01T00:00:00.000000Z",
        "٢٠٢٧-01-31T00:00:00.000000Z",
        "2027-01-31T00:00:00.000000Z\n",
        "never",
    ],
)
def test_an_expiry_in_another_form_cannot_be_made(expires_at: str) -> None:
    """Expiries are compared as text."""
    with pytest.raises(ValueError, match=r"expires_at|no such moment"):
        Permit(("*",), ("**",), expires_at=expires_at)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-01-31T00:00:00Z", "2027-01-31T00:00:00.000000Z"),
        ("2027-01-31T23:59:59.5Z", "2027-01-31T23:59:59.500000Z"),
        ("2027-01-31T00:00:00.123456Z", "2027-01-31T00:00:00.123456Z"),
    ],
)
def test_a_moment_is_read_into_its_fixed_width(text: str, instant: str) -> None:
    assert parse_instant(text) == instant
    assert attrs.evolve(ALL, expires_at=instant).expires_at == instant


@pytest.mark.parametrize(
    "text", ["", "2027-01-31", "2027-01-31T00:00:00", "2027-02-29T00:00:00Z", "2027-01-31T24:00:01Z"]
)
def test_a_moment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        parse_instant(text)


@given(instants(), instants())
def test_a_permit_is_in_force_until_its_expiry(expires_at: str, at: str) -> None:
    assert allowed(attrs.evolve(ALL, expires_at=expires_at), at=at) == (at < expires_at)


@pytest.mark.parametrize("at", ["", "0", "2027-01-30", "2027-01-30T00:00:00Z", "now"])
def test_a_time_that_cannot_be_compared_is_taken_for_past_the_expiry(at: str) -> None:
    assert not allowed(attrs.evolve(ALL, expires_at=NOW), at=at)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("TASK-001", True),
        ("TASK-001#2", True),
        ("TASK-001#3", False),
        ("TASK-0*", True),
        ("TASK-002", False),
        ("task-001", False),
        ("agent:shell", True),
        ("agent:noop", False),
        ("layer:platform", True),
        ("queue:A", True),
        ("queue:*", True),
        ("queue:", False),
        ("shell", False),
        ("user:shell", False),
        ("", False),
    ],
)
def test_a_subject_is_a_task_or_what_it_belongs_to(pattern: str, matches: bool) -> None:
    assert allowed(attrs.evolve(ALL, subject=(pattern,))) is matches


@pytest.mark.parametrize(
    ("caveat", "access", "uses", "allows"),
    [
        (Caveat("max_bytes", 10), attrs.evolve(READ, bytes=10), 0, True),
        (Caveat("max_bytes", 10), attrs.evolve(READ, bytes=11), 0, False),
        (Caveat("max_bytes", 10), READ, 0, True),
        (Caveat("max_bytes", -1), READ, 0, False),
        (Caveat("max_bytes", True), READ, 0, False),
        (Caveat("max_bytes", "10"), READ, 0, False),
        (Caveat("max_uses", 1), READ, 0, True),
        (Caveat("max_uses", 1), READ, 1, False),
        (Caveat("max_uses", None), READ, 0, False),
        (Caveat("methods", ["GET"]), Access("net.http", "net", "GET https://h:443/", method="GET"), 0, True),
        (Caveat("methods", ["POST"]), Access("net.http", "net", "GET https://h:443/", method="GET"), 0, False),
        (Caveat("methods", ["get"]), Access("net.http", "net", "GET https://h:443/", method="GET"), 0, False),
        (Caveat("methods", ["GET"]), Access("net.http", "net", "GET https://h:443/"), 0, False),
        (Caveat("methods", "GET"), Access("net.http", "net", "GET https://h:443/", method="G"), 0, False),
        (Caveat("methods", ["GET"]), READ, 0, True),
        (Caveat("max_byte", 10), READ, 0, False),
        (Caveat("", None), READ, 0, False),
    ],
)
def test_a_caveat_limits_and_one_that_is_unknown_denies(
    caveat: Caveat, access: Access, uses: int, allows: bool
) -> None:
    resource = "* https://*" if access.family == "net" else "**"
    permit = Permit(("*",), (resource,), caveats=(caveat,))
    assert allowed(permit, access, uses=uses) is allows


def test_a_permit_can_be_hashed_whatever_its_caveats_hold() -> None:
    caveat = Caveat("x", [1, {"b": [2], "a": {}}])
    assert caveat.value == (1, (("a", ()), ("b", (2,))))
    assert len({Permit(("*",), ("*",), caveats=(caveat,)), Permit(("*",), ("*",), caveats=(caveat,))}) == 1


@given(permits(), accesses(), subjects())
def test_checking_is_total(permit: Permit, access: Access, subject: Subject) -> None:
    found = permit.mismatch(access, subject, NOW)
    assert found is None or found.detail is not None


@pytest.mark.parametrize("pattern", ["", "\0", "'", "../x", "**x", "[", "x" * 9000, "\ud800", "https://"])
@given(access=accesses())
def test_a_pattern_that_cannot_be_read_refuses(pattern: str, access: Access) -> None:
    if access.family != "env.get":
        assert not allowed(Permit(("*",), (pattern,)), access)
    unreadable = Permit((access.action,), ("x" * 9000 + "*",), exclude=())
    assert not allowed(unreadable, access)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold_permits_that_name_their_preset(preset: str) -> None:
    granted = preset_permits(preset)
    assert Policy(preset=preset).permits == granted
    assert {permit.rule for permit in granted} == {f"preset {preset}"}


@pytest.mark.parametrize(
    ("preset", "family", "path", "grants"),
    [
        ("read-only", "fs.read", "$WORKSPACE/a", True),
        ("read-only", "fs.write", "$WORKSPACE/a", False),
        ("read-only", "fs.read", "$SYSTEM/usr/lib/x", True),
        ("read-only", "fs.read", "$SYSTEM/home/u/.ssh/id", False),
        ("workspace-write", "fs.write", "$WORKSPACE/a/b", True),
        ("workspace-write", "fs.write", "$WORKSPACE/.git/config", False),
        ("workspace-write", "fs.write", "$WORKSPACE/sub/.git", False),
        ("workspace-write", "fs.write", "$WORKSPACE/config/manifest.json", False),
        ("workspace-write", "fs.write", "$WORKSPACE/runs/x", False),
        ("workspace-write", "fs.write", "$SYSTEM/tmp/x", False),
        ("unconfined", "fs.write", "$SYSTEM/tmp/x", True),
    ],
)
def test_a_preset_grants_what_its_name_says(preset: str, family: str, path: str, grants: bool) -> None:
    access = Access(family, family, path)
    assert any(allowed(permit, access) for permit in preset_permits(preset)) is grants


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        "sub/.git/config",
        ".git/modules/m/config",
        ".git/config.worktree",
        ".git/commondir",
        ".git/worktrees/w/config.worktree",
        "config/manifest.json",
        "config/hooks.json",
    ],
)
def test_what_runs_later_or_steers_tek_is_protected(path: str) -> None:
    permit = Permit(("fs.write",), ("**",), exclude=PROTECTED)
    assert not allowed(permit, Access("fs.write", "fs.write", f"$WORKSPACE/{path}"))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(KeyError):
        Policy(preset="everything")
