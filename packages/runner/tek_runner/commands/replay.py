"""``tek-runner replay``: verify a ledger, and drive its agents again without touching anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from tek_abi import Codec
from tek_agents.registry import AgentRegistry
from tek_executor import Host
from tek_kernel import (
    Checker,
    DiskBlobs,
    LedgerInvalid,
    Registry,
    ReplayMismatch,
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
from tek_runner.run_directory import BLOBS, find_ledger


@click.command(
    epilog=examples(
        """
        tek-runner replay runs/20260131_101500Z/ledger.jsonl
        tek-runner replay last --verify
        tek-runner replay last --json
        """
    )
)
@click.argument("ledger")
@click.option(
    "--verify", "only_verify", is_flag=True, help="Check chain, schema, outcomes and hash; run no agent code."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(ledger: str, only_verify: bool, as_json: bool) -> int:
    """Replay LEDGER: a ledger file, a run's directory, or last.

    Every agent is driven again against the recorded outcomes; no effect is applied. Each request must equal the
    recorded one, permits and budgets must decide the same, and the replay hash must come out the same.

    """
    path = find_ledger(ledger)
    with open_input(path, "ledger") as file:
        try:
            result = _replay(file, path, only_verify)
        except LedgerInvalid as problem:
            _report_problem(path, problem, as_json)
            return Exit.LEDGER
    if as_json:
        click.echo(orjson.dumps(_answer("ok", result)))
    else:
        how = "verified" if only_verify else "replayed"
        state = "" if result.state == "closed" else "; the run is paused, not finished"
        click.echo(f"ok: {how} {result.entries} entries and {result.effects} effects{state}")
        click.echo(f"ledger head  {result.ledger_head}")
        click.echo(f"replay hash  {result.replay_hash}")
    return Exit.OK


def _replay(file: BinaryIO, path: Path, only_verify: bool) -> Verification:
    codec = Codec(DiskBlobs(path.parent / BLOBS))
    if only_verify:
        return verify(file, codec)
    return redrive(file, codec, Host(AgentRegistry()), _recorded_effects, _recorded_keys)


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


def _report_problem(path: Path, problem: LedgerInvalid, as_json: bool) -> None:
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
