"""``permits infer``: the smallest manifest under which a recorded run would have done the same.

What requests named themselves is taken word by word, with ``?`` for what a pattern cannot hold. Of what commands did,
the record tells which were started and which hosts they asked for. What they read and wrote is not on record, so they
get what their tasks held, less what is surely not needed: paths that are not there, and trees to write in which nothing
has changed since the first command began.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from tek_abi import Access, Instant, Limit, Subject
from tek_abi.budget import UNLIMITED
from tek_abi.pattern import SYSTEM, WORKSPACE, match_path, path_pattern, static_prefix
from tek_kernel import Need, Needs, file_clock_grain_ns
from tek_kernel.needs import covers
from tek_runner.config import NO_PRESET
from tek_runner.recorded import of_machine


@attrs.frozen
class Inferred:
    """A manifest that grants what a run needed, and what is worth knowing about it."""

    manifest: dict[str, Any]
    notes: tuple[str, ...]


def infer(needs: Needs) -> Inferred:
    """Return the manifest for what a run needed. Looks at its workspace, and changes nothing."""
    workspace = of_machine(needs.checker, "workspace")
    ground = _Ground(Path(workspace)) if workspace is not None and Path(workspace).is_dir() else None
    held = _of_commands(needs, ground)
    rules = {need: set(tasks) for need, tasks in held.items()}
    for asked, tasks in needs.asked.items():
        left = {task for task in tasks if not _is_covered(asked.access, task, held, needs)}
        if left:
            rules.setdefault(asked.need, set()).update(left)
    everybody = {task for tasks in (*needs.asked.values(), *needs.held.values()) for task in tasks}
    order = list(needs.checker.tasks)
    manifest: dict[str, Any] = {"preset": NO_PRESET, "permits": list(_entries(rules, everybody, order))}
    return Inferred({**manifest, **_limits(needs)}, tuple(_notes(needs, ground)))


@attrs.frozen
class _Ground:
    """The workspace as it is now."""

    workspace: Path

    def real(self, canonical: str) -> Path:
        root, _, rest = canonical.partition("/")
        return (self.workspace if root == WORKSPACE else Path("/")) / rest

    def is_there(self, pattern: str) -> bool:
        return os.path.lexists(self.real(static_prefix(pattern)))

    def is_unchanged(self, need: Need, since: Instant) -> bool:
        """Whether nothing that a rule to write covers has changed since: no file, and no directory's entries."""
        before = int(datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp() * 1e9) - file_clock_grain_ns()
        pattern = path_pattern(need.resource)
        excluded = [path_pattern(text) for text in need.exclude]
        start = self.real(static_prefix(pattern))
        pending = [start]
        try:
            while pending:
                path = pending.pop()
                status = path.lstat()
                if status.st_ctime_ns >= before:
                    return False
                if path.is_dir() and not path.is_symlink():
                    pending += [child for child in path.iterdir() if not self._is_left_out(child, excluded)]
        except FileNotFoundError:
            return not os.path.lexists(start) and self._is_old(start, before)
        except OSError:
            return False
        return True

    def _is_left_out(self, path: Path, excluded: list[str]) -> bool:
        name = f"{WORKSPACE}/{path.relative_to(self.workspace)}" if path.is_relative_to(self.workspace) else ""
        return any(match_path(pattern, name or f"{SYSTEM}{path}") for pattern in excluded)

    def _is_old(self, path: Path, before: int) -> bool:
        """Whether the nearest directory above what is missing lost no entry since."""
        above = path.parent
        while not above.exists():
            above = above.parent
        return above.lstat().st_ctime_ns < before


def _of_commands(needs: Needs, ground: _Ground | None) -> dict[Need, tuple[str, ...]]:
    """Return the rules that commands are left with."""
    since = needs.commands_since
    kept = {
        need: tasks
        for need, tasks in needs.held.items()
        if ground is None or need.action == "net.http" or ground.is_there(path_pattern(need.resource))
        or need.action == "fs.write"
    }  # fmt: skip
    if ground is not None and since is not None:
        kept = {
            need: tasks
            for need, tasks in kept.items()
            if need.action != "fs.write" or not ground.is_unchanged(need, since)
        }
    return {
        need: tasks
        for need, tasks in kept.items()
        if not any(other != need and _says_more(other, kept[other], need, tasks) for other in kept)
    }


