"""What the broker costs: permit check, reservation, intent, outcome and settlement of an effect in memory.

Beside it a bare loop that does the same work on plain dictionaries: two lines an effect, encoded, hashed and chained.
Then the cost of a check against policies of 10 to 100,000 permits.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any, ClassVar

import attrs
import orjson

from tek_abi import (
    Access,
    Bound,
    Budget,
    Codec,
    ExecutionPlan,
    Limit,
    MemoryBlobs,
    Permit,
    Policy,
    Position,
    Queue,
    Request,
    Task,
)
from tek_kernel import (
    Admitted,
    Applied,
    Authority,
    Broker,
    Cancel,
    Context,
    Cost,
    Decider,
    DirectSink,
    Effect,
    Ledger,
    Registry,
    Scopes,
    SideEffect,
    utc_now,
)

_TASK = Task("TASK-001", "A task", "execution")
_QUEUE = Queue("Queue A — Work", (_TASK,))
_PLAN = ExecutionPlan((_QUEUE,))


@attrs.frozen
class Put(Request[int]):
    """A side effect in memory."""

    effect: ClassVar[str] = "memory.put"
    output: ClassVar[Any] = int
    key: str
    size: int


class PutEffect(Effect[Put]):
    """Writes a number under a key."""

    request: ClassVar[type[Any]] = Put

    def __init__(self) -> None:
        self.store: dict[str, int] = {}

    def side_effect(self, request: Put) -> SideEffect:
        return SideEffect.IDEMPOTENT

    def accesses(self, request: Put) -> tuple[Access, ...]:
        return (Access("memory.put", "memory.put", request.key),)

    def cost(self, request: Put) -> Cost:
        return Cost(Budget(io=request.size), Limit(1000, 0, request.size))

    def apply(self, request: Put, context: Context) -> Applied:
        self.store[request.key] = request.size
        return Applied(request.size, Budget(io=request.size))


class Memory:
    """A ledger's storage that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def sync(self) -> None:
        pass


def broker(count: int) -> float:
    """Return effects a second through the real broker, on one thread."""
    codec, blobs = Codec(MemoryBlobs()), MemoryBlobs()
    policy = attrs.evolve(Policy(), permits=(Permit(("memory.*",), ("*",), rule="bench"),))
    ledger = Ledger(DirectSink(Memory()), utc_now, codec)
    scopes = Scopes(_PLAN, policy, Authority(policy))
    scope = scopes.task(_QUEUE, _TASK, "bench")
    made = Broker(Decider(Registry((PutEffect(),)), codec, "run"), ledger, codec, blobs)
    start = time.thread_time()
    for number in range(count):
        _, admitted = made.admit(scope, Position("TASK-001", 1, (number,)), Bound(Put(f"key-{number % 100}", 10)))
        assert isinstance(admitted, Admitted)
        made.settle(admitted, made.apply(admitted, Cancel()))
    return count / (time.thread_time() - start)


def bare(count: int) -> float:
    """Return effects a second of a loop that checks a set, adds two numbers and writes two lines."""
    lines: list[bytes] = []
    store: dict[str, int] = {}
    granted, spent, head, seq = {"memory.put"}, 0, "0" * 64, itertools.count()

    def append(kind: str, body: dict[str, Any]) -> None:
        nonlocal head
        line = orjson.dumps({"seq": next(seq), "synced": -1, "prev": head, "kind": kind, "at": utc_now(), **body})
        head = hashlib.sha256(line[:-1]).hexdigest()
        lines.append(line[:-1] + b',"hash":"' + head.encode() + b'"}\n')

    start = time.thread_time()
    for number in range(count):
        args: dict[str, Any] = {"key": f"key-{number % 100}", "size": 10}
        args_digest = hashlib.sha256(orjson.dumps(args, option=orjson.OPT_SORT_KEYS)).hexdigest()
        position = ["TASK-001", 1, number]
        assert "memory.put" in granted
        envelope = {"effect": "memory.put", "v": 1, "args": args, "args_digest": args_digest}
        append("effect.intent", {"position": position, "envelope": envelope, "allow": True, "rule": "bench"})
        store[args["key"]] = args["size"]
        spent += args["size"]
        append("effect.outcome", {"position": position, "outcome": {"ok": 10}, "usage": {"io": 10}})
    return count / (time.thread_time() - start)


def check(permits: int, count: int, granted: bool) -> float:
    """Return microseconds of one check against a policy of so many permits."""
    rules = tuple(Permit(("fs.write",), (f"$WORKSPACE/out/{n}/**",), rule=f"rule {n}") for n in range(permits))
    authority = Authority(attrs.evolve(Policy(), permits=rules)).for_task(_PLAN, _QUEUE, _TASK, "bench")
    step = 7919
    places = [f"$WORKSPACE/{'out' if granted else 'in'}/{(n * step) % permits}/file" for n in range(count)]
    now = utc_now()
    authority.decide((Access("fs.write", "fs.write", places[0]),), now)
    start = time.thread_time()
    for place in places:
        authority.decide((Access("fs.write", "fs.write", place),), now)
    return (time.thread_time() - start) / count * 1e6


def _median(measure: Callable[[], float], rounds: int) -> float:
    return statistics.median(measure() for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="effects a round")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    rates: dict[str, list[float]] = {"broker": [], "bare": []}
    for _ in range(chosen.rounds):
        rates["broker"].append(broker(chosen.count))
        rates["bare"].append(bare(chosen.count))
    ours, theirs = (statistics.median(rates[name]) for name in ("broker", "bare"))
    print(f"broker     {ours:10,.0f} effects/s")
    print(f"bare loop  {theirs:10,.0f} effects/s   the broker reaches {ours / theirs:.0%} of it")
    for permits in (10, 100, 1_000, 10_000, 100_000):
        some = max(20, min(2000, 2_000_000 // permits))
        hit, miss = (_median(lambda: check(permits, some, kind), 3) for kind in (True, False))  # noqa: B023
        print(f"check against {permits:7,} permits: {hit:10.1f} us granted, {miss:10.1f} us denied")


if __name__ == "__main__":
    main()
