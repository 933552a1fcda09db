"""``tek-runner completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
import orjson
from click.shell_completion import get_completion_class

from tek_runner.examples import examples

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "tek-runner"
_VARIABLE: Final = "_TEK_RUNNER_COMPLETE"
"""The variable by which a completing shell calls the program; click makes it of the program's name."""


@click.command(
    epilog=examples(
        """
        eval "$(tek-runner completion bash)"       in ~/.bashrc; of 4.4 or newer
        eval "$(tek-runner completion zsh)"        in ~/.zshrc, below compinit
        tek-runner completion fish >~/.config/fish/completions/tek-runner.fish
        """
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the shell and its script.")
def command(shell: str, as_json: bool) -> None:
    """Print the script by which SHELL completes the commands and options of tek-runner."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"the installed click cannot complete in {shell}")
    # Filled in here: source() of bash would start a bash to ask for its version.
    shell_complete = kind(click.Group(), {}, _PROGRAM, _VARIABLE)
    script = (kind.source_template % shell_complete.source_vars()).rstrip("\n")
    click.echo(orjson.dumps({"shell": shell, "script": script}) if as_json else script)