def _says_more(other: Need, others: tuple[str, ...], need: Need, tasks: tuple[str, ...]) -> bool:
    """Whether a rule grants all that another does, to all of its tasks."""
    if other.action != need.action or other.action == "net.http" or not set(tasks) <= set(others):
        return False
    same = (other.expires_at, other.caveats) == (need.expires_at, need.caveats)
    wider = covers(path_pattern(other.resource), path_pattern(need.resource))
    return same and wider and set(other.exclude) <= set(need.exclude)


def _is_covered(access: Access, task: str, held: dict[Need, tuple[str, ...]], needs: Needs) -> bool:
    """Whether what a command's task holds covers a request of the same task as well."""
    queue, declared = needs.checker.tasks[task]
    subject = Subject(task, "", declared.layer, queue.letter)
    return any(
        task in tasks and not need.caveats and need.permit.mismatch(access, subject, "", 0) is None
        for need, tasks in held.items()
        if need.expires_at is None
    )


def _entries(rules: dict[Need, set[str]], everybody: set[str], order: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the permits of a manifest: one for each program and request, one for all that commands read or write."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for need, tasks in rules.items():
        alone = need.resource if need.action not in ("fs.read", "fs.write") else ""
        key = (need.action, alone, need.exclude, need.expires_at, need.caveats, tuple(sorted(tasks, key=order.index)))
        groups.setdefault(key, []).append(need.resource)
    for (action, _, exclude, expires_at, caveats, tasks), resources in groups.items():
        yield {
            "action": action,
            "resource": _one_or_more(resources),
            **({} if set(tasks) == everybody else {"subject": _one_or_more(tasks)}),
            **({"exclude": _one_or_more(exclude)} if exclude else {}),
            **({"expires_at": expires_at} if expires_at is not None else {}),
            **({"caveats": {caveat.name: caveat.value for caveat in caveats}} if caveats else {}),
        }


def _one_or_more(texts: Iterable[str]) -> Any:
    several = list(dict.fromkeys(texts))
    return several[0] if len(several) == 1 else several


def _limits(needs: Needs) -> dict[str, Any]:
    """Return the budgets and agents of the recorded policy, without which a run would go otherwise."""
    policy = needs.checker.policy
    budgets: dict[str, Any] = {}
    for name, limit in (("task", policy.task_max), ("run", policy.run)):
        if bounds := _bounds(limit, UNLIMITED if name == "run" else None):
            budgets[name] = bounds
    queues = {letter: bounds for letter, limit in policy.queues if (bounds := _bounds(limit, None))}
    budgets |= {"queues": queues} if queues else {}
    layers = {"layers": dict(policy.agents)} if policy.agents else {}
    return {**({"budgets": budgets} if budgets else {}), **layers}


def _bounds(limit: Limit, default: str | None) -> dict[str, Any]:
    return {name: value for name, value in attrs.asdict(limit).items() if value not in (None, default)}


def _notes(needs: Needs, ground: _Ground | None) -> Iterator[str]:
    """Yield what the record does not tell."""
    if needs.commands_since is not None:
        yield (
            "what commands themselves read and wrote is not on record: they keep what their tasks held, less trees to "
            "write in which nothing has changed since they began"
        )
        if ground is None:
            yield "the workspace is gone, so nothing could be left out"
    if any(asked.access.family in ("fs.read", "fs.write", "net") for asked in needs.asked):
        yield "where symlinks and redirects led is not on record; what they led to may be missing here"
    if any(need.expires_at for need in (*needs.held, *(asked.need for asked in needs.asked))):
        yield "permits that expire keep their moment"
    for text in needs.unknown:
        yield f"not judged: {text}"
    if needs.verification.state != "closed":
        yield "the run is paused: what it would have asked for later is not known"
    yield "what was denied is not granted; tls, keys and hooks are not part of this: keep those of your configuration"
