"""Blocks that run: from a fence under a task to its steps."""

from __future__ import annotations

import re
import shlex
from typing import Final

from tek_abi import Step
from tek_planner.problems import Problems
from tek_planner.scan import Fence

MAX_SCRIPT: Final = 120 * 1024
"""Bytes of the longest script: the OS takes 128 KiB in one argument."""

_SHELLS: Final = {"sh": ("sh", "-eu", "-c"), "bash": ("bash", "-euo", "pipefail", "-c")}
_MISTAKEN: Final = {"shell": "sh", "console": "sh", "zsh": "sh or bash", "sh": "sh", "bash": "bash", "argv": "argv"}


def is_runnable(fence: Fence) -> bool:
    """Whether a fence's language is one that runs."""
    return _language(fence) in (*_SHELLS, "argv")


def steps_of(fence: Fence, problems: Problems) -> list[Step]:
    """Return the steps of a block under a task, none for one that is only shown. What is wrong with it is noted."""
    if not _is_plain(fence, problems):
        return []
    language = _language(fence)
    if language in _SHELLS:
        return _script(fence, _SHELLS[language], problems)
    if language == "argv":
        return _commands(fence, problems)
    if "\\" in language or "&" in language:
        message = "this language is shown as another than it is written"
        problems.add("TEK505", fence.line, 1, message, "write it plainly")
    elif language.lower() in _MISTAKEN:
        message = f"a block in {language!r} under a task is not run"
        help_ = f"write {_MISTAKEN[language.lower()]}, or text for a block that is only shown"
        problems.add("TEK506", fence.line, 1, message, help_)
    return []


def _language(fence: Fence) -> str:
    words = fence.info.split(None, 1)
    return words[0] if words else ""


def _is_plain(fence: Fence, problems: Problems) -> bool:
    """Whether a block is shown as it is: its first line, and if it is to run, all of it."""
    before = len(problems.found)
    _visible(fence.line, problems.lines[fence.line - 1], problems)
    if is_runnable(fence):
        inner = re.compile(rf" {{0,3}}{re.escape(fence.mark)}{re.escape(fence.mark[0])}*[ \t]*[^\s`~]")
        for number, line in enumerate(fence.body.split("\n"), fence.line + 1):
            if inner.match(line):
                problems.add(
                    "TEK504", number, 1, "a fence inside a fence that is run", "open the outer with more marks"
                )
            _visible(number, line, problems)
    return len(problems.found) == before


def _visible(number: int, line: str, problems: Problems) -> None:
    if line.isprintable():
        return
    bad = next((i for i, c in enumerate(line) if not c.isprintable() and c != "\t"), None)
    if bad is not None:
        message = f"an invisible character U+{ord(line[bad]):04X} in a block"
        problems.add("TEK105", number, bad + 1, message, "write it as an escape, or remove it")


def _script(fence: Fence, shell: tuple[str, ...], problems: Problems) -> list[Step]:
    if len(fence.body.encode("utf-8", "replace")) > MAX_SCRIPT:
        message = f"this script is longer than {MAX_SCRIPT} bytes"
        problems.add("TEK507", fence.line, 1, message, "put it into a file and run that")
        return []
    return [Step((*shell, fence.body), "block", None, fence.line)]


def _commands(fence: Fence, problems: Problems) -> list[Step]:
    steps = []
    for number, line in enumerate(fence.body.split("\n"), fence.line + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = shlex.split(line)
        except ValueError as error:
            message = f"this command cannot be split into words: {error}"
            problems.add("TEK508", number, 1, message, "close the quote")
            continue
        if words:
            steps.append(Step(tuple(words), "block", None, number))
    return steps
