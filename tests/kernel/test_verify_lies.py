"""Ledgers whose chain is whole and whose content lies: each line is composed again after the change."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from tek_abi import Codec, MemoryBlobs
from tek_kernel import LedgerInvalid, ReplayMismatch, verify
from tek_kernel.ledger import ZEROS, compose
from tests.kernel.ledger_world import World, small

WORLD = small()
Bodies = list[dict[str, Any]]


def parsed(world: World) -> Bodies:
    return [json.loads(line) for line in world.lines]


def bodies() -> Bodies:
    return parsed(WORLD)


def chained(lines: Bodies) -> bytes:
    prev, data = ZEROS, b""
    for seq, fields in enumerate(lines):
        body = {
            name: value for name, value in fields.items() if name not in ("seq", "synced", "prev", "kind", "at", "hash")
        }
        line, prev = compose(seq, -1, prev, fields["kind"], fields["at"], body)
        data += line
    return data


def first(lines: Bodies, kind: str, needle: str = "") -> int:
    return next(i for i, fields in enumerate(lines) if fields["kind"] == kind and needle in json.dumps(fields))


def test_the_truth_composed_again_holds() -> None:
    assert verify(io.BytesIO(chained(bodies())), WORLD.codec).replay_hash == WORLD.replay_hash


def second_outcome(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", '"ok"')
    lines.insert(at, lines[at])
    return at + 1


def no_intent(lines: Bodies) -> int:
    at = first(lines, "effect.intent", "free/one")
    position = lines.pop(at)["position"]
    return next(i for i, f in enumerate(lines) if f["kind"] == "effect.outcome" and f["position"] == position)


def other_args(lines: Bodies) -> int:
    at = first(lines, "effect.intent", "free/one")
    lines[at]["envelope"]["args"]["key"] = "free/two"
    return at


def other_value(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", '"value": 1')
    lines[at]["outcome"]["value"] = 2
    return at


def unknown_task(lines: Bodies) -> int:
    at = first(lines, "task.started")
    lines[at]["task"] = "TASK-999"
    return at


def open_intent(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", "not-found")
    task = lines.pop(at)["position"][0]
    return first(lines, "task.ended", task)


def other_counts(lines: Bodies) -> int:
    lines[-1]["counts"] = {"ok": 3}
    return len(lines) - 1


def after_the_end(lines: Bodies) -> int:
    lines.append(lines[-1])
    return len(lines) - 1


def denied_but_done(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", "denied")
    lines[at]["outcome"] = {"status": "cancelled"}
    return at


def blob_size(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", "$ref")
    lines[at]["outcome"]["value"]["$ref"]["size"] += 1
    return at


def time_goes_back(lines: Bodies) -> int:
    lines[5]["at"] = lines[3]["at"]
    return 5


def decided(lines: Bodies, subject: str, after: str = "task.started") -> int:
    at = first(lines, after)
    position = [lines[at]["task"], 1]
    lines.insert(at + 1, {**lines[at], "kind": "decision", "position": position, "subject": subject, "value": None})
    for name in ("task", "agent", "attempt", "progress"):
        lines[at + 1].pop(name, None)
    return at + 1


def timeout_without_a_limit(lines: Bodies) -> int:
    return decided(lines, "timeout")


def decision_on_nothing_known(lines: Bodies) -> int:
    return decided(lines, "whim")


def end_after_an_interrupt(lines: Bodies) -> int:
    task = lines[first(lines, "task.started")]["task"]
    decided(lines, "interrupt")
    return first(lines, "task.ended", f'"task": "{task}"')


def attempt_without_a_retry(lines: Bodies) -> int:
    at = first(lines, "task.started")
    ended = first(lines, "task.ended", json.dumps(lines[at]["task"]))
    lines.insert(ended, {**lines[at], "attempt": 2})
    return ended


def ended_without_a_start(lines: Bodies) -> int:
    task = lines[first(lines, "task.started")]["task"]
    lines[:] = [
        line
        for line in lines
        if not (line.get("task") == task and line["kind"] == "task.started")
        and not (isinstance(line.get("position"), list) and line["position"][0] == task)
    ]
    at = first(lines, "task.ended", json.dumps(task))
    lines[at]["attempts"] = 0
    return at


def another_denial(lines: Bodies) -> int:
    at = first(lines, "effect.outcome", "denied")
    lines[at]["outcome"]["reason"]["message"] = "something else"
    return at


LIES = [
    timeout_without_a_limit,
    decision_on_nothing_known,
    end_after_an_interrupt,
    attempt_without_a_retry,
    ended_without_a_start,
    another_denial,
    second_outcome,
    no_intent,
    other_args,
    other_value,
    unknown_task,
    open_intent,
    other_counts,
    after_the_end,
    denied_but_done,
    blob_size,
    time_goes_back,
]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_at_its_line(lie: Callable[[Bodies], int]) -> None:
    lines = bodies()
    number = lie(lines) + 1
    with pytest.raises(LedgerInvalid) as caught:
        verify(io.BytesIO(chained(lines)), WORLD.codec)
    assert caught.value.line == number


def test_another_replay_hash_is_a_mismatch() -> None:
    lines = bodies()
    lines[-1]["replay_hash"] = "0" * 64
    with pytest.raises(ReplayMismatch):
        verify(io.BytesIO(chained(lines)), WORLD.codec)


def test_a_missing_blob_is_found() -> None:
    with pytest.raises(LedgerInvalid, match="missing"):
        verify(WORLD.file(), Codec(MemoryBlobs()))
