"""``tek-runner check``: find what is wrong with a plan and its configuration, without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from tek_abi import ExecutionPlan, InvalidInput
from tek_planner import attach_hooks, plan_bytes, plan_from_json
from tek_runner.config import check_against, load_config
from tek_runner.console import printable
from tek_runner.diagnostics import FORMATS, Finding
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import read_input

_PATH = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        """
        tek-runner check sot.md
        tek-runner check sot.md --output-format concise
        tek-runner check --output-format sarif >tek.sarif
        """
    )
)
@click.argument("source", required=False, type=_PATH, metavar="[SOT|PLAN]")
@click.option("--config", "config_dir", type=_PATH, help="Configuration, instead of config/ beside the source.")
@click.option(
    "--output-format",
    "output_format",
    type=click.Choice(list(FORMATS)),
    default="full",
    show_default=True,
    help="For people (full, concise), programs (json), GitHub Actions (github) or code hosts (sarif).",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --output-format json.")
def command(source: Path | None, config_dir: Path | None, output_format: str, as_json: bool) -> int:
    """Check SOT (sot.md where it is left out) and the configuration beside it; exit with 2 where a run would refuse
    them. All problems are shown, not only the first.

    """
    path = source or Path("sot.md")
    if path.is_dir():
        path = path / "sot.md"
    findings = list(_findings(path, config_dir))
    text = FORMATS["json" if as_json else output_format](findings)
    if text:
        click.echo(text if output_format != "full" or as_json else _shown(text))
    return Exit.USAGE if any(finding.severity == "error" for finding in findings) else Exit.OK


def _shown(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _findings(path: Path, config_dir: Path | None) -> Iterator[Finding]:
    plan: ExecutionPlan | None = None
    if path.suffix == ".json":
        try:
            plan = plan_from_json(read_input(path, "plan"), str(path))
        except InvalidInput as invalid:
            yield from _errors(invalid)
    else:
        planned = plan_bytes(read_input(path, "source of truth"), str(path))
        plan = planned.plan
        yield from (Finding("error", found) for found in planned.diagnostics)
        yield from (Finding("warning", found) for found in planned.warnings)
    beside = config_dir or path.parent / "config"
    try:
        config = load_config(beside, config_dir is not None)
        if plan is not None:
            check_against(config, plan, path.resolve().parent)
            if config.hooks is not None:
                yield from (Finding("warning", found) for found in attach_hooks(plan, config.hooks)[1])
    except InvalidInput as invalid:
        yield from _errors(invalid)


def _errors(invalid: InvalidInput) -> Iterator[Finding]:
    return (Finding("error", found) for found in invalid.diagnostics)
