"""What a command may look like at all, whoever asks for it. Everything here is pure and decided before permits."""

from __future__ import annotations

import re

import attrs

from tek_abi import TekError
from tek_abi.vocabulary.proc import Exec

MAX_WORD = 128 * 1024
"""Bytes of one argument or ``NAME=value`` with its closing NUL: Linux's MAX_ARG_STRLEN."""

MAX_TOTAL = 1024 * 1024
"""Bytes of all arguments and asked variables, well below what Linux takes with the usual stack limit."""

SECRET = "secret:"  # noqa: S105  # the prefix of a secret's name
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

_RUNS_CODE = frozenset(
    {
        "GLIBC_TUNABLES",  # changes the loader itself (CVE-2023-4911)
        "GCONV_PATH",  # glibc loads character set modules from there
        "BASH_ENV",  # bash runs the file before a script
        "ENV",  # sh does
        "SHELLOPTS",  # switches tracing on, which then expands PS4
        "BASHOPTS",
        "PS4",  # may hold a command substitution
        "PROMPT_COMMAND",
        "IFS",  # changes how a script's words are split
        "PYTHONHOME",  # replaces the standard library
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        "PYTHONBREAKPOINT",
        "PERL5OPT",  # options, among them -M, which loads a module
        "PERL5DB",
        "RUBYOPT",
        "NODE_OPTIONS",  # --require and --import
        "JAVA_TOOL_OPTIONS",  # -javaagent
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
    }
)
"""Variables that make a loader or an interpreter run code that the arguments do not name, so that a permit for
``python3 build.py`` would cover any program. Search paths (PATH, PYTHONPATH) are not among them: tasks need them,
and the program that is started is looked up on the operator's own PATH.
"""


@attrs.define(str=False)
class BadCommand(TekError, ValueError):
    """A command that cannot be carried out as asked. ``field`` is argv, env, cwd or timeout."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


def check_command(request: Exec) -> None:
    """Raise ``BadCommand`` unless words, variables and timeout are within bounds.

    The directory is for ``Workspace.directory`` to check.
    """
    if not request.argv or not request.argv[0]:
        raise BadCommand("argv", "name a program")
    total = sum(_size("argv", word) for word in request.argv)
    seen: set[str] = set()
    for name, value in request.env:
        _check_name(name)
        if name in seen:
            raise BadCommand("env", f"{name} is given twice")
        seen.add(name)
        if value.startswith(SECRET) and not _NAME.fullmatch(value.removeprefix(SECRET)):
            raise BadCommand("env", f"{name} names no variable after {SECRET}")
        total += _size("env", f"{name}={value}")
    if total >= MAX_TOTAL:
        raise BadCommand("argv", f"arguments and variables together are below {MAX_TOTAL} bytes, not {total}")
    if request.timeout is not None and (type(request.timeout) is not int or request.timeout < 1):
        raise BadCommand("timeout", f"a whole number of milliseconds from 1, not {request.timeout!r}")


def _size(field: str, text: str) -> int:
    if not isinstance(text, str):
        raise BadCommand(field, f"words are text, not {type(text).__name__}")
    if "\0" in text:
        raise BadCommand(field, "a word holds NUL")
    try:
        size = len(text.encode()) + 1
    except UnicodeEncodeError:
        raise BadCommand(field, "a word holds a lone surrogate, which has no UTF-8 form") from None
    if size > MAX_WORD:
        raise BadCommand(field, f"a word is below {MAX_WORD} bytes; pass long input in a file")
    return size


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadCommand("env", f"{name!r} is not a variable's name: ASCII letters, digits and _")
    if name in _RUNS_CODE or name.startswith("LD_"):
        raise BadCommand("env", f"{name} would run code that the command does not name")
    if name.startswith("TEK_"):
        raise BadCommand("env", f"{name}: names with TEK_ are tek's own")
