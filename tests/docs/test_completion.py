"""Shells complete commands and options: bash for real, the others by what click and they say to each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tek_runner.main import _COMMANDS
from tests.integration.cli import TEK_RUNNER, tek

SHELLS = ("bash", "zsh", "fish")


def completed_in_bash(*words: str) -> list[str]:
    """Let bash load the script and complete the last word; return what it would offer."""
    # -p: a login shell's settings are no part of it; $0 is the program, as bash hands it to the function.
    program = """
        eval "$("$0" completion bash)" || exit 9
        spec=$(complete -p tek-runner)
        function=${spec##*-F }
        function=${function%% *}
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        "$function" "$0" "${@: -1}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", program, TEK_RUNNER, *words],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tek-runner", "res"), ["resume"]),
        (("tek-runner", "check"), ["check", "checkpoint", "check-proof"]),
        (("tek-runner", "permits", ""), ["infer", "list", "revoke"]),
        (("tek-runner", "run", "--fail"), ["--fail-fast"]),
        (("tek-runner", "run", "sot.md", "--durability", "p"), ["process"]),
        (("tek-runner", "completion", ""), list(SHELLS)),
        (("tek-runner", "no-such-command", "--x"), []),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_completes(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed_in_bash(*words) == offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_offers_every_command() -> None:
    assert completed_in_bash("tek-runner", "") == list(_COMMANDS)


def answer(words: str, index: int, shell: str, tmp_path: Path) -> str:
    variables = {"_TEK_RUNNER_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    if shell == "fish":
        variables["COMP_CWORD"] = words.split(" ")[-1]
    done = tek(cwd=tmp_path, env=variables)
    assert (done.code, done.err) == (0, "")
    return done.out


def test_zsh_and_fish_get_each_command_with_its_meaning(tmp_path: Path) -> None:
    assert answer("tek-runner rep", 1, "zsh", tmp_path).splitlines()[:3] == ["plain", "replay", _COMMANDS["replay"]]
    assert answer("tek-runner rep", 1, "fish", tmp_path).splitlines()[0].split("\t")[0].startswith("plain")
    for name in ("replay", "report"):
        assert name in answer("tek-runner rep", 1, "fish", tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_takes_its_script(shell: str, tmp_path: Path) -> None:
    done = tek("completion", shell, cwd=tmp_path)
    assert done.code == 0
    assert "_TEK_RUNNER_COMPLETE" in done.out
    assert tek("completion", shell, "--json", cwd=tmp_path).json == {"shell": shell, "script": done.out.rstrip("\n")}
    if shutil.which(shell) is not None:
        checked = subprocess.run([shell, "-n"], input=done.out, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_told_which_there_are(tmp_path: Path) -> None:
    done = tek("completion", "tcsh", cwd=tmp_path)
    assert done.code == 2
    assert all(shell in done.err for shell in SHELLS)


def test_a_command_is_completed_without_importing_any() -> None:
    """The shell waits for it at every key: what commands import stays out."""
    program = "import sys; from tek_runner.main import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    variables = {"_TEK_RUNNER_COMPLETE": "bash_complete", "COMP_WORDS": "tek-runner re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'tek-runner'\n{program}"],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "plain,replay" in done.stdout.splitlines()
    modules = done.stderr.split()
    assert not [name for name in modules if name.startswith(("tek_runner.commands", "tek_kernel", "cattrs", "attrs"))]
