"""``tek-runner plan``: read a source of truth, show its plan or write ``plan.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from tek_abi import CODEC, ExecutionPlan, Limit
from tek_executor import Graph
from tek_kernel import plan_digest, utc_now
from tek_planner import plan_to_json
from tek_runner.config import load_config
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.graph_format import dot, mermaid
from tek_runner.inputs import load_source
from tek_runner.plan_view import show
from tek_runner.prepare import operator_policy, with_hooks
from tek_runner.rights import TaskRights, rights
from tek_runner.session import agent_of


@click.command(
    epilog=examples(
        """
        tek-runner plan sot.md
        tek-runner plan sot.md --out plan.json     write it, for run --plan
        tek-runner plan sot.md --json
        tek-runner plan sot.md --format mermaid    the graph, as GitHub renders it
        tek-runner plan sot.md --format dot        the same for Graphviz
        """
    )
)
@click.argument("sot", required=False, type=click.Path(path_type=Path))
@click.option("--sot", "sot_option", type=click.Path(path_type=Path), help="The same, as the older kit took it.")
@click.option("--out", type=click.Path(path_type=Path), help="Write plan.json here; nothing else is written.")
@click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path),
    help="Configuration, instead of config/ beside the source.",
)
@click.option("--allow", multiple=True, metavar="ACTION:RESOURCE", help="Show the plan as run --allow would have it.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["mermaid", "dot"]),
    help="Print the graph of who waits for whom, for a tool.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, with what each task may do.")
def command(
    sot: Path | None,
    sot_option: Path | None,
    out: Path | None,
    config_dir: Path | None,
    allow: tuple[str, ...],
    shape: str | None,
    as_json: bool,
) -> None:
    """Read SOT (sot.md where it is left out) and show what would run, and what each task may do.

    Per task: what it runs, what it may read, write, start and reach under the policy, what it may spend, what it
    waits for, and why it would be denied. Nothing is run, and nothing written but --out.
    """
    if sot is not None and sot_option is not None:
        raise click.UsageError("name the source once: as SOT, or with --sot")
    path = sot or sot_option or Path("sot.md")
    source = load_source(path, utc_now())
    for warning in source.warnings:
        click.echo(printable(warning), err=True)
    Graph(source.plan)
    config = load_config(config_dir or source.workspace / "config", config_dir is not None)
    full, warnings = with_hooks(source.plan, config)
    for warning in warnings:
        click.echo(printable(warning), err=True)
    if out is not None:
        if out.exists() and out.samefile(source.path):
            raise click.UsageError(f"--out {out} is the source itself; name another file")
        if not out.parent.is_dir():
            raise click.UsageError(f"--out {out}: there is no directory {out.parent}; make it, or name another file")
        out.write_bytes(plan_to_json(source.plan))
    if shape is not None:
        for line in (mermaid if shape == "mermaid" else dot)(full):
            click.echo(line)
    elif out is not None and not as_json:
        click.echo(f"[ok] plan written: {out}")
    else:
        policy = operator_policy(config, allow, Limit())
        rows = list(rights(full, policy, config.trusted_keys, agent_of(policy), utc_now()))
        if as_json:
            click.echo(orjson.dumps(_as_json(full, rows), option=orjson.OPT_INDENT_2).decode())
        else:
            show(rows, len(full.queues))


def _as_json(plan: ExecutionPlan, rows: Sequence[TaskRights]) -> dict[str, Any]:
    return {
        "plan_digest": plan_digest(plan),
        "plan": CODEC.encode(plan),
        "tasks": [row.as_json() for row in rows],
    }
