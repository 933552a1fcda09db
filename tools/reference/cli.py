"""The command line, walked once: what its page and its man page are made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

import attrs
import click

from tek_runner.main import cli

PROGRAM: Final = "tek-runner"
_WIDE: Final = 10_000
"""So wide that click folds no line."""


@attrs.frozen
class Command:
    """One command as its ``--help`` tells it. ``path`` is how it is called; ``options`` are pairs of name and text."""

    path: str
    usage: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]
    commands: tuple[tuple[str, str], ...] = ()


def commands() -> list[Command]:
    """Return the program itself, then each command in the order of its help, groups before what they hold."""
    return list(_walk(cli, click.Context(cli, info_name=PROGRAM, terminal_width=_WIDE, **cli.context_settings)))


def _walk(command: click.Command, context: click.Context) -> Iterator[Command]:
    names = command.list_commands(context) if isinstance(command, click.Group) else []
    children = [(name, _child(command, context, name)) for name in names]
    shown = tuple((name, child.get_short_help_str(_WIDE)) for name, child in children if not child.hidden)
    yield _described(command, context, shown)
    for name, child in children:
        if not child.hidden:
            yield from _walk(child, click.Context(child, info_name=name, parent=context, **child.context_settings))


def _child(group: click.Command, context: click.Context, name: str) -> click.Command:
    child = group.get_command(context, name) if isinstance(group, click.Group) else None
    if child is None:
        raise LookupError(f"{PROGRAM} lists {name} and has no such command")
    return child


def _described(command: click.Command, context: click.Context, children: tuple[tuple[str, str], ...]) -> Command:
    text = inspect.cleandoc(command.help or "").partition("\f")[0].replace("\b\n", "")
    records = [param.get_help_record(context) for param in _options(command, context)]
    return Command(
        context.command_path,
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        tuple(_joined(part) for part in re.split(r"\n\s*\n", text) if part.strip()),
        tuple((name, _joined(help_)) for name, help_ in filter(None, records)),
        _examples(command.epilog or ""),
        children,
    )


def _options(command: click.Command, context: click.Context) -> list[click.Parameter]:
    return [one for one in command.get_params(context) if isinstance(one, click.Option)]


def _joined(text: str) -> str:
    return " ".join(text.split())


def _examples(epilog: str) -> tuple[str, ...]:
    _, found, listed = epilog.partition("Examples:\n")
    return tuple(line.removeprefix("  ") for line in listed.splitlines()) if found else ()


def exit_codes() -> list[tuple[str, str]]:
    """Return the exit codes with their meanings, as the program's help lists them."""
    listed = next(text for text in commands()[0].paragraphs if text.startswith("Exit codes: "))
    parts = listed.removeprefix("Exit codes: ").removesuffix(".").split(", ")
    found = [re.fullmatch(r"(\d+) (.+)", part) for part in parts]
    return [(match[1], match[2]) for match in found if match is not None]
