"""``replay --live``: a recorded plan is run for real in a fresh copy of its workspace, and compared with the record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import attrs

from tek_abi import Access, Permit, Policy, TaskResult, TekError
from tek_abi.pattern import WORKSPACE
from tek_abi.permit import match_action
from tek_abi.quantity import show_size
from tek_effects_proc import open_sandbox
from tek_executor import Options
from tek_kernel import Checker, DiskBlobs, Drift, drifts
from tek_runner.config import Config, load_config
from tek_runner.console import Out
from tek_runner.excerpt import Excerpt
from tek_runner.fresh_copy import Copied, check_target, copy_workspace
from tek_runner.inputs import open_input
from tek_runner.prepare import shown
from tek_runner.progress import PlainProgress
from tek_runner.recorded import Record, of_machine, recorded_budget
from tek_runner.run_directory import BLOBS, LEDGER, RUNS, make_run_directory
from tek_runner.session import OFF, Finished, Session, agent_of, execute, needs_sandbox

_WRITES = ("fs.write", "fs.append", "fs.mkdir", "fs.remove", "fs.rename", "fs.copy")


@attrs.define(str=False)
class NotLive(TekError, ValueError):
    """A recorded run cannot be run again in a copy."""

    problem: str

    def __str__(self) -> str:
        return f"this run cannot be run again in a copy: {self.problem}"


@attrs.frozen
class Answer:
    """How a live run went beside the record. ``messages`` are the last words of its tasks, ``other_versions`` what has
    another version now.
    """

    record: Record
    session: Session
    copied: Copied
    finished: Finished
    drifts: tuple[Drift, ...]
    messages: dict[str, str]
    other_versions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the answer for programs."""
        return {
            "status": "interrupted" if self.finished.interrupted else "drift" if self.drifts else "ok",
            "copy": {"directory": str(self.session.workspace), **attrs.asdict(self.copied)},
            "ledger": str(self.session.directory / LEDGER),
            "recorded": {
                name: getattr(self.record.verification, name) for name in ("level", "replay_hash", "ledger_head")
            },
            "live": {
                "level": self.session.level,
                "replay_hash": self.finished.replay_hash,
                "ledger_head": self.finished.ledger_head,
            },
            "other_versions": list(self.other_versions),
            "drift": [
                {**attrs.asdict(drift, recurse=False), "position": str(drift.position) if drift.position else None}
                for drift in self.drifts
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the answer for people, line by line."""
        for drift in self.drifts:
            where = f"  {drift.position}  {drift.effect}" if drift.position is not None else ""
            yield f"\nDRIFT {drift.task}{where}  {drift.field}"
            yield f"  recorded  {'nothing' if drift.recorded is None else drift.recorded}"
            message = self.messages.get(drift.task, "") if drift.position is None else ""
            yield f"  live      {'nothing' if drift.live is None else drift.live}{f': {message}' if message else ''}"
        tasks = len({drift.task for drift in self.drifts})
        if self.finished.interrupted:
            yield "\ninterrupted: nothing was compared"
        elif self.drifts:
            yield f"\ndrift: {_count(len(self.drifts), 'difference')} in {_count(tasks, 'task')}"
        else:
            yield "\nok: no drift"
        yield from (f"not the same: {text}" for text in self.other_versions)
        yield f"ledger       {shown(self.session.directory / LEDGER)}"
        yield f"replay hash  {self.finished.replay_hash} (recorded {self.record.verification.replay_hash})"


def run_live(record: Record, target: Path, sandbox: str, quiet: bool) -> Answer:
    """Copy the recorded workspace, as it is now, to ``target``; run the recorded plan there under the recorded policy,
    and compare. ``sandbox`` confines commands as for a run.

    Raises ``NotLive``, ``UnreadableInput`` for places, ``SandboxUnavailable``, ``StorageFailed``, or an agent's error.
    """
    checker = record.checker
    workspace = _workspace(record)
    real = check_target(target, workspace)
    _check_inside(checker.granted)
    config = _config(checker, workspace, real)
    selected = frozenset(checker.plan_entry.selected)
    choose = agent_of(checker.policy, checker.plan_entry.dry_run)
    confine = sandbox != OFF and needs_sandbox(checker.plan, choose, selected)
    confined = open_sandbox(sandbox) if confine else None
    try:
        copied = copy_workspace(workspace, real)
        source = of_machine(checker, "source")
        session = Session(
            checker.plan,
            checker.policy,
            config,
            real,
            make_run_directory(real / RUNS, None),
            Options(_workers(checker), selected=selected),
            checker.plan_entry.dry_run,
            confined,
            source=_moved(source, workspace, real) if source is not None else None,
            approvals=tuple(checker.approvals.values()),
            budget=recorded_budget(checker),
        )
        finished, messages = _run(session, copied, workspace, quiet)
    finally:
        if confined is not None:
            confined.close()
    with open_input(session.directory / LEDGER, "ledger") as file:
        live = Record.read(file, DiskBlobs(session.directory / BLOBS))
    found = () if finished.interrupted else drifts(checker.tasks, record.trace, live.trace, record.codec, live.codec)
    return Answer(
        record, session, copied, finished, tuple(found), messages, tuple(_other_versions(checker, live.checker))
    )


def _run(session: Session, copied: Copied, workspace: Path, quiet: bool) -> tuple[Finished, dict[str, str]]:
    total = len(session.options.selected) or sum(1 for _ in session.plan.tasks())
    left_out = f"; {len(copied.left_out)} left out, such as run directories" if copied.left_out else ""
    progress = _Messages(total, Out(silent=quiet))
    progress.opened(
        f"tek: {shown(workspace)} as it is now is copied to {shown(session.workspace)}, and its plan run there\n"
        f"copied {copied.files} files, {show_size(copied.bytes)}{left_out}; commands: {session.level}"
    )
    with redirect_stdout(sys.stderr):  # what an agent prints is no part of the answer
        return execute(session, progress), progress.messages


@attrs.define
class _Messages(PlainProgress):
    """Keeps the last words of tasks."""

    messages: dict[str, str] = attrs.field(factory=dict, init=False)

    def ended(self, result: TaskResult, output: Callable[[], Excerpt]) -> None:
        super().ended(result, output)
        self.messages[result.task] = result.message


def _other_versions(before: Checker, after: Checker) -> Iterator[str]:
    """Yield what the live run did not have in common with the recorded one."""
    sides = [
        {
            **(dict(checker.opened.versions) if checker.opened is not None else {}),
            **{
                f"agent {name}": f"{distribution} {version}"
                for name, distribution, version in checker.plan_entry.agents
            },
        }
        for checker in (before, after)
    ]
    for name in sides[0]:
        was, now = sides[0][name], sides[1].get(name, "missing")
        if was != now:
            yield f"{name} was {was} and is {now}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _workspace(record: Record) -> Path:
    if record.verification.state != "closed":
        raise NotLive("it is paused, so there is no end to compare with; finish it with tek-runner resume")
    text = of_machine(record.checker, "workspace")
    if text is None or not Path(text).is_dir():
        raise NotLive(f"its workspace {text or ''} is not there any more")
    return Path(text).resolve()


def _check_inside(policy: Policy) -> None:
    """Refuse a policy that lets tasks write outside the workspace: those writes would not go to the copy."""
    outside = [permit for permit in policy.permits if _may_write(permit) and not _is_inside(permit)]
    if outside:
        rules = ", ".join(dict.fromkeys(f"{permit} ({permit.rule})" for permit in outside))
        raise NotLive(f"its policy lets tasks write outside the workspace, where nothing is copied: {rules}")


def _may_write(permit: Permit) -> bool:
    return any(all(match_action(action, Access(name, "fs.write", "")) for action in permit.action) for name in _WRITES)


def _is_inside(permit: Permit) -> bool:
    return any(pattern.partition("/")[0] == WORKSPACE for pattern in permit.resource)


def _config(checker: Checker, workspace: Path, copy: Path) -> Config:
    """Return the recorded configuration, whose directory is the copied one where it stood in the workspace."""
    recorded = of_machine(checker, "config")
    directory = Path(recorded) if recorded is not None else None
    return Config(
        checker.policy,
        digest=checker.opened.config_digest if checker.opened is not None else "",
        place=None if recorded is None else _moved(recorded, workspace, copy),
        directory=None if recorded is None else _moved(recorded, workspace, copy),
        trusted_keys=tuple(bytes.fromhex(key) for key in checker.plan_entry.keys),
        trust=load_config(directory, False).trust,
    )


def _moved(text: str, workspace: Path, copy: Path) -> Path:
    """Return where a recorded place is in the copy; where it was, if it stood outside the workspace."""
    path = Path(text)
    return copy / path.relative_to(workspace) if path.is_relative_to(workspace) else path


def _workers(checker: Checker) -> int:
    obs = checker.opened.obs if checker.opened is not None else None
    workers = obs.get("workers") if isinstance(obs, dict) else None
    return min(max(workers, 1), 256) if type(workers) is int else Options().workers
