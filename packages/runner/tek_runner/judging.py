"""``replay --policy``: what a recorded run would have been denied under another policy, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import attrs

from tek_abi import Codec, Denial
from tek_kernel import Doubt, Judgement, Rules, Verdict, Verifier, judge
from tek_runner.config import read_manifest
from tek_runner.confinement_change import COMMAND, Change, Comparison, refused_to_start
from tek_runner.inputs import read_input
from tek_runner.recorded import recorded_effects, recorded_keys
from tek_runner.session import NO_COMMANDS, OFF, agent_of

_MANIFEST = "config/manifest.json "


@attrs.frozen
class Answer:
    """What a run would have been denied, what its commands would have been given, and how far that is certain."""

    policy: str
    judgement: Judgement
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the answer for programs."""
        judged = self.judgement
        return {
            "status": "denied" if judged.denied else "ok",
            "policy": self.policy,
            "ledger_head": judged.verification.ledger_head,
            "requests": len(judged.verdicts),
            "denied": [_denied(verdict, self.policy) for verdict in judged.denied],
            "confinement": [_change(change) for change in self.changes],
            "not_judged": [
                {"task": one.position.task, "position": str(one.position), "effect": one.effect, "why": one.unjudged}
                for one in judged.verdicts
                if one.unjudged
            ],
            "uncertain": [_doubt(doubt) for doubt in judged.doubts],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Yield the answer for people, line by line."""
        judged, denied = self.judgement, self.judgement.denied
        count = f"{len(denied)} of {len(judged.verdicts)} requests would be denied under {self.policy}"
        again = sum(verdict.denied_before for verdict in denied)
        yield f"{count}{f', {again} of them denied on record too' if again else ''}"
        for verdict in denied:
            assert verdict.denial is not None
            marks = ["denied on record too"] if verdict.denied_before else []
            marks += [] if verdict.certain else ["if its agent still asks for it"]
            mark = f"  ({'; '.join(marks)})" if marks else ""
            yield f"\nDENIED {verdict.position.task}  {verdict.position}  {verdict.effect}{mark}"
            yield "  " + verdict.denial.message.rstrip().replace("\n", "\n  ")
            if grant := _grant(verdict.denial, self.policy):
                yield f"  to grant it: {grant}"
        if self.changes:
            yield "\ncommands would be confined otherwise"
        same = _grouped(((change.lost, change.gained), str(change.position)) for change in self.changes)
        for (lost, gained), places in same.items():
            yield f"  from {_some(places)} on"
            yield from (f"    no more: {words}" for words in lost)
            yield from (f"    new: {words}" for words in gained)
        if judged.doubts or self.notes:
            yield "\nwhere this is not certain"
        for why, places in _grouped((doubt.why, _after(doubt)) for doubt in judged.doubts).items():
            yield f"  {_some(places)}: {why}"
        yield from (f"  {note}" for note in self.notes)


def judge_by(path: Path, file: BinaryIO, codec: Codec, level: str) -> Answer:
    """Judge a recorded run by the manifest at ``path``; ``level`` is how its commands were confined.

    Raises ``InvalidInput`` or ``UnreadableInput`` for the manifest, ``LedgerInvalid`` for the ledger.
    """
    config = read_manifest(read_input(path, "manifest"), str(path))
    permits = tuple(
        attrs.evolve(permit, rule=f"{path} {permit.rule.removeprefix(_MANIFEST)}")
        if permit.rule.startswith(_MANIFEST)
        else permit
        for permit in config.policy.permits
    )
    policy = attrs.evolve(config.policy, permits=permits)
    rules = Rules(policy, agent_of(policy), Verifier(config.trusted_keys))
    comparison = Comparison()
    if level not in (OFF, NO_COMMANDS):
        rules = attrs.evolve(rules, refuses=refused_to_start, differs=comparison.differs)
    judged = judge(file, codec, recorded_effects, rules, recorded_keys)
    return Answer(str(path), judged, tuple(comparison.changes), tuple(_notes(judged)))


def _notes(judged: Judgement) -> Iterator[str]:
    """Yield what the record does not tell of a run such as this one."""
    effects = {verdict.effect for verdict in judged.verdicts}
    if COMMAND in effects and judged.verification.level == OFF:
        yield "commands were not confined on record; what they did with files and the network is not known"
    elif COMMAND in effects:
        yield (
            "what commands themselves read, wrote and reached is not on record: their permits are compared, and what "
            "would be out of reach may or may not have been used"
        )
    if any(effect.startswith(("fs.", "net.")) for effect in effects):
        yield "where symlinks lead, and which addresses hosts have, is decided when a request is applied"
    if any(permit.rule.startswith("--allow ") for permit in judged.checker.policy.permits):
        yield "the run was given more by --allow, which is no part of this policy"
    if any(doubt.since is not None for doubt in judged.doubts):
        yield "other tasks may miss what was not done there; only those that need its task are named"
    if judged.verdicts:
        yield "budgets are judged by what was used on record; requests that share one may use it up in another order"
    if judged.verification.state != "closed":
        yield "the run is paused: what it would have asked for later is not known"


_T = TypeVar("_T")
_SHOWN = 5


def _grouped(pairs: Iterable[tuple[_T, str]]) -> dict[_T, list[str]]:
    """Return the places of each thing that is said of several, in the order of the first."""
    groups: dict[_T, list[str]] = {}
    for said, place in pairs:
        groups.setdefault(said, []).append(place)
    return groups


def _some(places: list[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


def _after(doubt: Doubt) -> str:
    return doubt.task if doubt.since is None else f"after {doubt.since}"


def _grant(denial: Denial, policy: str) -> str:
    """Return the line that would grant what was denied; where that is a budget of the policy, in its own file."""
    return denial.grant if denial.exhausted is None else denial.grant.replace("config/manifest.json", policy)


def _denied(verdict: Verdict, policy: str) -> dict[str, Any]:
    assert verdict.denial is not None
    denial = verdict.denial
    return {
        "task": verdict.position.task,
        "position": str(verdict.position),
        "line": verdict.line,
        "effect": verdict.effect,
        "code": denial.code,
        "reason": denial.message,
        "rule": denial.rule,
        "grant": _grant(denial, policy),
        "denied_on_record": verdict.denied_before,
        "certain": verdict.certain,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "task": change.task,
        "from": str(change.position),
        "lost": list(change.lost),
        "gained": list(change.gained),
    }


def _doubt(doubt: Doubt) -> dict[str, Any]:
    return {"task": doubt.task, "after": None if doubt.since is None else str(doubt.since), "why": doubt.why}
