"""The command that runs one task of a recorded run again."""

from __future__ import annotations

import shlex
from pathlib import Path

from tek_runner.history import RunHistory
from tek_runner.recorded import BUDGET

_ALLOWED = "--allow "
_AS_STRONG = ("auto", "none", "root-idmap", "userns", "bwrap")
"""Levels on record that ``run`` finds by itself; the others are named, as they were."""


def run_again(history: RunHistory, task: str) -> str:
    """Return the command; empty where the run's source is not on record, or the run itself can go on with the task."""
    source = history.observed("source")
    if not isinstance(source, str) or (history.closed is None and history.tasks[task].end is None):
        return ""
    workspace, config = history.observed("workspace"), history.observed("config")
    words = ["tek-runner", "run", source]
    home = workspace if isinstance(workspace, str) else str(Path(source).parent)
    words += ["--workspace", home] if home != str(Path(source).parent) else []
    words += ["--config", config] if isinstance(config, str) and config != str(Path(home, "config")) else []
    rules = (permit.rule for permit in history.policy.permits if permit.rule.startswith(_ALLOWED))
    words += [word for rule in rules for word in ("--allow", rule.removeprefix(_ALLOWED))]
    budget = history.observed(BUDGET)
    limits = [f"{name}={bound}" for name, bound in budget.items()] if isinstance(budget, dict) else []
    words += ["--budget", ",".join(limits)] if limits else []
    level = history.opened.level if history.opened is not None else "none"
    words += [] if level in _AS_STRONG else [f"--sandbox={level}"]
    words += ["--dry-run"] if history.entry is not None and history.entry.dry_run else []
    return shlex.join([*words, "--only", task])
