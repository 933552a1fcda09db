"""``tek-runner list``: the tasks of a plan, or what is installed."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from tek_agents.registry import AgentRegistry
from tek_kernel import utc_now
from tek_runner.console import printable
from tek_runner.effects import make_registry
from tek_runner.examples import examples
from tek_runner.inputs import load_source


@click.command(
    epilog=examples(
        """
        tek-runner list sot.md
        tek-runner list --agents
        tek-runner list --effects --json
        """
    )
)
@click.argument("source", required=False, type=click.Path(path_type=Path), metavar="[SOT|PLAN]")
@click.option("--agents", is_flag=True, help="List the installed agents.")
@click.option("--effects", is_flag=True, help="List the registered effects.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path | None, agents: bool, effects: bool, as_json: bool) -> None:
    """List the tasks of SOT (sot.md where it is left out), or the installed agents or effects."""
    rows: list[dict[str, object]]
    if agents and effects:
        raise click.UsageError("ask for --agents or --effects, one at a time")
    if agents:
        rows = [{"agent": name} for name in AgentRegistry().names()]
    elif effects:
        registry = make_registry(Path.cwd(), {})
        rows = [{"effect": name, "version": version} for name, version in registry.names()]
    else:
        plan = load_source(source or Path("sot.md"), utc_now()).plan
        rows = [
            {"task": task.id, "queue": queue.name, "layer": task.layer, "needs": list(task.needs), "title": task.title}
            for queue, task in plan.tasks()
        ]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        click.echo(printable("  ".join(_cell(value) for value in row.values())).rstrip())


def _cell(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
