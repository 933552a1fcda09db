"""``tek-runner replay``: verify a ledger, and drive its agents again without touching anything."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import click
import orjson

from tek_abi import CODEC, Codec, EffectIntent
from tek_agents.registry import AgentRegistry
from tek_effects_proc import LEVELS
from tek_executor import Host
from tek_kernel import (
    LedgerInvalid,
    ReplayMismatch,
    Unproven,
    Verification,
    VerifierKey,
    read_lines,
    redrive,
    verify,
)
from tek_runner.console import counted, printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import open_input
from tek_runner.judging import judge_by
from tek_runner.live import run_live
from tek_runner.proving import Held, proof_answer, proof_lines
from tek_runner.recorded import Record, recorded_effects, recorded_keys
from tek_runner.run_directory import find_ledger
from tek_runner.session import OFF
from tek_runner.signing import read_verifier_key


@click.command(
    epilog=examples(
        """
        tek-runner replay runs/20260131_101500Z/ledger.jsonl
        tek-runner replay last --verify
        tek-runner replay last --verify --key ledger.key.pub
        tek-runner replay last --policy stricter.json
        tek-runner replay last --live /tmp/copy
        tek-runner replay last --json
        """
    )
)
@click.argument("ledger")
@click.option(
    "--verify", "only_verify", is_flag=True, help="Check chain, schema, outcomes and hash; run no agent code."
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="Say what the run would have been denied under this manifest; run no agent code.",
)
@click.option(
    "--live",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run the plan again, for real, in a fresh copy of the workspace in DIR, and report what comes out otherwise.",
)
@click.option(
    "--sandbox",
    type=click.Choice(["auto", *LEVELS, OFF]),
    default=None,
    help="With --live: how commands are confined, as for run.  [default: auto]",
)
@click.option("--key", help="The verifier key that you trust, or its file: the checkpoint must be signed by it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    ledger: str,
    only_verify: bool,
    policy: Path | None,
    live: Path | None,
    sandbox: str | None,
    key: str | None,
    as_json: bool,
) -> int:
    """Replay LEDGER: a ledger file, a run's directory, or last.

    Every agent is driven again against the recorded outcomes; no effect is applied. Each request must equal the
    recorded one, permits and budgets must decide the same, and the replay hash must come out the same.

    With --policy each recorded request is decided by another manifest: what that denies is listed, with what would
    grant it, and the command ends with 3 if there is any. Where the run could have gone on otherwise, it says so.

    With --live the recorded plan runs again, for real, under the recorded policy, in a copy of the run's workspace as
    that is now. No file outside DIR is written (unless --sandbox=off lets commands do so), but hosts that it may reach
    are reached. Each effect that differs from the record is listed, and the command ends with 4 if there is any. The
    policy is the ledger's own: do this only with a ledger that you trust.

    """
    path = find_ledger(ledger)
    trusted = None if key is None else read_verifier_key(key)
    if [only_verify, policy is not None, live is not None].count(True) > 1:
        raise click.UsageError("--policy and --live verify too; say one of --verify, --policy and --live")
    if sandbox is not None and live is None:
        raise click.UsageError("--sandbox is for --live: nothing else starts a command")
    if policy is not None:
        return _judge(path, policy, trusted, as_json)
    if live is not None:
        return _live(path, live, sandbox or "auto", trusted, as_json)
    with open_input(path, "ledger") as file:
        try:
            held = Held.read(file, trusted)
            with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
                result = _replay(file, path, held, only_verify)
            standing = held.check(file, path, result)
        except (LedgerInvalid, Unproven) as problem:
            _report_problem(path, problem, as_json)
            return Exit.LEDGER
    status = "partial" if result.not_driven else "ok"
    if as_json:
        click.echo(orjson.dumps({**_answer(status, result), **proof_answer(standing, result)}))
    else:
        how = "verified" if only_verify else "replayed"
        state = "" if result.state == "closed" else "; the run is paused, not finished"
        dropped = counted(len(result.not_driven), "task")
        left_out = f"; not driven again: {dropped}" if result.not_driven else ""
        click.echo(f"{status}: {how} {result.entries} entries and {counted(result.effects, 'effect')}{state}{left_out}")
        click.echo(f"ledger head  {result.ledger_head}")
        click.echo(f"replay hash  {result.replay_hash}")
        for text in proof_lines(standing, held.key, result):
            click.echo(printable(text))
    return Exit.OK


def _judge(path: Path, policy: Path, trusted: VerifierKey | None, as_json: bool) -> int:
    with open_input(path, "ledger") as file:
        try:
            held = Held.read(file, trusted)
            answer = judge_by(policy, file, Codec(held.blobs(path)), held.opened.level)
            held.check(file, path, answer.judgement.verification)
        except (LedgerInvalid, Unproven) as problem:
            _report_problem(path, problem, as_json)
            return Exit.LEDGER
    if as_json:
        click.echo(orjson.dumps(answer.as_json()))
    else:
        for text in answer.lines():
            click.echo(printable(text))
    return Exit.DENIED if answer.judgement.denied else Exit.OK


def _live(path: Path, target: Path, sandbox: str, trusted: VerifierKey | None, as_json: bool) -> int:
    with open_input(path, "ledger") as file:
        try:
            held = Held.read(file, trusted)
            record = Record.read(file, held.blobs(path))
            held.check(file, path, record.verification)
        except (LedgerInvalid, Unproven) as problem:
            _report_problem(path, problem, as_json)
            return Exit.LEDGER
    answer = run_live(record, target, sandbox, as_json)
    if as_json:
        click.echo(orjson.dumps(answer.as_json()))
    else:
        for text in answer.lines():
            click.echo(printable(text))
    return Exit.INTERRUPTED if answer.finished.interrupted else Exit.LEDGER if answer.drifts else Exit.OK


def _replay(file: BinaryIO, path: Path, held: Held, only_verify: bool) -> Verification:
    blobs = held.blobs(path)
    codec = Codec(blobs)
    if only_verify:
        return verify(file, codec)
    return redrive(file, codec, Host(AgentRegistry()), recorded_effects, recorded_keys, blobs)


def _answer(status: str, result: Verification | None, problem: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "replay_hash": result.replay_hash if result else None,
        "ledger_head": result.ledger_head if result else None,
        "entries": result.entries if result else None,
        "effects": result.effects if result else None,
        "state": result.state if result else None,
        "first_problem": problem,
    }


def _known(path: Path, problem: LedgerInvalid) -> dict[str, Any]:
    """Return what holds of a ledger whose lines do, although what they say does not follow."""
    if not isinstance(problem, ReplayMismatch):
        return {}
    with open_input(path, "ledger") as file:
        last, effects = None, 0
        try:
            for last in read_lines(file, CODEC):
                effects += isinstance(last.entry, EffectIntent)
        except LedgerInvalid:
            return {}
    return {} if last is None else {"ledger_head": last.hash, "entries": last.number, "effects": effects}


def _report_problem(path: Path, problem: LedgerInvalid | Unproven, as_json: bool) -> None:
    if isinstance(problem, Unproven):
        if as_json:
            first = dict.fromkeys(("line", "task", "position", "expected", "actual")) | {"problem": str(problem)}
            click.echo(orjson.dumps(_answer("invalid", None, first)))
        else:
            click.echo(printable(f"invalid: {path}: {problem}"), err=True)
        return
    status = "mismatch" if isinstance(problem, ReplayMismatch) else "invalid"
    if as_json:
        first = {
            "line": problem.line,
            "task": problem.task or None,
            "position": problem.position or None,
            "problem": problem.problem,
            "expected": problem.expected or None,
            "actual": problem.actual or None,
        }
        if isinstance(problem, ReplayMismatch):
            first["differences"] = [attrs.asdict(one) for one in problem.differences]
        click.echo(orjson.dumps(_answer(status, None, first) | _known(path, problem)))
        return
    click.echo(printable(f"{status}: {path}, {problem}"), err=True)
    if problem.unfinished:
        click.echo("the run was cut off: what is on record holds, but nothing proves how it would have ended", err=True)
