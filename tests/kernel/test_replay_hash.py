"""The replay hash against RFC 9162's recursive definition, and what it does and does not depend on."""

from __future__ import annotations

import hashlib
import json
from itertools import permutations

import pytest

from tek_abi import EffectEnvelope, Failed, Failure, Ok, Outcome, Position
from tek_kernel import ReplayHash, TaskRecord
from tek_kernel.merkle import tree_hash
from tests.kernel.ledger_world import plan_of, run, small


def reference(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + reference(leaves[:split]) + reference(leaves[split:])).digest()


@pytest.mark.parametrize("count", range(34))
def test_the_tree_is_that_of_the_rfc(count: int) -> None:
    leaves = [b"%d" % number for number in range(count)]
    assert tree_hash(leaves) == reference(leaves)


def digest(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def recomputed(lines: list[bytes]) -> str:
    """Compute a closed ledger's replay hash from its JSON alone."""
    entries = [json.loads(line) for line in lines]
    asked = {json.dumps(e["position"]): e["envelope"] for e in entries if e["kind"] == "effect.intent"}
    done: dict[str, list[list[object]]] = {}
    races = {(*e["position"],): e["value"] for e in entries if e["kind"] == "decision" and e["subject"] == "race"}
    for entry in entries:
        if entry["kind"] != "effect.outcome":
            continue
        task, *path = entry["position"]
        if any(path[: len(r) - 1] == list(r[1:]) and task == r[0] and path[len(r) - 1] != w for r, w in races.items()):
            continue
        envelope, outcome = asked[json.dumps(entry["position"])], entry["outcome"]
        code = entry.get("value_digest") or outcome.get("error", outcome.get("reason", {})).get("code", "")
        row = [path, envelope["effect"], envelope["v"], envelope["args_digest"], outcome["status"], code]
        done.setdefault(task, []).append(row)
    for (task, *path), winner in races.items():
        done[task].append([path, "race", winner])
    leaves = [digest([entries[0]["plan_digest"], entries[0]["policy_digest"]])]
    for ended in sorted((e for e in entries if e["kind"] == "task.ended"), key=lambda e: str(e["task"])):
        effects = sorted(done.get(ended["task"], []), key=lambda row: row[0])  # type: ignore[arg-type, return-value]  # paths are lists of numbers
        leaves.append(digest({"task": ended["task"], "effects": effects, "status": ended["status"]}))
    return reference(leaves).hex()


def test_a_run_has_the_hash_that_its_json_gives() -> None:
    world = small()
    assert recomputed(world.lines) == world.replay_hash


def test_workers_and_the_order_of_arrival_do_not_matter() -> None:
    plan = plan_of("denied", "failed", "denied")
    assert len({run(plan, workers=workers).replay_hash for workers in (1, 2, 4)}) == 1


ARGS = "a" * 64
VALUE = "b" * 64


def envelope(effect: str = "mem.get", args_digest: str = ARGS) -> EffectEnvelope:
    return EffectEnvelope(effect, 1, {}, args_digest, "key")


def at(*path: int) -> Position:
    return Position("TASK-001", 1, path)


def leaf(effect: EffectEnvelope, outcome: Outcome, value_digest: str | None, status: str = "ok") -> bytes:
    record = TaskRecord()
    record.effect(at(0), effect, outcome, value_digest)
    return record.leaf("TASK-001", status)


def test_any_single_difference_in_what_happened_changes_a_leaf() -> None:
    leaves = [
        leaf(envelope(), Ok(1), VALUE),
        leaf(envelope("mem.put"), Ok(1), VALUE),
        leaf(envelope(args_digest="c" * 64), Ok(1), VALUE),
        leaf(envelope(), Ok(1), "c" * 64),
        leaf(envelope(), Ok(1), VALUE, "failed"),
        leaf(envelope(), Failed(Failure("io", "")), None),
        leaf(envelope(), Failed(Failure("timeout", "")), None),
    ]
    assert len(set(leaves)) == len(leaves)


def test_the_order_in_which_effects_arrive_does_not_matter() -> None:
    leaves = set()
    for order in permutations(range(4)):
        record = TaskRecord()
        for index in order:
            record.effect(at(index), envelope(), Ok(1), VALUE)
        leaves.add(record.leaf("TASK-001", "ok"))
    assert len(leaves) == 1


def test_the_order_in_which_tasks_end_does_not_matter() -> None:
    names, hashes = ["TASK-001", "TASK-002", "TASK-003"], set()
    for order in permutations(names):
        replay_hash = ReplayHash(ARGS, VALUE, names)
        for name in order:
            replay_hash.ended(name, None, "ok")
        hashes.add(replay_hash.hex())
    assert len(hashes) == 1


def test_a_races_losers_count_only_as_lost() -> None:
    def raced(lost: Outcome, winner: int = 0) -> bytes:
        record = TaskRecord()
        record.effect(at(0, 1, 0), envelope(), lost, VALUE if isinstance(lost, Ok) else None)
        record.effect(at(0, 0, 0), envelope(), Ok(1), VALUE)
        record.race(at(0), winner)
        return record.leaf("TASK-001", "ok")

    assert raced(Ok(1)) == raced(Failed(Failure("io", "")))
    assert raced(Ok(1)) != raced(Ok(1), winner=1)
