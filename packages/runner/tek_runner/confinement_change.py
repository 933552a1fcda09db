"""What another policy changes for commands: their own file accesses are on no record, but their confinement follows
from their task's permits, so that is compared instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tek_abi import Denial, Permit, Position
from tek_abi.pattern import path_pattern, static_prefix
from tek_abi.permit import show_path
from tek_effects_proc import Confinement, Unenforceable, confinement
from tek_effects_proc.confinement import Region
from tek_kernel import Admitted, TaskAuthority, Verdict
from tek_kernel.effect import Held

COMMAND = "proc.exec"


@attrs.frozen
class Change:
    """What the commands of a task, from the one at ``position`` on, could do on record and not any more, or only now.

    Each is a line of words such as ``write out/**``.
    """

    task: str
    position: Position
    lost: tuple[str, ...]
    gained: tuple[str, ...]


class Comparison:
    """Compares the confinements of commands, request by request. ``changes`` are those found: one for each task whose
    commands would be confined otherwise, and one more where that changes again.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._seen: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def differs(self, verdict: Verdict) -> str:
        """Return in what a command differs that would be started and was, ``""`` for any other request."""
        refused = verdict.denial is not None and verdict.denial.exhausted is None
        if verdict.effect != COMMAND or refused:
            return ""
        task = verdict.position.task
        try:
            before, after = (_Means.of(each.held(verdict.at)) for each in (verdict.before, verdict.after))
        except Unenforceable:
            return ""
        found = tuple(before.beyond(after)), tuple(after.beyond(before))
        if found != self._seen.get(task, ((), ())):
            self.changes.append(Change(task, verdict.position, *found))
        self._seen[task] = found
        return "that command would be confined otherwise" if any(found) else ""


def refused_to_start(admitted: Admitted) -> Denial | None:
    """Return why a command that is permitted would not be started: no system could hold it to its task's permits."""
    if admitted.request.effect != COMMAND:
        return None
    authority: TaskAuthority = admitted.scope.authority
    try:
        confinement(authority.held(admitted.at))
    except Unenforceable as error:
        return Denial("unenforceable", str(error), f"the grant to write {error.pattern}", error.remedy)
    return None


@attrs.frozen
class _Means:
    """All that a command is given: its confinement, and the permits to reach hosts."""

    confinement: Confinement
    net: tuple[Permit, ...]

    @classmethod
    def of(cls, held: Held) -> _Means:
        return cls(confinement(held), held.net)

    def beyond(self, other: _Means) -> Iterator[str]:
        """Yield what is given here and not there."""
        here, there = self.confinement, other.confinement
        kept = [region for region in here.reads if there.may_read(region.path, region.is_tree)]
        yield from (f"read {show_path(str(region))}" for region in here.reads if region not in kept)
        yield from (f"read {show_path(pattern)}" for pattern in _closed(kept, there.hidden, here.hidden))
        others = {(permit.resource, permit.exclude) for permit in there.matched}
        for permit in here.matched:
            if (permit.resource, permit.exclude) not in others and not _is_in(permit.resource, there.reads):
                yield f"read what matches {_shown(permit)}"
        kept = [region for region in here.writes if there.may_write(region.path, region.is_tree)]
        yield from (f"write {show_path(str(region))}" for region in here.writes if region not in kept)
        yield from (f"write {show_path(pattern)}" for pattern in _closed(kept, there.sealed, here.sealed))
        hosts = {(permit.resource, permit.exclude, permit.caveats) for permit in other.net}
        for permit in self.net:
            if (permit.resource, permit.exclude, permit.caveats) not in hosts:
                yield f"reach {' & '.join(permit.resource)}"


def _closed(kept: list[Region], now: tuple[str, ...], before: tuple[str, ...]) -> Iterator[str]:
    """Yield the patterns that are left out of kept regions now and were not before."""
    for pattern in now:
        if pattern not in before and any(region.contains(static_prefix(pattern)) for region in kept):
            yield pattern


def _is_in(resource: tuple[str, ...], regions: tuple[Region, ...]) -> bool:
    prefixes = [static_prefix(path_pattern(pattern)) for pattern in resource]
    return any(region.is_tree and region.contains(prefix) for region in regions for prefix in prefixes)


def _shown(permit: Permit) -> str:
    return " & ".join(map(show_path, permit.resource))
