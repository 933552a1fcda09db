"""Progress as GitHub Actions folds it: a group a task, and an annotation where one fails (workflow commands)."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import attrs

from tek_abi import TaskResult
from tek_runner.console import printable
from tek_runner.excerpt import Excerpt
from tek_runner.progress import GroupProgress, excerpt_lines


@attrs.define
class GithubProgress(GroupProgress):
    """A folded group for each task that ends. What tasks wrote can be no workflow command."""

    def show(self, result: TaskResult, line: str, output: Callable[[], Excerpt]) -> None:
        """Write a task's group."""
        lines = excerpt_lines(output())
        if not lines:
            self.out.line(line)
            return
        token = secrets.token_hex(16)
        self.out.raw(f"::group::{escaped(line)}\n::stop-commands::{token}\n")
        for text in lines:
            self.out.line(text)
        self.out.raw(f"::{token}::\n::endgroup::\n")


def annotation(title: str, file: str, line: int | None, message: str) -> str:
    """Return the command that marks a line of a file as the place of an error."""
    place = [f"file={_property(file)}"] + ([f"line={line}"] if line else [])
    return f"::error {','.join([*place, f'title={_property(title)}'])}::{escaped(message)}\n"


def escaped(text: str) -> str:
    """Return text as the data of a workflow command."""
    return "%0A".join(printable(line) for line in text.replace("%", "%25").split("\n"))


def _property(text: str) -> str:
    return escaped(text).replace(":", "%3A").replace(",", "%2C")
