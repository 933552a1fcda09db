"""``tek-runner replay``: verify a ledger, and drive its agents again without touching anything."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from tek_abi import Codec
from tek_agents.registry import AgentRegistry
from tek_executor import Host
from tek_kernel import (
    Checker,
    LedgerInvalid,
    Registry,
    ReplayMismatch,
    Unproven,
    Verification,
    Verifier,
    redrive,
    verify,
)
from tek_runner.console import printable
from tek_runner.effects import make_registry
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import open_input
from tek_runner.proving import Held, proof_answer, proof_lines
from tek_runner.run_directory import find_ledger
from tek_runner.signing import read_verifier_key


@click.command(
    epilog=examples(
        """
        tek-runner replay runs/20260131_101500Z/ledger.jsonl
        tek-runner replay last --verify
        tek-runner replay last --verify --key ledger.key.pub
        tek-runner replay last --json
        """
    )
)
@click.argument("ledger")
@click.option(
    "--verify", "only_verify", is_flag=True, help="Check chain, schema, outcomes and hash; run no agent code."
)
@click.option("--key", help="The verifier key that you trust, or its file: the checkpoint must be signed by it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: str, only_verify: bool, key: str | None, as_json: bool) -> int:
    """Replay LEDGER: a ledger file, a run's directory, or last.

    Every agent is driven again against the recorded outcomes; no effect is applied. Each request must equal the
    recorded one, permits and budgets must decide the same, and the replay hash must come out the same.

    """
    path = find_ledger(ledger)
    trusted = None if key is None else read_verifier_key(key)
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
        left_out = f"; {len(result.not_driven)} tasks were not driven again" if result.not_driven else ""
        click.echo(f"{status}: {how} {result.entries} entries and {result.effects} effects{state}{left_out}")
        click.echo(f"ledger head  {result.ledger_head}")
        click.echo(f"replay hash  {result.replay_hash}")
        for text in proof_lines(standing, held.key, result):
            click.echo(printable(text))
    return Exit.OK


def _replay(file: BinaryIO, path: Path, held: Held, only_verify: bool) -> Verification:
    blobs = held.blobs(path)
    codec = Codec(blobs)
    if only_verify:
        return verify(file, codec)
    return redrive(file, codec, Host(AgentRegistry()), _recorded_effects, _recorded_keys, blobs)


def _recorded_effects(checker: Checker) -> Registry:
    """Return the effects over the recorded workspace: their pure parts alone are used, which read nothing of it."""
    obs = checker.opened.obs if checker.opened is not None else None
    workspace = obs.get("workspace") if isinstance(obs, dict) else None
    return make_registry(Path(workspace if isinstance(workspace, str) else "/nonexistent"), {})


def _recorded_keys(checker: Checker) -> Verifier:
    return Verifier(tuple(bytes.fromhex(key) for key in checker.plan_entry.keys))


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
        click.echo(orjson.dumps(_answer(status, None, first)))
        return
    click.echo(printable(f"{status}: {path}, {problem}"), err=True)
    if problem.unfinished:
        click.echo("the run was cut off: what is on record holds, but nothing proves how it would have ended", err=True)
