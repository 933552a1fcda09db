"""Invariants 1 to 9 at once: one run is cut off, goes on, is read, forged, judged and replayed in any order."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tek_abi import Access, Budget, EffectIntent, EffectOutcome, ExecutionPlan, InvalidInput, Permit, Position, Subject
from tek_executor import Options
from tek_executor.resume import Answer
from tek_kernel import Context, LedgerInvalid, StorageFailed, chained_lines, find_tail, read_lines, verify
from tek_planner import plan_bytes
from tests.executor.bench import ALLOWED, RUN_CODEC, Bench
from tests.executor.cuts import Crash, World, acts_on_record
from tests.executor.scripted_plans import Script, body, plans
from tests.size import examples

_SPECIAL = ("fail", "forbidden", "hold", "doubt")
_WHO = Subject("TASK-001", "all")


def _named_apart(script: Script, numbers: itertools.count[int], loses: bool = False) -> Script:
    """Give each act a name of its own, so that a world can say which was done; losers of races only look."""
    kind, what = script[0], script[1]
    if kind in ("seq", "gather"):
        return [kind, [_named_apart(inner, numbers, loses) for inner in what]]
    if kind == "race":
        return [kind, what, [_named_apart(inner, numbers, loses or at != what) for at, inner in enumerate(script[2])]]
    if what in _SPECIAL or loses:
        return ["look" if kind == "act" else kind, "a" if what == "doubt" else what]
    return [kind, f"{what}{next(numbers)}"]


def _acts(script: Script) -> list[str]:
    kind, what = script[0], script[-1]
    if kind in ("seq", "gather", "race"):
        return [name for inner in what for name in _acts(inner)]
    return [what] if kind == "act" else []


def _never(name: str, context: Context) -> str:
    raise AssertionError(f"a replay applied {name}")


class Life(RuleBasedStateMachine):
    """The life of one run. ``data`` are the lines that are left of it.

    How many lines a run has written by some moment depends on its threads, so no rule has a precondition: one that
    does not apply does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.world = World()

    @initialize(made=plans())
    def plan(self, made: tuple[ExecutionPlan, dict[str, Script]]) -> None:
        numbers = itertools.count()
        self.todo = made[0]
        self.scripts = {task: _named_apart(script, numbers) for task, script in made[1].items()}
        self.task_of = {name: task for task, script in self.scripts.items() for name in _acts(script)}
        whole = World()
        undisturbed = self._bench(whole).run()
        self.hash, self.done = undisturbed.replay_hash, whole.done
        self.lines = len(undisturbed.ledger.splitlines())

    def _bench(self, world: Any, workers: int = 1, **more: Any) -> Bench:
        options = Options(workers=workers, backoff=1)
        return Bench(self.todo, body(self.scripts), act=world, options=options, group=False, **more)

    @property
    def is_closed(self) -> bool:
        return b'"kind":"run.closed"' in self.data

    @property
    def has_begun(self) -> bool:
        return b'"kind":"plan"' in self.data

    @rule(lines=st.integers(0, 1000))
    def is_cut_off(self, lines: int) -> None:
        if self.is_closed:
            return
        self._go_on(Crash(2 + lines % self.lines), {})

    @rule(torn=st.binary(max_size=40))
    def is_found_torn(self, torn: bytes) -> None:
        """Invariant 4: what was never promised goes, and nothing else."""
        if self.is_closed:
            return
        found = find_tail(self.data + torn.replace(b"\n", b""))
        assert found.offset == len(self.data)

    @rule(workers=st.sampled_from([1, 1, 3]))
    def comes_to_its_end(self, workers: int) -> None:
        if self.is_closed:
            return
        for _ in range(12):
            answers: dict[str, Answer] = {}
            if self.has_begun:
                recorded, doubtful = acts_on_record(self.data)
                answers = {
                    task: "done" if self.world.done[name] > recorded[name] else "retry" for task, name in doubtful
                }
            self._go_on(Crash(100_000), answers, workers)
            if self.is_closed:
                break
        assert self.is_closed

    def _go_on(self, storage: Crash, answers: dict[str, Answer], workers: int = 1) -> None:
        bench = self._bench(self.world, workers, storage=storage)
        try:
            if self.has_begun:
                storage.data += self.data
                bench.resume(self.data, by_task=answers, keep=True)
            else:
                bench.run()
        except StorageFailed:
            pass
        self.data = bytes(storage.data)

    @rule()
    def ends_as_if_undisturbed(self) -> None:
        """Invariants 5 and 7."""
        if not self.is_closed:
            return
        assert json.loads(self.data.splitlines()[-1])["replay_hash"] == self.hash
        repeatable = {task.id for _, task in self.todo.tasks() if task.idempotent}
        for name in self.task_of:
            times = self.world.done[name]
            assert times == self.done[name] or (self.task_of[name] in repeatable and times > self.done[name])

    @rule()
    def is_replayed(self) -> None:
        """Invariant 6, and 5 again."""
        if not self.is_closed:
            return
        before = Counter(self.world.done)
        assert self._bench(_never).redrive(self.data).replay_hash == self.hash
        assert self.world.done == before

    @rule(at=st.integers(0, 1 << 20), bit=st.integers(0, 7))
    def is_forged(self, at: int, bit: int) -> None:
        """Invariant 4: a changed byte is found, at its line or the next; any prefix of lines is a prefix."""
        if not self.has_begun:
            return
        at %= len(self.data)
        forged = bytearray(self.data)
        forged[at] ^= 1 << bit
        line = self.data.count(b"\n", 0, at) + 1
        with pytest.raises(LedgerInvalid) as found:
            list(chained_lines(io.BytesIO(bytes(forged))))
        assert line <= found.value.line <= line + 1
        prefix = self.data[: self.data.rfind(b"\n", 0, at) + 1]
        assert sum(1 for _ in chained_lines(io.BytesIO(prefix))) == prefix.count(b"\n")

    @rule(pattern=st.sampled_from(["*", "a*", "b?", "instead", "nothing"]), exclude=st.sampled_from(["", "a1", "b*"]))
    def is_granted_less(self, pattern: str, exclude: str) -> None:
        """Invariant 2, over the accesses on record."""
        if not self.has_begun:
            return
        (wide,) = ALLOWED
        narrow = wide.attenuate(Permit(("test.*",), (pattern,), exclude=(exclude,) if exclude else ()))
        for intent in self._intents():
            name = intent["envelope"]["args"]["name"]
            access = Access(intent["envelope"]["effect"], intent["envelope"]["effect"], name)
            if narrow.mismatch(access, _WHO, intent["at"], 0) is None:
                assert wide.mismatch(access, _WHO, intent["at"], 0) is None

    @rule()
    def is_read_again(self) -> None:
        """Invariant 9: what was decoded is encoded to the same."""
        if not self.has_begun:
            return
        for line in read_lines(io.BytesIO(self.data), RUN_CODEC):
            value = RUN_CODEC.encode_entry(line.entry)
            assert RUN_CODEC.decode(value, type(line.entry), "") == line.entry

    @rule(text=st.text(st.sampled_from("#`- QueueATSK01<>*\n:\t—"), max_size=120))
    def is_planned(self, text: str) -> None:
        """Invariant 8: a plan, the same each time, or diagnostics with lines."""
        ends = []
        for _ in range(2):
            try:
                ends.append(repr(plan_bytes(text.encode(), "sot.md").plan))
            except InvalidInput as error:
                places = [one.line for one in error.diagnostics]
                ends.append(f"{min(places) >= 1} {error}")
        assert ends[0] == ends[1]
        assert not ends[0].startswith("False")

    def _intents(self) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.data.splitlines()) if line["kind"] == "effect.intent"]

    @invariant()
    def every_effect_was_granted(self) -> None:
        """Invariant 1: nothing was done without an intent that allows it, and a permit that covers it."""
        allowed = Counter(one["envelope"]["args"]["name"] for one in self._intents() if one["allow"])
        assert not {name for name in self.world.done if name not in allowed and name in self.task_of}
        assert "forbidden" not in self.world.done

    @invariant()
    def nobody_used_more_than_was_reserved(self) -> None:
        """Invariant 3, as the record has it."""
        reserved: dict[Position, Budget] = {}
        for line in read_lines(io.BytesIO(self.data), RUN_CODEC):
            if isinstance(line.entry, EffectIntent) and line.entry.allow:
                reserved[line.entry.position] = line.entry.reservation
            elif isinstance(line.entry, EffectOutcome) and line.entry.position in reserved:
                assert line.entry.usage <= reserved[line.entry.position]

    @invariant()
    def the_chain_holds(self) -> None:
        """Invariant 4: a run that is closed verifies."""
        if self.is_closed:
            assert verify(io.BytesIO(self.data), RUN_CODEC).state == "closed"


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=examples(60), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
