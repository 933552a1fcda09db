"""How a run ended, as far as its ledger tells, and what was checked while a report was made."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import attrs

from tek_abi import TASK_STATUSES, RunPaused
from tek_abi.quantity import show_duration
from tek_kernel import LedgerInvalid, Unproven
from tek_runner.console import counted
from tek_runner.history import OPEN, RunHistory, milliseconds
from tek_runner.inputs import open_input
from tek_runner.proving import Standing
from tek_runner.reporting.wording import MESSAGE, cut

Mark: TypeAlias = Literal["holds", "fails", "open"]

_CONFINED: Final = {
    "none": "no task ran commands",
    "off": "commands were NOT confined by the operating system",
    "landlock": "commands were confined by the operating system (landlock, degraded)",
}
_WORDS: Final = {
    "ok": "Every task ended well",
    "failed": "Tasks failed",
    "denied": "Tasks were denied",
    "in_doubt": "Tasks are in doubt",
    "cancelled": "Tasks were cancelled",
}
_STANDING: Final[dict[Standing, tuple[Mark, str]]] = {
    "none": ("open", "there is none: only the ledger head, kept elsewhere, shows that nothing was rewritten"),
    "unchecked": ("open", "there is one, which was not checked: no key was given and the ledger names none"),
    "on-record": ("holds", "signed by the key that the ledger itself names, which finds damage, but no forger"),
    "verified": ("holds", "signed by the key that was given when this report was made"),
}


@attrs.frozen
class Check:
    """One thing that was looked at. ``mark`` says whether it holds, fails, or is left open."""

    mark: Mark
    what: str
    text: str


@attrs.frozen
class Verdict:
    """The first thing in a report. ``status`` is a task's worst, or damaged, open or paused."""

    status: str
    headline: str
    text: str
    counts: tuple[tuple[str, int], ...]
    took: str
    level: str
    replay_hash: str
    ledger_head: str
    checks: tuple[Check, ...]
    commands: tuple[tuple[str, str], ...]

    @property
    def holds(self) -> bool:
        """Whether all that was checked holds."""
        return all(check.mark != "fails" for check in self.checks)


def verdict_of(history: RunHistory) -> Verdict:
    """Check what a report checks, and return its verdict."""
    checks = tuple(_checks(history))
    status, headline, text = _ending(history)
    failed = next((check for check in checks if check.mark == "fails"), None)
    if failed is not None and status != "damaged":
        status, headline = "damaged", f"Not proven: {failed.what.lower()}"
        text = failed.text
    found = Counter(task.status for task in history.selected)
    order = (*TASK_STATUSES, OPEN, "not-run")
    return Verdict(
        status,
        headline,
        text,
        tuple((name, found[name]) for name in order if found[name]),
        show_duration(milliseconds(history.began, history.last)),
        confinement(history.level),
        history.closed.replay_hash if history.closed is not None else "",
        history.head,
        checks,
        tuple(_commands(history)),
    )


def confinement(level: str) -> str:
    """Return a level of confinement in words."""
    return _CONFINED.get(level, f"commands were confined by the operating system ({cut(level, 40)})")


def _ending(history: RunHistory) -> tuple[str, str, str]:
    problem = history.problem
    if problem is not None and not problem.unfinished:
        text = f"{cut(problem.problem, MESSAGE)}. This report tells what stands above that line."
        return "damaged", f"The ledger is damaged at line {problem.line}", text
    dry = history.entry is not None and history.entry.dry_run
    if history.closed is not None:
        status = history.closed.status
        headline = "Dry run: nothing was executed" if dry and status == "ok" else _WORDS.get(status, cut(status))
        return status, headline, "The run is closed."
    ended = history.events[-1][1] if history.events else None
    if history.state == "paused" and isinstance(ended, RunPaused):
        return "paused", f"Paused: {cut(ended.reason)}", "The run can go on: tek-runner resume."
    torn = f" Line {problem.line} is torn; whoever resumes the run cuts it off." if problem is not None else ""
    return OPEN, "No end on record", f"The run is under way, or it was cut off.{torn}"


def _checks(history: RunHistory) -> Iterator[Check]:
    lines, problem = counted(history.lines, "line"), history.problem
    if problem is None:
        yield Check("holds", "Chain", f"each of the {lines} holds the hash of the line above and its own")
        yield Check("holds", "Schema", "each line is one that the ledger's format knows")
    else:
        mark: Mark = "open" if problem.unfinished else "fails"
        yield Check(mark, "Chain and schema", f"hold for {lines}; {cut(str(problem), MESSAGE)}")
    yield _checkpoint(history)
    redacted, invalid = _tombstones(history)
    if redacted:
        yield Check("open", "Redaction", f"{counted(redacted, 'blob')} gave way to tombstones")
    if invalid:
        yield Check("fails", "Redaction", cut(invalid, MESSAGE))
    text = (
        "that requests, permits, budgets and outcomes follow from each other, that blobs are whole, and the replay hash"
    )
    yield Check("open", "Not checked here", f"{text}: tek-runner replay proves it")


def _checkpoint(history: RunHistory) -> Check:
    if history.state == "damaged":
        return Check("open", "Checkpoint", "not looked at: there is no whole ledger that it could be of")
    try:
        with open_input(history.path, "ledger") as file:
            standing = history.held.standing(file, history.path, history.state, history.head)
    except (LedgerInvalid, Unproven) as error:
        return Check("fails", "Checkpoint", cut(str(error), MESSAGE))
    mark, text = _STANDING[standing]
    return Check(mark, "Checkpoint", text)


def _tombstones(history: RunHistory) -> tuple[int, str]:
    """Return how many blobs are redacted, and what is wrong with a tombstone, if one is."""
    blobs, count = history.held.blobs(history.path), 0
    try:
        for sha256 in blobs.tombstones():
            blobs.tombstone(sha256)
            count += 1
    except LookupError as error:
        return count, str(error)
    return count, ""


def _commands(history: RunHistory) -> Iterator[tuple[str, str]]:
    run, ledger = (shlex.quote(str(path)) for path in (history.path.parent.resolve(), history.path.resolve()))
    yield (
        "Prove it: every agent is driven again from the record, every permit and budget decided again",
        (f"tek-runner replay {run}"),
    )
    yield "Check the record alone, with a key that you trust", f"tek-runner replay {run} --verify --key KEY.pub"
    if history.closed is not None:
        yield "Compute the ledger head without tek", f"tail -n 1 {ledger} | head -c -76 | sha256sum"
