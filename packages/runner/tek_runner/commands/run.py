"""``tek-runner run``: run a plan in parallel, under permits and budgets."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import attrs
import click
import orjson

from tek_abi import Limit, QuantityError, TaskResult, parse_limit
from tek_effects_proc import LEVELS, WEAKER, open_sandbox
from tek_executor import Graph, Options
from tek_kernel import utc_now
from tek_runner.config import check_against, load_config
from tek_runner.console import Console, printable
from tek_runner.examples import examples
from tek_runner.exits import Exit, exit_of
from tek_runner.inputs import Source, load_source
from tek_runner.prepare import config_directory, operator_policy, program, select, shown, with_hooks
from tek_runner.run_directory import LEDGER, WorkspaceLock, make_run_directory
from tek_runner.session import NO_COMMANDS, OFF, Finished, Session, agent_of, execute, needs_sandbox


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
@click.option("--fail-fast", is_flag=True, help="Start no further task once one has failed or was denied.")
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
    fail_fast: bool,
    as_json: bool,
) -> int:
    """Run SOT (sot.md where it is left out) or a PLAN in parallel.

    Tasks work in the directory of the source. What they may do is what they ask for and the operator grants: the
    preset workspace-write, or config/manifest.json, and --allow. Everything stands in the run's ledger.

    """
    if source is not None and plan_option is not None:
        raise click.UsageError("name the plan once: as SOT, as PLAN, or with --plan")
    loaded = load_source(source or plan_option or Path("sot.md"), utc_now(), workspace and _directory(workspace))
    config = load_config(config_directory(loaded, config_dir), config_dir is not None)
    plan, hook_warnings = with_hooks(loaded.plan, config)
    for warning in (*loaded.warnings, *hook_warnings):
        click.echo(printable(warning), err=True)
    policy = operator_policy(config, allow, budget)
    if policy.preset == "unconfined" and sandbox != "off":
        raise click.UsageError("the preset unconfined grants everything; say --sandbox=off with it to mean it")
    check_against(config, plan, loaded.workspace)
    options = Options(workers, fail_fast, select(plan, only))
    Graph(plan, options.selected)
    confine = sandbox != "off" and needs_sandbox(plan, agent_of(policy, dry_run), options.selected)
    confined = open_sandbox(sandbox) if confine else None
    runs = (loaded.path.resolve().parent if loaded.is_json else loaded.workspace) / "runs"
    directory = make_run_directory(runs, run_dir)
    lock, alone = WorkspaceLock.take(loaded.workspace)
    if not alone:
        click.echo(f"tek-runner: another run is under way in {loaded.workspace}", err=True)
    session = Session(plan, policy, config, loaded.workspace, directory, options, dry_run, confined)
    total = len(options.selected) or sum(len(queue.tasks) for queue in plan.queues)
    console = Console(total, quiet=as_json)
    results: list[TaskResult] = []

    def ended(result: TaskResult) -> None:
        console.ended(result)
        if as_json or result.status not in ("ok", "noop"):
            results.append(result)

    console.say(f"tek: {total} tasks in {shown(loaded.workspace)}, {workers} at once; {_level(session)}")
    try:
        finished = execute(session, console.started, ended)
    finally:
        console.close()
        lock.release()
        if confined is not None:
            confined.close()
    if as_json:
        results += _cancelled(session, finished)
        with suppress(BrokenPipeError):
            _print_json(session, finished, results)
    else:
        _print_account(session, loaded, finished, results, console, (config_dir, allow))
    return exit_of(finished.statuses.values(), finished.interrupted)


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise click.UsageError(f"--workspace {path}: there is no such directory")
    return path.resolve()


def _level(session: Session) -> str:
    if session.dry_run:
        return "dry run: nothing is executed"
    if session.level == NO_COMMANDS:
        return "no task runs commands"
    if session.level == OFF:
        return "commands are NOT confined by the OS, only checked before they start"
    return f"commands are confined by the OS ({', '.join((session.level, *_weakness(session.level)))})"


def _weakness(level: str) -> tuple[str, ...]:
    return (WEAKER[level],) if level in WEAKER else ()


def _cancelled(session: Session, finished: Finished) -> list[TaskResult]:
    """Return a result for each task that was to run and never ended, which an interrupt alone brings about."""
    choose, selected = agent_of(session.policy, session.dry_run), session.options.selected
    return [
        TaskResult(task.id, queue.name, choose(task), "cancelled", "the run was interrupted")
        for queue, task in session.plan.tasks()
        if task.id not in finished.statuses and (not selected or task.id in selected)
    ]


def _print_json(session: Session, finished: Finished, results: list[TaskResult]) -> None:
    """Print the one object of ``run --json``, its results piece by piece: there may be a hundred thousand."""
    details = {detail["task"]: detail for detail in finished.projection.results()}
    head = {
        "status": "paused" if finished.interrupted else finished.summary.status,
        "run_dir": str(session.directory),
        "ledger": str(session.directory / LEDGER),
        "ledger_head": finished.ledger_head,
        "replay_hash": finished.replay_hash,
        "level": session.level,
        "tasks": attrs.asdict(finished.summary),
    }
    out = sys.stdout
    out.write(orjson.dumps(head).decode()[:-1] + ',"results":[')
    for index, result in enumerate(results):
        detail = details.get(result.task, {})
        extra = {key: detail[key] for key in ("commands", "evidence") if key in detail}
        out.write(("," if index else "") + orjson.dumps({**attrs.asdict(result), **extra}).decode())
    out.write("]}\n")


def _print_account(
    session: Session,
    source: Source,
    finished: Finished,
    bad: list[TaskResult],
    console: Console,
    again: tuple[Path | None, tuple[str, ...]],
) -> None:
    """Say what went wrong, each with the command that runs just that task again, then where the proof is."""
    config_dir, allow = again
    words = [program(), "run", shown(source.path)]
    words += ["--config", str(config_dir)] if config_dir is not None else []
    words += [word for rule in allow for word in ("--allow", rule)]
    words += [f"--sandbox={session.level}"] if session.level in (OFF, *WEAKER) else []
    for result in bad:
        if result.status != "skipped":
            console.say(f"\n{result.status.upper().replace('_', ' ')} {result.task}  {result.queue}")
            console.say(f"  {result.message}")
            console.say(f"  again: {shlex.join([*words, '--only', result.task])}")
    counts = [
        f"{count} {status.replace('_', ' ')}" for status, count in attrs.asdict(finished.summary).items() if count
    ]
    state = "paused" if finished.interrupted else "done"
    console.say(f"\n{state}: {', '.join(counts) or 'nothing to do'}")
    console.say(f"ledger       {shown(session.directory / LEDGER)}")
    console.say(f"ledger head  {finished.ledger_head}")
    if not finished.interrupted:
        console.say(f"replay hash  {finished.replay_hash}")
    console.say(f"verify with  {shlex.join([program(), 'replay', shown(session.directory / LEDGER)])}")


__all__ = ["Exit", "command"]
