"""Paths as permits see them: one canonical form, and patterns that mean what they show."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Access, PatternError, Permit, Subject
from tek_abi.pattern import MAX_PATH, canonical_path, match_path, path_pattern, static_prefix
from tek_agents.testing.strategies import canonical_paths, texts

NOW = "2027-01-31T00:00:00.000000Z"


def allowed(permit: Permit, resource: str, family: str = "fs.read") -> bool:
    return permit.mismatch(Access(family, family, resource), Subject("TASK-001", "shell"), NOW) is None


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (".", "$WORKSPACE"),
        ("src/a", "$WORKSPACE/src/a"),
        ("./src//a/.", "$WORKSPACE/src/a"),
        ("src/", "$WORKSPACE/src"),
        ("/", "$SYSTEM"),
        ("/etc/x", "$SYSTEM/etc/x"),
        ("//etc///x/", "$SYSTEM/etc/x"),
        ("$WORKSPACE", "$WORKSPACE"),
        ("$WORKSPACE/a", "$WORKSPACE/a"),
        ("$SYSTEM/etc", "$SYSTEM/etc"),
        ("./$SYSTEM/etc", "$WORKSPACE/$SYSTEM/etc"),
        ("$SYSTEMS/etc", "$WORKSPACE/$SYSTEMS/etc"),
        ("/$WORKSPACE/a", "$SYSTEM/$WORKSPACE/a"),
        ("~/a", "$WORKSPACE/~/a"),
        ("...", "$WORKSPACE/..."),
        ("a..b/..c", "$WORKSPACE/a..b/..c"),
        ("C:\\a", "$WORKSPACE/C:\\a"),
        ("é", "$WORKSPACE/é"),
        ("e\u0301", "$WORKSPACE/e\u0301"),
        (" a ", "$WORKSPACE/ a "),
    ],
)
def test_a_path_has_one_canonical_form(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
    assert canonical_path(canonical) == canonical


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "../a",
        "a/..",
        "a/../b",
        "/..",
        "$WORKSPACE/..",
        "$SYSTEM/a/../..",
        "a\0b",
        "a\nb",
        "\x1b[0m",
        "a\x7f",
        "\ud800",
        "a/\udfff",
        "x" * MAX_PATH,
    ],
)
def test_a_path_that_could_mean_something_else_is_refused(path: str) -> None:
    with pytest.raises(PatternError):
        canonical_path(path)


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab./$WORKSPACE\\ é"), max_size=20) | texts(20))
def test_the_canonical_form_names_the_file_that_the_os_would_find(path: str) -> None:
    try:
        canonical = canonical_path(path)
    except PatternError:
        return
    assert canonical_path(canonical) == canonical
    root, _, rest = canonical.partition("/")
    assert root in ("$WORKSPACE", "$SYSTEM")
    if not path.startswith(("$WORKSPACE", "$SYSTEM")):
        base = "/ws" if root == "$WORKSPACE" else "/"
        assert posixpath.normpath(posixpath.join(base, rest)).lstrip("/") == posixpath.normpath(
            posixpath.join("/ws", path)
        ).lstrip("/")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("src/**", "src/a/b", True),
        ("src/**", "src", True),
        ("src/**", "src-evil/a", False),
        ("src/**", "srcs", False),
        ("src/**", "Src/a", False),
        ("src/*", "src/a", True),
        ("src/*", "src/a/b", False),
        ("src/*", "src", False),
        ("src/*", "src/.hidden", True),
        ("*", "a", True),
        ("*", "a/b", False),
        ("*", "/a", False),
        ("**", "a/b", True),
        ("**", "/etc/passwd", False),
        ("/**", "/etc/passwd", True),
        ("/**", "a", False),
        ("**/.git/**", ".git/hooks/x", True),
        ("**/.git/**", "sub/deep/.git", True),
        ("**/.git/**", "sub/.github/x", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/y/c", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("a?c", "a/c", False),
        ("*.py", "x.py", True),
        ("*.py", ".py", True),
        ("é", "e\u0301", False),
    ],
)
def test_a_path_pattern_covers_what_it_shows(pattern: str, path: str, matches: bool) -> None:
    assert match_path(path_pattern(pattern), canonical_path(path)) is matches
    assert allowed(Permit(("fs.read",), (pattern,)), canonical_path(path)) is matches


@given(canonical_paths())
def test_a_path_matches_itself_and_the_tree_above_it(path: str) -> None:
    assert match_path(path, path)
    assert match_path(path + "/**", path)
    assert match_path(path.rpartition("/")[0] + "/**", path) or "/" not in path
    assert not match_path(path + "x/**", path)


@pytest.mark.parametrize("pattern", ["**.py", "src/a**", "a/***", "src/**/..", "a\0", ""])
def test_a_pattern_that_misleads_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        path_pattern(pattern)


def test_the_static_prefix_ends_before_the_first_wildcard() -> None:
    assert static_prefix("$WORKSPACE/src/*/x") == "$WORKSPACE/src"
    assert static_prefix("$WORKSPACE/a?/x") == "$WORKSPACE"
    assert static_prefix("$SYSTEM/etc/hosts") == "$SYSTEM/etc/hosts"


@pytest.mark.parametrize(
    "resource", ["src/a", "$WORKSPACE/src/../secret", "$WORKSPACE/src/./a", "$WORKSPACE//a", "", "/a"]
)
def test_a_resource_that_is_not_canonical_is_never_covered(resource: str) -> None:
    """An effect that forgets to make its path canonical is refused, rather than judged by a path it does not use."""
    assert not allowed(Permit(("*",), ("$WORKSPACE/**",)), resource)
    assert not allowed(Permit(("*",), ("$WORKSPACE/src/**",)), resource)


@pytest.mark.parametrize("exclusion", ["secret/**", "./secret/**", "$WORKSPACE//secret/**", "**.key", "../x"])
def test_an_exclusion_holds_however_it_is_written_and_refuses_all_if_it_cannot_be_read(exclusion: str) -> None:
    permit = Permit(("fs.read",), ("**",), exclude=(exclusion,))
    assert not allowed(permit, "$WORKSPACE/secret/key")
