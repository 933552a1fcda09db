"""The man page, in the macros of man(7), which every reader of man pages knows."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from tools.reference.cli import PROGRAM, Command, commands, exit_codes

_FILES = (
    ("sot.md", "the source of truth that is read where a command names none"),
    ("config/manifest.json", "what the operator grants; without it the preset workspace-write"),
    ("config/hooks.json", "commands of tasks and queues, as the older kit had them"),
    ("runs/", "a directory a run: its ledger, blobs, logs and run.json"),
)
_ENVIRONMENT = (
    ("NO_COLOR", "where it is set, nothing is coloured"),
    ("GITHUB_ACTIONS", "where it is true, the output of tasks stands in groups"),
)


def man_page() -> str:
    """Return the page, in section 1."""
    program, *others = commands()
    lines = [
        f'.TH TEK-RUNNER 1 "" "tek {version("tek")}" "User Commands"',
        ".SH NAME",
        f"{_text(PROGRAM)} \\- run Markdown plans under permits and budgets, and prove afterwards what they did",
        ".SH SYNOPSIS",
        f".B {_text(PROGRAM)}",
        _text("[OPTIONS] COMMAND [ARGS]..."),
        ".SH DESCRIPTION",
        *_paragraphs(program),
        ".SH OPTIONS",
        *_listed(program.options),
        ".SH COMMANDS",
    ]
    for command in others:
        lines += _command(command)
    lines += [".SH EXIT STATUS", *_listed(exit_codes()), ".SH ENVIRONMENT", *_listed(_ENVIRONMENT)]
    lines += [".SH FILES", *_listed(_FILES), ".SH EXAMPLES", *_examples(program)]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_text(command.usage)}"
    yield from _paragraphs(command)
    yield from _listed(command.options)
    if command.examples:
        yield ".PP"
        yield "Examples:"
        yield from _examples(command)


def _paragraphs(command: Command) -> Iterator[str]:
    for text in command.paragraphs:
        if not text.startswith("Exit codes: "):
            yield ".PP"
            yield _text(text)


def _listed(pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> Iterator[str]:
    for name, text in pairs:
        yield ".TP"
        yield f".B {_text(name)}"
        yield _text(text)


def _examples(command: Command) -> Iterator[str]:
    yield ".PP"
    yield ".nf"
    yield ".RS"
    yield from map(_text, command.examples)
    yield ".RE"
    yield ".fi"


def _text(text: str) -> str:
    r"""Return text as roff shows it: ``-`` is typed as it stands, and no line is taken for a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return "\\&" + text if text.startswith((".", "'")) else text
