"""Invariant 1: no effect without authority. Each applied effect has on record a permit that covers it, in force at its
time; whatever no permit covers is never applied.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import (
    Access,
    Allow,
    Bound,
    Budget,
    Caveat,
    Codec,
    EffectIntent,
    EffectOutcome,
    Entry,
    ExecutionPlan,
    Instant,
    MemoryBlobs,
    Permit,
    Policy,
    Position,
    Queue,
    Request,
    Subject,
    Task,
    digest,
)
from tek_kernel import (
    Admitted,
    Applied,
    Authority,
    Broker,
    Cancel,
    Context,
    Decider,
    DirectSink,
    Effect,
    Ledger,
    Refused,
    Registry,
    Scopes,
    SideEffect,
)
from tests.size import examples

TIMES = [f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 8)]
PATHS = st.sampled_from(["$WORKSPACE/a", "$WORKSPACE/a/b", "$WORKSPACE/c", "$WORKSPACE/.git/hooks/x", "$SYSTEM/etc/x"])
PATTERNS = st.sampled_from(
    ["$WORKSPACE/**", "$WORKSPACE/a/**", "$WORKSPACE/*", "$SYSTEM/**", "$WORKSPACE/c", "$WORKSPACE/a"]
)
CAVEATS = st.sampled_from([(), (Caveat("max_bytes", 5),), (Caveat("max_uses", 1),), (Caveat("unknown", 1),)])
PERMITS = st.builds(
    Permit,
    action=st.tuples(st.sampled_from(["fs.write", "fs.read", "fs.*", "proc"])),
    resource=st.lists(PATTERNS, min_size=1, max_size=2).map(tuple),
    subject=st.tuples(st.sampled_from(["*", "TASK-001", "TASK-002", "agent:probe"])),
    exclude=st.lists(PATTERNS, max_size=1).map(tuple),
    expires_at=st.none() | st.sampled_from(TIMES),
    caveats=CAVEATS,
    rule=st.just("a rule"),
)


@attrs.frozen
class Touch(Request[None]):
    """Touches a path, for writing or reading."""

    effect: ClassVar[str] = "fs.touch"
    output: ClassVar[type] = type(None)
    path: str
    size: int
    write: bool


class TouchEffect(Effect[Touch]):
    request = Touch

    def __init__(self) -> None:
        self.applied: list[Touch] = []

    def side_effect(self, request: Touch) -> SideEffect:
        return SideEffect.ONCE

    def accesses(self, request: Touch) -> tuple[Access, ...]:
        return (access_of(request),)

    def apply(self, request: Touch, context: Context) -> Applied:
        self.applied.append(request)
        return Applied(None, Budget())


def access_of(request: Touch) -> Access:
    family = "fs.write" if request.write else "fs.read"
    return Access(family, family, request.path, bytes=request.size)


class Storage:
    def write(self, data: bytes) -> None:
        pass

    def sync(self) -> None:
        pass


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(PERMITS, max_size=5),
    st.lists(PERMITS.map(lambda p: attrs.evolve(p, action=("fs.write",))), max_size=2),
    st.lists(st.builds(Touch, PATHS, st.integers(0, 10), st.booleans()), min_size=1, max_size=6),
    st.sampled_from(["TASK-001", "TASK-002"]),
)
def test_invariant_1_no_effect_without_authority(
    permits: list[Permit], asked: list[Permit], requests: list[Touch], task_id: str
) -> None:
    entries: list[tuple[Entry, Instant]] = []
    moments = iter(TIMES * 10)
    codec, effect = Codec(MemoryBlobs()), TouchEffect()
    task = Task(task_id, "t", "foundation", allow=(Allow(tuple(asked)),) if asked else ())
    queue = Queue("Queue A — One", (task,))
    plan, policy = ExecutionPlan((queue,)), Policy(preset="none", permits=tuple(permits))
    ledger = Ledger(
        DirectSink(Storage()), lambda: next(moments), codec, watch=lambda entry, at: entries.append((entry, at))
    )
    broker = Broker(Decider(Registry([effect]), codec, "run"), ledger, codec, MemoryBlobs())
    scope = Scopes(plan, policy, Authority(policy)).task(queue, task, "probe")

    for index, request in enumerate(requests):
        _, decided = broker.admit(scope, Position(task_id, 1, (index,)), Bound(request))
        if isinstance(decided, Admitted):
            broker.settle(decided, broker.apply(decided, Cancel()))
        else:
            assert isinstance(decided, Refused)
            broker.refuse(decided)

    subject, uses = Subject(task_id, "probe", "foundation", "A"), Counter[tuple[bool, Permit]]()
    intents = [(entry, at) for entry, at in entries if isinstance(entry, EffectIntent)]
    assert len(intents) == len(requests) == sum(isinstance(entry, EffectOutcome) for entry, _ in entries)
    for (intent, at), request in zip(intents, requests, strict=True):
        covering = list(_covering(permits, asked, request, subject, at, uses))
        assert intent.allow == bool(covering)
        if intent.allow:
            base, rule, permit = covering[0]
            assert intent.envelope.permit == digest([codec.encode(permit)])
            uses.update([(False, base)] if rule is None else [(False, base), (True, rule)])
        else:
            assert intent.denial is not None
            assert intent.envelope.permit is None
    assert effect.applied == [request for (intent, _), request in zip(intents, requests, strict=True) if intent.allow]


def _covering(
    permits: list[Permit],
    asked: list[Permit],
    request: Touch,
    subject: Subject,
    at: Instant,
    uses: Counter[tuple[bool, Permit]],
) -> Any:
    """What declared and policy both cover, found by trying everything: each counts the uses that it limits."""
    access = access_of(request)
    if request.write and ".git/hooks" in request.path:
        return
    for permit in permits:
        if permit.mismatch(access, subject, at, uses[False, permit]) is not None:
            continue
        if not asked or not request.write:
            yield permit, None, permit
        for rule in asked if request.write else ():
            if rule.mismatch(access, subject, at, uses[True, rule]) is None:
                yield permit, rule, permit.attenuate(rule)
