"""Globs: what names and segments match, and that no pattern takes long."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import PatternError
from tek_abi.glob import MAX_PATTERN, joined, match_name, segments_glob
from tek_abi.pattern import match_path


def slow_name(pattern: str, name: str) -> bool:
    """The meaning of a name's pattern, straight from its definition."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(slow_name(pattern[1:], name[n:]) for n in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and slow_name(pattern[1:], name[1:])


def slow_segments(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    """The meaning of a pattern over segments, straight from its definition."""
    if not pattern:
        return not segments
    if pattern[0] == "**":
        return any(slow_segments(pattern[1:], segments[n:]) for n in range(len(segments) + 1))
    return bool(segments) and slow_name(pattern[0], segments[0]) and slow_segments(pattern[1:], segments[1:])


pattern_texts = st.text("ab*?.", max_size=6)
subject_texts = st.text("ab*?.", max_size=6)


@settings(max_examples=600, deadline=None)
@given(pattern_texts, subject_texts)
def test_a_name_matches_as_defined(pattern: str, name: str) -> None:
    assert match_name(pattern, name) == slow_name(pattern, name)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.just("**") | st.text("ab*?", max_size=3), max_size=5), st.lists(st.text("ab", max_size=2), max_size=5)
)
def test_segments_match_as_defined(pattern: list[str], segments: list[str]) -> None:
    for separator in ("/", "\0"):
        matched = segments_glob(pattern, separator).fullmatch(joined(segments, separator)) is not None
        assert matched == slow_segments(pattern, segments)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.sampled_from(["**", "*", "a", "b", "a*", "?"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5),
)
def test_paths_match_as_defined(pattern: list[str], path: list[str]) -> None:
    assert match_path("/".join(pattern), "/".join(path)) == slow_segments(pattern, path)


@given(st.text(max_size=8))
def test_a_pattern_without_wildcards_matches_itself_alone(name: str) -> None:
    plain = name.replace("*", "x").replace("?", "x")
    assert match_name(plain, plain)
    assert not match_name(plain, plain + "x")
    assert match_name("*", name)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("LC_*", "LC_ALL", True),
        ("LC_*", "LC_", True),
        ("LC_*", "lc_all", False),
        ("LC_?", "LC_", False),
        ("LC_?", "LC_AB", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a.c", "abc", False),
        ("a\\*", "a*", False),
        ("*", "", True),
        ("?", "\n", True),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
    ],
)
def test_only_star_and_question_mark_are_special(pattern: str, name: str, matches: bool) -> None:
    assert match_name(pattern, name) is matches


def test_a_pattern_past_the_bound_is_refused() -> None:
    for match in (match_name, match_path):
        with pytest.raises(PatternError, match=f"at most {MAX_PATTERN}"):
            match("*" * (MAX_PATTERN + 1), "x")


HOSTILE = """
from tek_abi.pattern import match_argv, match_name, match_path, PatternError
assert not match_name("a*" * 4000 + "b", "a" * 100_000)
assert not match_name("*a?" * 2700 + "b", "a" * 100_000)
assert not match_path("/".join(["**", "a"] * 1000 + ["b"]), "/".join(["a"] * 10_000))
assert not match_path("**/" + "a/" * 2000 + "b", "/".join(["a"] * 10_000))
assert not match_path("**/a*a*a*a*a*a*a*b/**/" + "*a*/" * 1000 + "b", "/".join(["a" * 50] * 2000))
assert match_path("/".join(["**"] * 2000), "/".join(["a"] * 10_000))
assert not match_argv("git" + " ** a" * 1000 + " b", ("git", *["a"] * 100_000))
try:
    match_path("/".join(["**"] * 10_000), "a")
except PatternError:
    pass
"""


def test_hostile_patterns_take_polynomial_time() -> None:
    """With a matcher that backtracks, each of these would outlast the universe."""
    subprocess.run([sys.executable, "-c", HOSTILE], check=True, timeout=60)
