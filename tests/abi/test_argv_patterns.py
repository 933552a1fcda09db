"""Argument vectors: which commands a pattern covers."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Access, PatternError, Permit, Subject
from tek_abi.pattern import match_argv
from tek_agents.testing.strategies import argvs


def allowed(permit: Permit, argv: tuple[str, ...]) -> bool:
    access = Access("proc.exec", "proc", shlex.join(argv), argv)
    return permit.mismatch(access, Subject("TASK-001", "shell"), "2027-01-31T00:00:00.000000Z") is None


@pytest.mark.parametrize(
    ("pattern", "argv", "matches"),
    [
        ("git", ["git"], True),
        ("git", ["git", "push", "--force"], True),
        ("git", ["gitk"], False),
        ("git status", ["git", "status"], True),
        ("git status", ["git", "status", "-s"], False),
        ("git status", ["git"], False),
        ("git log **", ["git", "log"], True),
        ("git log **", ["git", "log", "-n", "1"], True),
        ("git log **", ["git", "push"], False),
        ("git ** --dry-run", ["git", "push", "x", "--dry-run"], True),
        ("git ** --dry-run", ["git", "push", "--dry-run", "x"], False),
        ("git -*", ["git", "-c"], True),
        ("git -*", ["git", "-c", "x"], False),
        ("git 'a b'", ["git", "a b"], True),
        ("git 'a b'", ["git", "a", "b"], False),
        ("git ''", ["git", ""], True),
        ("git ''", ["git"], False),
        ("git", [], False),
        ("git", [""], False),
        ("*", [""], False),
        ("''", [""], False),
        ("", ["git"], False),
        ("py*", ["python3"], True),
        ("GIT", ["git"], False),
    ],
)
def test_words_are_matched_one_by_one(pattern: str, argv: list[str], matches: bool) -> None:
    assert match_argv(pattern, argv) is matches


@pytest.mark.parametrize("program", ["python3", "/usr/bin/python3", "/bin/python3", "/usr/local/bin/python3"])
def test_a_name_covers_the_systems_own_program_of_that_name(program: str) -> None:
    assert match_argv("python3", [program])
    assert match_argv("*", [program])
    assert match_argv("**", [program])


@pytest.mark.parametrize(
    "program",
    [
        "./python3",
        "bin/python3",
        "/tmp/python3",
        "/usr/bin/x/python3",
        "/usr/bin-evil/python3",
        "/usr/bin/python3/evil",
        "$SYSTEM/usr/bin/python3",
        "$WORKSPACE/python3",
        "usr/bin/python3",
        "/home/u/usr/bin/python3",
    ],
)
def test_a_name_covers_no_file_of_that_name_elsewhere(program: str) -> None:
    """The last three are paths in the workspace: $SYSTEM is no variable to the OS."""
    assert not match_argv("python3", [program])
    assert not match_argv("*", [program])
    assert match_argv("**", [program])


@pytest.mark.parametrize(
    ("pattern", "program", "matches"),
    [
        ("./build.sh", "./build.sh", True),
        ("./build.sh", "build.sh", False),
        ("tools/build.sh", "./tools/build.sh", True),
        ("tools/**", "tools/a/b", True),
        ("tools/*", "tools/a/b", False),
        ("/usr/bin/*", "/usr/bin/git", True),
        ("/usr/bin/*", "git", False),
        ("/usr/bin/git", "git", False),
        ("/opt/**", "/opt/x/y", True),
        ("/opt/**", "/optional/y", False),
        ("../a.sh", "../a.sh", True),
        ("**/git", "tools/git", True),
        ("**/git", "/tmp/git", False),
    ],
)
def test_a_program_with_a_slash_is_matched_as_a_path(pattern: str, program: str, matches: bool) -> None:
    assert match_argv(pattern, [program]) is matches


@pytest.mark.parametrize("program", ["/opt/../tmp/evil", "tools/../evil", "/usr/bin/../../tmp/python3", "../evil"])
@pytest.mark.parametrize("pattern", ["/opt/**", "tools/**", "python3", "*", "/usr/bin/**", "/**"])
def test_dot_dot_never_leads_into_a_pattern(pattern: str, program: str) -> None:
    assert not allowed(Permit(("proc",), (pattern,)), (program,))


@pytest.mark.parametrize("argv", [("/opt/x/../evil",), ("git", "push\0x"), ("/opt/evil",)])
def test_an_exclusion_refuses_what_it_cannot_read(argv: tuple[str, ...]) -> None:
    assert not allowed(Permit(("proc",), ("**",), exclude=("/opt/evil", "git push")), argv)
    assert allowed(Permit(("proc",), ("**",)), argv)


def test_open_quotes_are_refused() -> None:
    with pytest.raises(PatternError, match="split into words"):
        match_argv("git 'log", ["git"])
    assert not allowed(Permit(("proc",), ("git 'log",)), ("git",))
    assert not allowed(Permit(("proc",), ("**",), exclude=("git 'log",)), ("git",))


@settings(max_examples=200)
@given(argvs(), st.lists(st.text(max_size=3), max_size=2))
def test_a_quoted_command_covers_itself_and_nothing_longer(argv: tuple[str, ...], more: list[str]) -> None:
    pattern = shlex.join(argv)
    assert match_argv(pattern, argv)
    if len(argv) > 1 and more and not any("\0" in word for word in more):
        assert not match_argv(pattern, (*argv, *more))
        assert match_argv(pattern + " **", (*argv, *more))
