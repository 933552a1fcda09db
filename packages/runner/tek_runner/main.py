"""``tek-runner``: the entry point. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from tek_runner.examples import examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "init": "Write a first plan, proposed from what is there.",
    "plan": "Read a source of truth and show or write its plan.",
    "check": "Find what is wrong with a plan and its configuration.",
    "fmt": "Tidy a plan without changing it.",
    "explain": "Say what a diagnostic's code means.",
    "run": "Run a plan in parallel, under permits and budgets.",
    "resume": "Go on with a run that was interrupted or cut off.",
    "replay": "Drive a recorded run again, touching nothing, and verify it.",
    "show": "Tell what happened in a recorded run, or in one of its tasks.",
    "logs": "Print what the commands of a run wrote.",
    "report": "Write what happened in a run as one page, a trace or spans.",
    "diff": "Compare two recorded runs, task by task.",
    "permits": "List or revoke what the policy grants, or find the smallest that a run needed.",
    "keygen": "Make the key that signs ledgers.",
    "checkpoint": "Sign a closed ledger that has no checkpoint yet.",
    "prove": "Write the proof that one line is in a signed ledger.",
    "check-proof": "Check the proof of one line, without its ledger.",
    "redact": "Remove a blob of a closed run, and say so in its place.",
    "gc": "Remove old run directories by a rule.",
    "list": "List the tasks of a plan, or the installed agents and effects.",
    "doctor": "Say what this machine can run and enforce.",
    "completion": "Print what a shell needs to complete commands and options.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command: click.Command = importlib.import_module(f"tek_runner.commands.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args and not ctx.resilient_parsing else ""
        if name and not name.startswith("-") and name not in _COMMANDS:
            import difflib

            close = difflib.get_close_matches(name, _COMMANDS, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Commands are {', '.join(_COMMANDS)}."
            ctx.fail(f"there is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing any."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return 0  # whoever read the output has gone, which click would call a failure

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    epilog=examples(
        """
        tek-runner plan sot.md                     see what would run
        tek-runner run sot.md                      run it
        tek-runner replay last                     verify what the last run did
        tek-runner run sot.md --only TASK-003      run one task again
        """
    ),
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="tek", prog_name="tek-runner", message="%(prog)s %(version)s")
def cli() -> None:
    """Run Markdown plans under permits and budgets, and prove afterwards what they did.


    Exit codes: 0 done, 1 a task failed, 2 wrong usage or bad input, 3 denied by policy or budget, 4 ledger invalid or
    replay mismatch, 5 the sandbox can't be enforced here, 6 in doubt, 7 storage failed, 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. No traceback reaches the user."""
    try:
        result: Any = cli.main(arguments, standalone_mode=False)
        return int(result or 0)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except Exception as error:
        return _explain(error)


def _explain(error: Exception) -> int:
    from tek_abi import TekError
    from tek_effects_proc import SandboxUnavailable
    from tek_kernel import LedgerInvalid, StorageFailed, Unproven

    if isinstance(error, SandboxUnavailable):
        return _fail(str(error), 5)
    if isinstance(error, StorageFailed):
        return _fail(str(error), 7)
    if isinstance(error, LedgerInvalid | Unproven):
        return _fail(str(error), 4)
    if isinstance(error, TekError):
        return _fail(str(error), 2)
    if isinstance(error, OSError):
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 7 if error.errno == 28 else 2)
    if isinstance(error, MemoryError):
        return _fail("there is not enough memory for this input", 2)
    name = type(error).__name__
    return _fail(f"this is a defect of tek, please report it: {name}: {error} ({_place(error)})", 70)


def _place(error: Exception) -> str:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"


def _fail(text: str, code: int) -> int:
    from tek_runner.console import printable

    with suppress(OSError):
        click.echo(f"tek-runner: {printable(text)}", err=True)
    return code


def entry() -> None:
    """Start from the shell."""
    code = main()
    try:
        sys.stdout.flush()
    except OSError as error:
        # What cannot be printed is dropped here, else the interpreter would try again and complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            code = code or _explain(error)
    sys.exit(code)
