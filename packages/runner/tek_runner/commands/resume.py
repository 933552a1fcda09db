"""``tek-runner resume``: go on with a run that was interrupted or cut off."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Final

import attrs
import click

from tek_effects_proc import LEVELS, Sandbox, open_sandbox
from tek_executor import Options
from tek_executor.resume import Answer
from tek_kernel import Checker, KeyInvalid, Registry, SigningKey
from tek_runner.config import Config, load_config
from tek_runner.console import printable
from tek_runner.effects import make_registry
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import UnreadableInput
from tek_runner.prepare import program, shown
from tek_runner.progress import MODES, Mode, choose_mode
from tek_runner.proving import KEY_ON_RECORD
from tek_runner.recorded import of_machine
from tek_runner.resuming import Left, open_left
from tek_runner.run_directory import WorkspaceLock, find_ledger
from tek_runner.running import run_to_end
from tek_runner.session import OFF, Session, agent_of, needs_sandbox
from tek_runner.signing import signing_key
from tek_runner.unchanged import ALLOWED_THEN, Wanted, as_started, changes

_WORDS: Final[dict[str, Answer]] = {"retry": "retry", "done": "done", "fail": "fail"}


class _Answers(click.ParamType[tuple[str, Answer]]):
    name = "[TASK=|POSITION=]retry|done|fail"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Answer]:
        task, _, word = str(value).rpartition("=")
        answer = _WORDS.get(word)
        if answer is None:
            self.fail(f"{word!r} is no answer; write retry, done or fail, or of one task TASK-001=retry", param, ctx)
        return task, answer


@click.command(
    epilog=examples(
        """
        tek-runner resume last
        tek-runner resume runs/20260131_101500Z
        tek-runner resume last --in-doubt=retry
        tek-runner resume last --in-doubt=TASK-003=done --in-doubt=retry
        tek-runner resume last --in-doubt='TASK-003[1].0=done' --in-doubt=retry
        """
    )
)
@click.argument("run")
@click.option(
    "--in-doubt",
    "in_doubt",
    type=_Answers(),
    multiple=True,
    help="What to do about requests of which nobody knows whether they happened: do them again (retry), take them for "
    "done, or for failed (fail). TASK=ANSWER answers for one task, POSITION=ANSWER for one request of it. Repeatable; "
    "the answers are recorded.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=4, show_default=True, help="Tasks under way at once.")
@click.option(
    "--sandbox", type=click.Choice(["auto", *LEVELS, "off"]), default="auto", show_default=True, help="As for run."
)
@click.option(
    "--durability",
    type=click.Choice(["full", "process"]),
    default="full",
    show_default=True,
    help="What the record survives: with full a power cut, with process the end of tek alone, which is faster.",
)
@click.option("--fail-fast", is_flag=True, help="Start no further task once one has failed or was denied.")
@click.option("--output", type=click.Choice(MODES), help="As for run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def command(
    run: str,
    in_doubt: tuple[tuple[str, Answer], ...],
    workers: int,
    sandbox: str,
    durability: str,
    fail_fast: bool,
    output: Mode | None,
    as_json: bool,
) -> int:
    """Go on with RUN: a run's directory, its ledger, or last.

    What is on record is not done again. A torn end is cut and kept beside the ledger. A request that was cut off is
    done again where that is safe; where nobody knows whether it happened, its task waits for --in-doubt. A plan or
    policy that has changed since is refused, with what has changed.

    """
    if run != "last" and not os.path.lexists(run):
        raise UnreadableInput(run, "there is no such run; name its directory, its ledger, or last")
    mode = choose_mode(output, os.environ)
    options = Options(workers, fail_fast)
    return go_on(find_ledger(run).parent, _answers(in_doubt), options, sandbox, durability, as_json, mode)


def _answers(said: Sequence[tuple[str, Answer]]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for name, answer in said:
        if answers.setdefault(name, answer) != answer:
            raise click.UsageError(f"--in-doubt says both {answers[name]} and {answer} of {name or 'all'}; say one")
    return answers


def go_on(
    directory: Path,
    answers: dict[str, Answer],
    options: Options,
    sandbox: str,
    durability: str,
    as_json: bool,
    mode: Mode,
    wanted: Wanted | None = None,
) -> int:
    """Resume the run in ``directory`` and return the exit code. ``wanted`` is what somebody would run instead, if it
    is not what the run was started as.
    """
    with ExitStack() as held:
        opened: list[Sandbox] = []
        held.callback(_close, opened)
        with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
            left = open_left(
                directory.resolve(), lambda checker: _registry(checker, sandbox, opened), answers, durability == "full"
            )
        held.callback(left.file.close)
        held.callback(left.resumption.redrive.close)
        return _resume(left, opened, options, sandbox, as_json, mode, wanted)


def _signer(left: Left, config: Config, sandbox: str, confined: Sandbox | None) -> SigningKey | None:
    """Return the key that the run has signed with from its start. Raises ``KeyInvalid`` for another one."""
    recorded = of_machine(left.checker, KEY_ON_RECORD)
    if recorded is None:
        return None  # what ran before, perhaps with all rights, was not to be signed
    unbound = confined is None and sandbox == OFF
    key = signing_key(config.checkpoint_key, left.checker.granted, left.workspace, not unbound)
    if key is None or str(key.verifier) != recorded:
        now = "names none" if key is None else f"names {key.verifier}"
        problem = f"is another: the run was started with {recorded}, and the configuration now {now}"
        raise KeyInvalid("signing key", problem)
    return key


def _close(opened: list[Sandbox]) -> None:
    for confined in opened:
        confined.close()


def _registry(checker: Checker, sandbox: str, opened: list[Sandbox]) -> Registry:
    """Return the effects over the recorded workspace, with commands confined if any is to be started."""
    entry = checker.plan_entry
    choose = agent_of(checker.policy, entry.dry_run)
    if sandbox != OFF and needs_sandbox(checker.plan, choose, frozenset(entry.selected)):
        opened.append(open_sandbox(sandbox))
    obs = checker.opened.obs if checker.opened is not None else None
    places = obs if isinstance(obs, dict) else {}
    config = places.get("config")
    trust = load_config(Path(config), False).trust if isinstance(config, str) else Config().trust
    workspace = Path(str(places.get("workspace", "/nonexistent")))
    return make_registry(workspace, dict(os.environ), opened[0] if opened else None, trust)


def _resume(
    left: Left,
    opened: list[Sandbox],
    options: Options,
    sandbox: str,
    as_json: bool,
    mode: Mode,
    wanted: Wanted | None,
) -> int:
    if not left.workspace.is_dir():
        raise click.UsageError(f"the run's workspace {left.workspace} is not there")
    config = load_config(left.config, False)
    found = list(changes(left, wanted or as_started(left, config)))
    if found:
        for line in found:
            click.echo(printable(line), err=True)
        click.echo("tek-runner: this is another run now; start it with tek-runner run", err=True)
        return Exit.USAGE
    left.check_is_no_copy()
    left.resumption.check_answers()
    entry, checker = left.checker.plan_entry, left.checker
    confined = opened[0] if opened else None
    key = _signer(left, config, sandbox, confined)
    for permit in checker.policy.permits:
        if permit.rule.startswith(ALLOWED_THEN):
            click.echo(printable(f"tek-runner: {permit} was granted by --allow when the run was started"), err=True)
    session = Session(
        checker.plan,
        checker.policy,
        config,
        left.workspace,
        left.directory,
        attrs.evolve(options, selected=frozenset(entry.selected)),
        entry.dry_run,
        confined,
        key,
        left.source,
    )
    lock, alone = WorkspaceLock.take(left.workspace)
    if not alone:
        click.echo(f"tek-runner: another run is under way in {left.workspace}", err=True)
    try:
        words = [program(), "run", shown(left.source)] if left.source is not None else [program(), "run"]
        return run_to_end(session, words, as_json, mode, left)
    finally:
        lock.release()
