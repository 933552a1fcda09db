"""What the broker costs: permit check, reservation, intent, outcome and settlement of an effect in memory.

Beside it a bare loop that does the same work on plain dictionaries: two lines an effect, encoded, hashed and chained.
Then whole runs of such effects on one worker and on four, and the cost of a check against 10 to 100,000 permits.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from typing import Any

import attrs
import orjson

from benchmarks.harness import Comparison, Figure, Goal, Options, command, interleave
from benchmarks.memory import POLICY, Memory, Put, PutEffect, carry_out
from tek_abi import Access, Bound, Codec, ExecutionPlan, MemoryBlobs, Permit, Policy, Position, Queue, Task
from tek_kernel import Admitted, Authority, Broker, Cancel, Decider, DirectSink, Ledger, Registry, Scopes, utc_now

_TASK = Task("TASK-001", "A task", "execution")
_QUEUE = Queue("Queue A — Work", (_TASK,))
_PLAN = ExecutionPlan((_QUEUE,))


def broker(count: int) -> float:
    """Return effects a second through the real broker, on one thread."""
    codec, blobs = Codec(MemoryBlobs()), MemoryBlobs()
    ledger = Ledger(DirectSink(Memory()), utc_now, codec)
    scopes = Scopes(_PLAN, POLICY, Authority(POLICY))
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


def through_scheduler(count: int, workers: int) -> float:
    """Return effects a second of a whole run: agents, scheduler, worker threads, broker and ledger."""
    tasks = 8
    since = time.perf_counter()
    carry_out(Memory(), tasks, count // tasks, workers)
    return count / (time.perf_counter() - since)


def compare(options: Options) -> Comparison:
    count = options.size // 4 if options.quick else options.size
    kinds = {
        "bare loop": lambda: bare(count),
        "broker": lambda: broker(count),
        "whole run, 1 worker": lambda: through_scheduler(count, 1),
        "whole run, 4 workers": lambda: through_scheduler(count, 4),
    }
    rates = {
        name: Figure(name, "effects/s", tuple(values), "" if name == "bare loop" else "bare loop")
        for name, values in interleave(kinds, options.rounds).items()
    }
    checks, grown = checking((10, 10_000) if options.quick else (10, 100, 1000, 10_000, 100_000))
    one, four = rates["whole run, 1 worker"], rates["whole run, 4 workers"]
    goals = (
        Goal("the broker alone: effects a second", rates["broker"].median, 50_000, at_least=True),
        Goal("4 workers: effects a second, of those of 1", four.of(one), 1, at_least=True),
        *grown,
    )
    return Comparison("The broker", (*rates.values(), *checks), goals)


def checking(sizes: tuple[int, ...]) -> tuple[list[Figure], list[Goal]]:
    """Return what a check costs under so many permits, and whether it grows with their logarithm at most."""
    found: list[Figure] = []
    goals: list[Goal] = []
    for granted, word in ((True, "granted"), (False, "denied")):
        some = {permits: max(20, min(2000, 2_000_000 // permits)) for permits in sizes}
        costs = [
            Figure(f"check against {n:,} permits, {word}", "us", tuple(check(n, some[n], granted) for _ in range(3)))
            for n in sizes
        ]
        text = f"a check, {word}: against {sizes[-1]:,} permits, of one against {sizes[0]:,}"
        goals.append(Goal(text, costs[-1].of(costs[0]), math.log(sizes[-1], sizes[0])))
        found += costs
    return found, goals


if __name__ == "__main__":
    command(__doc__, compare, size=20_000, unit="effects a round")
