"""Tasks, steps, positions, reports: values that would crash or skip work later cannot be made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_abi import (
    CODEC,
    LAYERS,
    TASK_STATUSES,
    Assignment,
    Codec,
    DecodeError,
    MemoryBlobs,
    Policy,
    Position,
    Queue,
    RunSummary,
    Step,
    Task,
    TaskReport,
    TaskStatus,
    Value,
    ValueNotAllowed,
    digest,
    layer_of,
)
from tek_abi.codec import INLINE_LIMIT
from tek_agents.testing.strategies import positions, texts, values

TASK = Task("TASK-001", "a task", "foundation")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step(()),
        lambda: Task("", "t", "execution"),
        lambda: Task("T", "t", "execution", retries=-1),
        lambda: Task("T", "t", "execution", timeout=0),
        lambda: Task("T", "t", "execution", timeout=-5),
        lambda: TaskReport(progress=-1),
        lambda: Assignment(TASK, attempt=0),
        lambda: Assignment(TASK, progress=-1),
    ],
)
def test_data_that_would_crash_or_skip_work_later_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"empty|number|must be >= 0"):
        make()


@pytest.mark.parametrize(
    ("task", "layer"),
    [
        ("TASK-001", "foundation"),
        ("TASK-021", "foundation"),
        ("TASK-022", "orchestration"),
        ("TASK-030", "platform"),
        ("TASK-042#2", "services"),
        ("TASK-061", "monitoring"),
        ("TASK-062", "execution"),
        ("TASK-100", "execution"),
        ("TASK-000", "execution"),
        ("TASK-", "execution"),
        ("TASK-ab", "execution"),
        ("TASK-²", "execution"),
        ("", "execution"),
    ],
)
def test_a_tasks_number_gives_its_layer(task: str, layer: str) -> None:
    assert layer_of(task) == layer


@given(texts() | texts().map("TASK-{}".format))
def test_every_text_has_a_layer(task: str) -> None:
    assert layer_of(task) in LAYERS


@pytest.mark.parametrize(("name", "letter"), [("Queue A — Build", "A"), ("Queue AB — x", "AB"), ("", "")])
def test_a_queue_is_named_by_its_letters(name: str, letter: str) -> None:
    assert Queue(name).letter == letter


@given(positions())
def test_a_position_is_a_flat_list(position: Position) -> None:
    flat = position.to_json()
    assert flat == [position.task, position.attempt, *position.path]
    assert Position.from_json(flat) == position


@pytest.mark.parametrize(
    "flat", [None, "T", {}, [], ["T"], [1, 1], ["T", "1"], ["T", 1, -1], ["T", True], ["T", 2**53]]
)
def test_what_is_no_position_is_refused(flat: Value) -> None:
    with pytest.raises(DecodeError):
        Position.from_json(flat)


@given(st.lists(st.sampled_from(TASK_STATUSES)))
def test_a_summary_counts_statuses(statuses: list[TaskStatus]) -> None:
    summary = RunSummary.count(statuses)
    assert [getattr(summary, status) for status in TASK_STATUSES] == [statuses.count(s) for s in TASK_STATUSES]
    assert (summary.status == "ok") == (set(statuses) <= {"ok", "noop"})


@given(values(20))
def test_a_sealed_value_is_unsealed_to_the_same_under_the_same_digest(value: Value) -> None:
    codec = Codec(MemoryBlobs())
    sealed, sha256 = codec.seal(value)
    assert codec.unseal(sealed) == value
    assert sha256 == digest(value)


@pytest.mark.parametrize(("length", "inline"), [(INLINE_LIMIT - 2, True), (INLINE_LIMIT - 1, False)])
def test_a_long_value_is_stored_under_the_digest_that_it_has_inline(length: int, inline: bool) -> None:
    blobs = MemoryBlobs()
    sealed, sha256 = Codec(blobs).seal("x" * length)
    assert (sealed == "x" * length) is inline
    assert (sha256 in blobs.blobs) is not inline
    assert sha256 == digest("x" * length)


def test_a_value_that_looks_like_a_reference_is_not_taken_for_one() -> None:
    """Else an effect's answer could make the reader of a ledger take another value for it."""
    blobs = MemoryBlobs()
    other = blobs.put(b'"another value"')
    forged: Value = {"$ref": {"sha256": other.sha256, "size": other.size}}
    sealed, _ = Codec(blobs).seal(forged)
    assert Codec(blobs).unseal(sealed) == forged
    with pytest.raises(ValueNotAllowed, match="references"):
        CODEC.seal(forged)


@pytest.mark.parametrize("stored", [b"{", b"1.5", b'{"\xc3\xa9": 1}'])
def test_a_stored_value_that_is_none_is_refused(stored: bytes) -> None:
    blobs = MemoryBlobs()
    blob = blobs.put(stored)
    with pytest.raises(DecodeError):
        Codec(blobs).unseal({"$ref": {"sha256": blob.sha256, "size": blob.size}})


def test_a_missing_blob_is_named() -> None:
    with pytest.raises(LookupError, match=r"0{64} is missing"):
        Codec(MemoryBlobs()).unseal({"$ref": {"sha256": "0" * 64, "size": 1}})


def test_a_policy_is_written_with_the_permits_that_its_preset_stands_for() -> None:
    """A ledger must not change its meaning with a later version's presets."""
    encoded = CODEC.encode(Policy())
    assert isinstance(encoded, dict)
    assert len(encoded["permits"]) == len(Policy().permits)
    assert {"task", "run"} <= set(encoded)
