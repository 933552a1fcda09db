"""What proc.exec says about a request before it runs: side effect, cost, uses of authority, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tek_abi import Access, Budget, Limit, PatternError, Permit, Subject
from tek_abi.vocabulary.proc import Exec
from tek_effects_proc import BadCommand
from tek_effects_proc.command import MAX_TOTAL, MAX_WORD
from tek_kernel.effect import SideEffect
from tests.effects_proc.commands import Commands

AT = "2026-01-01T00:00:00.000000Z"


def argv_of(commands: Commands, *argv: str, cwd: str = ".") -> tuple[str, ...]:
    access: Access = commands.effect.accesses(Exec(argv, cwd))[0]
    return access.argv


def granted(commands: Commands, pattern: str, *argv: str, cwd: str = ".", exclude: tuple[str, ...] = ()) -> bool:
    permit = Permit(("proc.exec",), (pattern,), exclude=exclude)
    access = commands.effect.accesses(Exec(argv, cwd))[0]
    return permit.mismatch(access, Subject("TASK-001", "shell"), AT) is None


def test_nobody_may_run_a_command_again_without_asking(commands: Commands) -> None:
    assert commands.effect.side_effect(Exec(("true",))) is SideEffect.ONCE


def test_it_reserves_its_timeout_or_all_the_time_there_is(commands: Commands) -> None:
    cost = commands.effect.cost
    assert cost(Exec(("true",))).least == Budget(ms=1)
    assert cost(Exec(("true",))).most == Limit(ms=None, tokens=0, io=None)
    assert cost(Exec(("true",), timeout=1500)).most == Limit(ms=1500, tokens=0, io=None)


def test_a_command_uses_the_right_to_its_words(commands: Commands) -> None:
    accesses = commands.effect.accesses(Exec(("git", "log", "-n", "a b")))
    assert accesses == (Access("proc.exec", "proc", "git log -n 'a b'", ("git", "log", "-n", "a b")),)


def test_a_directory_of_its_own_must_be_readable_too(commands: Commands) -> None:
    assert commands.effect.accesses(Exec(("true",), "./src//lib/"))[1:] == (
        Access("fs.list", "fs.read", "$WORKSPACE/src/lib"),
    )
    assert commands.effect.accesses(Exec(("true",), str(commands.workspace))) == commands.effect.accesses(
        Exec(("true",))
    )


@pytest.mark.parametrize(
    ("word", "cwd", "seen"),
    [
        ("git", "sub", "git"),
        ("./build", ".", "./build"),
        (".//./build", ".", "./build"),
        ("./build", "tools", "tools/build"),
        ("tools/build", ".", "tools/build"),
        ("tools/build", "sub", "sub/tools/build"),
        ("/usr/bin/git", "sub", "/usr/bin/git"),
        ("//usr/./bin//git", ".", "/usr/bin/git"),
        ("WORKSPACE/tools/build", "sub", "tools/build"),
    ],
)
def test_a_program_has_one_spelling_for_permits(commands: Commands, word: str, cwd: str, seen: str) -> None:
    word = word.replace("WORKSPACE", str(commands.workspace))
    assert argv_of(commands, word, "x", cwd=cwd) == (seen, "x")


def test_no_second_spelling_of_a_program_passes_by_an_exclusion(commands: Commands) -> None:
    for word, cwd in [("tools/evil", "."), ("./tools//evil", "."), ("./evil", "tools"), ("WS/tools/evil", ".")]:
        word = word.replace("WS", str(commands.workspace))
        assert not granted(commands, "**", word, cwd=cwd, exclude=("tools/evil",)), word


def test_a_permit_for_a_program_of_the_workspace_covers_none_of_a_subdirectory(commands: Commands) -> None:
    assert granted(commands, "tools/build", "tools/build")
    assert not granted(commands, "tools/build", "tools/build", cwd="sub")


@pytest.mark.parametrize("word", ["../evil", "tools/../../evil", "/usr/bin/../../tmp/evil", "./a\nb"])
def test_a_program_with_dots_or_control_characters_is_refused(commands: Commands, word: str) -> None:
    with pytest.raises(PatternError):
        commands.effect.accesses(Exec((word,)))


@pytest.mark.parametrize("cwd", ["..", "a/../..", "/etc", "/", "", "a\0b", "\ud800", "$SYSTEM/etc"])
def test_a_directory_outside_the_workspace_is_refused(commands: Commands, cwd: str) -> None:
    with pytest.raises((BadCommand, PatternError)):
        commands.effect.accesses(Exec(("true",), cwd))


def test_a_sibling_whose_name_starts_alike_is_not_the_workspace(commands: Commands) -> None:
    Path(f"{commands.workspace}-evil").mkdir()
    with pytest.raises(BadCommand, match="outside the workspace"):
        commands.effect.accesses(Exec(("true",), f"{commands.workspace}-evil"))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"argv": ("",)}, "name a program"),
        ({"argv": ("a\0b",)}, "NUL"),
        ({"argv": ("true", "\0")}, "NUL"),
        ({"argv": ("true", "\udcff")}, "surrogate"),
        ({"argv": ("true", 1)}, "words are text"),
        ({"argv": ("true", "x" * MAX_WORD)}, "below 131072"),
        ({"argv": ("true", *["x" * (MAX_WORD - 1)] * 8)}, f"below {MAX_TOTAL}"),
        ({"env": (("A", "b\0c"),)}, "NUL"),
        ({"env": (("A", "\udcff"),)}, "surrogate"),
        ({"env": (("A", "1"), ("A", "2"))}, "twice"),
        ({"env": (("A", "x" * MAX_WORD),)}, "below 131072"),
        ({"env": (("A", "secret:"),)}, "names no variable"),
        ({"env": (("A", "secret:no-name"),)}, "names no variable"),
        ({"timeout": 0}, "milliseconds"),
        ({"timeout": -5}, "milliseconds"),
        ({"timeout": True}, "milliseconds"),
    ],
)
def test_what_no_command_can_be_is_refused(commands: Commands, more: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadCommand, match=problem):
        commands.effect.accesses(Exec(**{"argv": ("true",), **more}))


def test_the_longest_words_that_are_let_through_can_be_run(commands: Commands) -> None:
    words = ["x" * (MAX_WORD - 1)] * 7
    assert commands.run("true", *words, "y" * 100_000).code == 0


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\n", "Ä", "BASH_FUNC_ls%%", "A\0"])
def test_a_variable_has_a_plain_name(commands: Commands, name: str) -> None:
    with pytest.raises(BadCommand, match="not a variable's name"):
        commands.effect.accesses(Exec(("true",), env=((name, "x"),)))


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "IFS", "NODE_OPTIONS"])
def test_a_variable_that_runs_code_is_refused(commands: Commands, name: str) -> None:
    with pytest.raises(BadCommand, match="would run code"):
        commands.effect.accesses(Exec(("true",), env=((name, "/tmp/evil.so"),)))


def test_the_mark_of_a_command_cannot_be_forged(commands: Commands) -> None:
    with pytest.raises(BadCommand, match="tek's own"):
        commands.effect.accesses(Exec(("true",), env=(("TEK_EFFECT", "x"),)))
