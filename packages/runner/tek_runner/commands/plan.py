"""``tek-runner plan``: read a source of truth, show its plan or write ``plan.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from tek_abi import CODEC, ExecutionPlan
from tek_abi.permit import show_path
from tek_executor import Graph
from tek_kernel import plan_digest, utc_now
from tek_planner import plan_to_json
from tek_runner.config import load_config
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.inputs import load_source
from tek_runner.prepare import with_hooks


@click.command(
    epilog=examples(
        """
        tek-runner plan sot.md
        tek-runner plan sot.md --out plan.json     write it, for run --plan
        tek-runner plan sot.md --json
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
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    sot: Path | None, sot_option: Path | None, out: Path | None, config_dir: Path | None, as_json: bool
) -> None:
    """Read SOT (sot.md where it is left out) and show what would run, in which order, asking for what."""
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
    if as_json:
        click.echo(orjson.dumps(_as_json(full), option=orjson.OPT_INDENT_2).decode())
    elif out is not None:
        click.echo(f"[ok] plan written: {out}")
    else:
        _show(full)


def _as_json(plan: ExecutionPlan) -> dict[str, Any]:
    return {"plan_digest": plan_digest(plan), "plan": CODEC.encode(plan)}


def _show(plan: ExecutionPlan) -> None:
    tasks = sum(len(queue.tasks) for queue in plan.queues)
    click.echo(f"{_count(tasks, 'task')} in {_count(len(plan.queues), 'queue')}")
    for queue in plan.queues:
        needs = f"  needs {', '.join(queue.needs)}" if queue.needs else ""
        click.echo(f"\n{printable(queue.name)}{needs}")
        for task in queue.tasks:
            title = "" if task.title == task.id else f"  {task.title}"
            click.echo(printable(f"  {task.id}{title}"))
            if task.needs:
                click.echo(f"      needs {', '.join(task.needs)}")
            asks = [rule for allow in task.allow for rule in allow.rules]
            if asks:
                shown = ", ".join(f"{rule.action[0]}:{show_path(rule.resource[0])}" for rule in asks)
                click.echo(printable(f"      asks for {shown}"))
            for step in task.steps:
                words = " ".join(step.argv).strip().splitlines()
                more = " ..." if len(words) > 1 else ""
                click.echo(printable(f"      $ {words[0] if words else ''}{more}"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
