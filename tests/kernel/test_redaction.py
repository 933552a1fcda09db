"""A redacted blob: the ledger still verifies, and all tasks but those that read it are driven again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import attrs
import pytest

from tek_abi import Assignment, Blob, Codec, ExecutionPlan, Limit, Policy, Queue, Task, TaskReport
from tek_abi.budget import UNLIMITED
from tek_kernel import (
    DiskBlobs,
    LedgerInvalid,
    RecordedBlobs,
    ReplayMismatch,
    SigningKey,
    Tombstone,
    TombstoneInvalid,
    VerifierKey,
    redrive,
    verify,
)
from tests.kernel.ledger_world import (
    AGENTS,
    LARGE,
    POLICY,
    Agent,
    Ended,
    Get,
    Host,
    Put,
    World,
    plan_of,
    pure_registry,
    run,
)

KEY = SigningKey("example.org/a", bytes(32))
AT = "2026-01-31T10:15:00.000000Z"


async def reads(assignment: Assignment) -> TaskReport:
    await Put("free/big", LARGE)
    assert await Get("free/big") == LARGE
    await Put("free/rest", "r" * 50)
    return TaskReport()


async def late(assignment: Assignment) -> TaskReport:
    """Asks for what is left of the run's ceiling, and for one byte more."""
    await Put("free/x", "x" * 100)
    with contextlib.suppress(Ended):
        await Put("free/y", "y")
    return TaskReport()


MORE: dict[str, Agent] = {**AGENTS, "reads": reads, "late": late}


@attrs.frozen
class Recorded:
    """A run with its blobs on disk."""

    world: World
    directory: Path

    def blobs(self, key: VerifierKey | None = None, run_id: str = "run-1") -> RecordedBlobs:
        return RecordedBlobs(self.directory, run_id, key)

    def redact(self, blob: Blob, key: SigningKey | None = None, run_id: str = "run-1") -> None:
        self.blobs().redact(Tombstone(run_id, blob.sha256, blob.size, AT, "why"), key)

    def redrive(self, agents: dict[str, Agent] = MORE):  # type: ignore[no-untyped-def]  # a Verification
        blobs = self.blobs()
        return redrive(self.world.file(), Codec(blobs), Host(agents), pure_registry, blobs=blobs)


def record(directory: Path, plan: ExecutionPlan, policy: Policy = POLICY) -> Recorded:
    recorded = Recorded(run(plan, MORE, policy), directory)
    for data in recorded.world.blobs.blobs.values():
        DiskBlobs(directory).put(data)
    return recorded


def stored(recorded: Recorded) -> list[Blob]:
    """The two values of over 4 KiB: the arguments of Put, the text that Get returns."""
    blobs = [Blob.of(data) for data in recorded.world.blobs.blobs.values()]
    assert len(blobs) == 2
    return blobs


def test_a_task_that_reads_it_is_left_out_and_all_others_are_driven(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("denied", "reads", "failed"))
    blob = stored(recorded)[1]
    recorded.redact(blob)
    verified = verify(recorded.world.file(), Codec(recorded.blobs()))
    assert verified.replay_hash == recorded.world.replay_hash
    assert [one.tombstone.sha256 for one in verified.redacted] == [blob.sha256]
    driven = recorded.redrive()
    assert [(task, one.tombstone.sha256) for task, one in driven.not_driven] == [("TASK-002", blob.sha256)]
    assert not recorded.blobs().path(blob.sha256).exists()


def test_what_an_agent_makes_again_is_not_missed_and_not_written(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("reads"))
    blob = stored(recorded)[0]
    recorded.redact(blob)
    before = sorted(tmp_path.rglob("*"))
    assert recorded.redrive().not_driven == ()
    assert sorted(tmp_path.rglob("*")) == before
    assert not recorded.blobs().path(blob.sha256).exists()


def test_the_others_are_still_held_to_the_record(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("denied", "reads", "failed"))
    recorded.redact(stored(recorded)[1])
    with pytest.raises(ReplayMismatch) as caught:
        recorded.redrive({**MORE, "failed": MORE["denied"]})
    assert caught.value.task == "TASK-003"


def test_a_task_that_is_left_out_still_draws_on_what_it_shared(tmp_path: Path) -> None:
    tasks = (
        Task("TASK-001", "", "foundation", agent="reads"),
        Task("TASK-002", "", "foundation", agent="late", needs=("TASK-001",)),
    )
    policy = attrs.evolve(POLICY, run=Limit(UNLIMITED, UNLIMITED, len(LARGE) + 150))
    recorded = record(tmp_path, ExecutionPlan((Queue("Queue A — Small", tasks),)), policy)
    assert b'"code":"ceiling"' in recorded.world.data
    assert recorded.redrive().not_driven == ()
    recorded.redact(stored(recorded)[1])
    assert [task for task, _ in recorded.redrive().not_driven] == ["TASK-001"]


def test_a_tombstone_counts_for_its_run_its_blob_and_its_size(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("reads"))
    one, other = stored(recorded)
    recorded.redact(one, run_id="run-2")
    with pytest.raises(LedgerInvalid, match="not one of run run-1"):
        verify(recorded.world.file(), Codec(recorded.blobs()))
    recorded.redact(Blob(one.sha256, one.size + 1))
    with pytest.raises(LedgerInvalid, match=f"has {one.size + 1} bytes"):
        verify(recorded.world.file(), Codec(recorded.blobs()))
    recorded.redact(one)
    verify(recorded.world.file(), Codec(recorded.blobs()))
    tombstone = next(tmp_path.rglob("*.redacted"))
    recorded.blobs().path(other.sha256).unlink()
    place = recorded.blobs().path(other.sha256)
    tombstone.rename(place.with_name(f"{place.name}.redacted"))
    with pytest.raises(TombstoneInvalid):
        recorded.blobs().get(other.sha256)


@pytest.mark.parametrize("field", [{"run": "a\nblob"}, {"reason": "a\nb"}, {"reason": ""}, {"at": "now"}, {"size": -1}])
def test_a_tombstones_fields_write_no_other_fields(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="single lines"):
        attrs.evolve(Tombstone("run-1", "0" * 64, 4, AT, "why"), **field).text()


def test_under_a_key_only_its_signature_counts(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("reads"))
    blob = stored(recorded)[0]
    for signer in (None, SigningKey("example.org/a", bytes([1]) * 32)):
        recorded.redact(blob, signer)
        with pytest.raises(TombstoneInvalid):
            recorded.blobs(KEY.verifier).get(blob.sha256)
    recorded.redact(blob, KEY)
    (redacted,) = verify(recorded.world.file(), Codec(recorded.blobs(KEY.verifier))).redacted
    assert redacted.signed
    (unchecked,) = verify(recorded.world.file(), Codec(recorded.blobs())).redacted
    assert not unchecked.signed


def test_a_redaction_that_was_cut_off_is_not_taken_for_one(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("reads"))
    blob = stored(recorded)[0]
    data = recorded.blobs().get(blob.sha256)
    recorded.redact(blob)
    recorded.blobs().path(blob.sha256).write_bytes(data)
    with pytest.raises(LedgerInvalid, match="redact it again to finish"):
        verify(recorded.world.file(), Codec(recorded.blobs()))


def test_a_missing_blob_without_a_tombstone_stays_a_damage(tmp_path: Path) -> None:
    recorded = record(tmp_path, plan_of("reads"))
    recorded.blobs().path(stored(recorded)[0].sha256).unlink()
    for check in (lambda: verify(recorded.world.file(), Codec(recorded.blobs())), recorded.redrive):
        with pytest.raises(LedgerInvalid, match="is missing"):
            check()
