"""``tek-runner run``: run a plan in parallel, under permits and budgets."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import attrs
import click

from tek_abi import Limit, QuantityError, parse_limit
from tek_agents.registry import AgentRegistry
from tek_effects_proc import LEVELS, open_sandbox
from tek_executor import Graph, Host, Options
from tek_kernel import Approval, utc_now
from tek_runner.asking import ask, can_ask, questions
from tek_runner.config import check_against, load_config
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import load_source
from tek_runner.prepare import (
    check_places,
    config_directory,
    load_agents,
    operator_policy,
    program,
    select,
    shown,
    with_hooks,
)
from tek_runner.progress import MODES, Mode, choose_mode
from tek_runner.run_directory import RUNS, WorkspaceLock, make_run_directory, unfinished
from tek_runner.running import run_to_end
from tek_runner.session import OFF, Session, agent_of, agents_of, needs_sandbox
from tek_runner.signing import signing_key
from tek_runner.unchanged import Wanted


class _Budget(click.ParamType[Limit]):
    name = "ms=..,io=.."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        if isinstance(value, Limit):
            return value
        try:
            return parse_limit(str(value))
        except QuantityError as error:
            self.fail(str(error), param, ctx)


_PATH = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        """
        tek-runner run sot.md
        tek-runner run sot.md --only TASK-003 --only TASK-004
        tek-runner run sot.md --budget ms=10m,io=2GiB --fail-fast
        tek-runner run sot.md --allow 'fs.write:config/**'
        tek-runner run --plan plan.json --max-workers 8 --dry-run
        """
    )
)
@click.argument("source", required=False, type=_PATH, metavar="[SOT|PLAN]")
@click.option("--plan", "plan_option", type=_PATH, help="A plan.json, as the older kit took it.")
@click.option(
    "--workers",
    "--max-workers",
    "workers",
    type=click.IntRange(1, 256),
    default=4,
    show_default=True,
    help="Tasks under way at once.",
)
@click.option("--dry-run", is_flag=True, help="Run every task as noop; write only the run directory.")
@click.option(
    "--only", multiple=True, metavar="TASK", help="Run this task alone, as if its needs were met. Repeatable."
)
@click.option("--config", "config_dir", type=_PATH, help="Configuration, instead of config/ beside the source.")
@click.option("--run-dir", type=_PATH, help="An empty or new directory for this run, instead of runs/<time>/.")
@click.option("--workspace", type=_PATH, help="What tasks work in, instead of the source's directory.")
@click.option("--budget", type=_Budget(), default=Limit(), help="A ceiling for the whole run, such as ms=10m,io=1GiB.")
@click.option(
    "--allow", multiple=True, metavar="ACTION:RESOURCE", help="Grant more, such as fs.write:out/**. Repeatable."
)
@click.option(
    "--sandbox",
    type=click.Choice(["auto", *LEVELS, OFF]),
    default="auto",
    show_default=True,
    help="How the OS holds commands to their permits: auto is the strongest of root-idmap, userns and bwrap that this "
    "machine proves to have; landlock is degraded and must be named; off gives them all your rights. It is recorded.",
)
@click.option(
    "--durability",
    type=click.Choice(["full", "process"]),
    default="full",
    show_default=True,
    help="What the record survives: with full a power cut, with process the end of tek alone, which is faster.",
)
@click.option("--resume", "go_on", is_flag=True, help="Go on with the newest run if it was cut off, else start one.")
@click.option("--fail-fast", is_flag=True, help="Start no further task once one has failed or was denied.")
@click.option(
    "--output",
    type=click.Choice(MODES),
    help="How to show progress: live is a board on a terminal, group adds each task's output as it ends, plain is a "
    "line a task. Left out: what fits the terminal, a pipe, or GitHub Actions.",
)
@click.option("--yes", "-y", is_flag=True, help="Ask nothing. What would be asked is denied, never granted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def command(
    source: Path | None,
    plan_option: Path | None,
    workers: int,
    dry_run: bool,
    only: tuple[str, ...],
    config_dir: Path | None,
    run_dir: Path | None,
    workspace: Path | None,
    budget: Limit,
    allow: tuple[str, ...],
    sandbox: str,
    durability: str,
    go_on: bool,
    fail_fast: bool,
    output: Mode | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Run SOT (sot.md where it is left out) or a PLAN in parallel.

    Tasks work in the directory of the source. What they may do is what they ask for and the operator grants: the
    preset workspace-write, or config/manifest.json, and --allow. On a terminal you are asked, once, about each task
    that asks for more. Everything stands in the run's ledger.

    """
    if source is not None and plan_option is not None:
        raise click.UsageError("name the plan once: as SOT, as PLAN, or with --plan")
    loaded = load_source(source or plan_option or Path("sot.md"), utc_now(), workspace and _directory(workspace))
    config = load_config(config_directory(loaded, config_dir), config_dir is not None)
    plan, hook_warnings = with_hooks(loaded.plan, config)
    for warning in (*loaded.warnings, *hook_warnings):
        click.echo(printable(warning), err=True)
    check_places(loaded.path, loaded.workspace, config.directory, run_dir)
    policy = operator_policy(config, allow, budget)
    if policy.preset == "unconfined" and sandbox != "off":
        raise click.UsageError("the preset unconfined grants everything; say --sandbox=off with it to mean it")
    mode = choose_mode(output, os.environ)
    options = Options(workers, fail_fast, select(plan, only))
    Graph(plan, options.selected)
    choose = agent_of(policy, dry_run)
    host = Host(AgentRegistry())
    with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
        load_agents(host, agents_of(plan, choose, options.selected))
    commands = needs_sandbox(plan, choose, options.selected)
    confine = sandbox != OFF and commands
    unbound = sandbox == OFF and commands
    runs = (loaded.path.resolve().parent if loaded.is_json else loaded.workspace) / RUNS
    if go_on and (cut_off := unfinished(runs)) is not None:
        from tek_runner.commands.resume import go_on as resume

        return resume(cut_off, {}, options, sandbox, durability, as_json, mode, Wanted(plan, policy))
    approvals: tuple[Approval, ...] = ()
    if can_ask() and not (yes or as_json or dry_run):
        asked = questions(plan, policy, (f"$WORKSPACE/{RUNS}/**",), config.trusted_keys, choose, options.selected)
        approvals = ask(asked, shown(loaded.path))
    approved = (permit for approval in approvals for permit in approval.permits())
    granted = attrs.evolve(policy, permits=(*policy.permits, *approved))
    check_against(attrs.evolve(config, policy=granted), plan, loaded.workspace)
    key = signing_key(config.checkpoint_key, granted, loaded.workspace, not unbound)
    confined = open_sandbox(sandbox) if confine else None
    directory = make_run_directory(runs, run_dir)
    lock, alone = WorkspaceLock.take(loaded.workspace)
    if not alone:
        click.echo(f"tek-runner: another run is under way in {loaded.workspace}", err=True)
    session = Session(
        plan,
        policy,
        config,
        loaded.workspace,
        directory,
        options,
        dry_run,
        confined,
        key,
        loaded.path,
        durability == "full",
        approvals,
        budget,
        host,
    )
    words = [program(), "run", shown(loaded.path)]
    words += ["--config", str(config_dir)] if config_dir is not None else []
    words += ["--workspace", str(workspace)] if workspace is not None else []
    limits = [f"{name}={bound}" for name, bound in budget.items() if bound is not None]
    words += ["--budget", ",".join(limits)] if limits else []
    words += [word for rule in allow for word in ("--allow", rule)]
    try:
        return run_to_end(session, words, as_json, mode)
    finally:
        lock.release()
        if confined is not None:
            confined.close()


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise click.UsageError(f"--workspace {path}: there is no such directory")
    return path.resolve()


__all__ = ["Exit", "command"]
