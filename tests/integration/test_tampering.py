"""Whatever is changed in a ledger is found, at its line, with exit code 4."""

from __future__ import annotations

import bisect
import io
import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from tek_abi import Codec
from tek_kernel import DiskBlobs, LedgerInvalid, verify
from tests.integration.cli import plan, queue, task, tek


@attrs.frozen
class Recorded:
    """One run's ledger with its blobs."""

    directory: Path
    data: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.data.splitlines(keepends=True)

    def problem(self, data: bytes) -> LedgerInvalid | None:
        try:
            verify(io.BytesIO(data), Codec(DiskBlobs(self.directory / "blobs")))
        except LedgerInvalid as problem:
            return problem
        return None


def record(directory: Path, text: str) -> Recorded:
    plan(directory, text)
    tek("run", "--run-dir", "run", cwd=directory)
    return Recorded(directory / "run", (directory / "run" / "ledger.jsonl").read_bytes())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    text = queue(task(1, "echo one"), task(2, "exit 3", "Needs: `TASK-001`"), task(3, "echo", "Cwd: missing"))
    return record(tmp_path_factory.mktemp("small"), text)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    ids = ", ".join(f"`TASK-{number:05d}`" for number in range(2000))
    section = f"### G. Execution Queue & Task Hooks\n1. **Queue A — Many**\n- Tasks: {ids}\n"
    return record(tmp_path_factory.mktemp("large"), section)


def line_of(recorded: Recorded, offset: int) -> int:
    starts = list(itertools.accumulate(map(len, recorded.lines), initial=0))
    return bisect.bisect_right(starts, offset)


def test_the_untouched_ledgers_verify(small: Recorded, large: Recorded) -> None:
    assert small.problem(small.data) is None
    assert large.problem(large.data) is None


def test_a_change_of_any_one_byte_is_found_at_its_line(small: Recorded) -> None:
    """Sampled here; invariant 4 tries every byte of a smaller ledger."""
    dice = random.Random(1)
    for offset in sorted(dice.sample(range(len(small.data)), 300)):
        byte = small.data[offset]
        changed = bytearray(small.data)
        changed[offset] = dice.choice([other for other in range(256) if other != byte])
        problem = small.problem(bytes(changed))
        assert problem is not None, offset
        assert problem.line == line_of(small, offset), (offset, problem)


def test_changes_at_thousands_of_places_of_a_large_ledger_are_found(large: Recorded) -> None:
    dice = random.Random(2)
    lines = large.lines
    for _ in range(3000):
        number = dice.randrange(len(lines))
        line = bytearray(lines[number])
        at = dice.randrange(len(line))
        line[at] ^= dice.randrange(1, 256)
        # What stands above is intact, so a verifier that starts at the line above sees what one from the top sees.
        assert not _chain_holds(bytes(line), lines[number])
    for _ in range(5):
        offset = dice.randrange(len(large.data))
        changed = large.data[:offset] + bytes([large.data[offset] ^ 1]) + large.data[offset + 1 :]
        problem = large.problem(changed)
        assert problem is not None
        assert problem.line == line_of(large, offset)


def _chain_holds(changed: bytes, original: bytes) -> bool:
    import hashlib

    return (
        changed.endswith(b'"}\n')
        and b"\n" not in changed[:-1]
        and changed[-76:-67] == original[-76:-67]
        and hashlib.sha256(changed[:-76]).hexdigest().encode() == changed[-67:-3]
    )


def test_dropped_repeated_swapped_and_inserted_lines_are_found_at_the_first(small: Recorded) -> None:
    lines = small.lines
    for at in range(len(lines)):
        for changed, expected in (
            (lines[:at] + lines[at + 1 :], at + 1),
            (lines[: at + 1] + lines[at:], at + 2),
            ([*lines[:at], b"{}\n", *lines[at:]], at + 1),
        ):
            problem = small.problem(b"".join(changed))
            assert problem is not None
            assert problem.line == expected, problem
    for one, other in itertools.combinations(range(len(lines)), 2):
        swapped = list(lines)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        problem = small.problem(b"".join(swapped))
        assert problem is not None
        assert problem.line == one + 1


def test_a_cut_anywhere_is_found_and_a_clean_one_is_called_unfinished(small: Recorded) -> None:
    ends = set(itertools.accumulate(map(len, small.lines), initial=0))
    for cut in sorted({*random.Random(3).sample(range(len(small.data)), 200), *ends} - {len(small.data)}):
        problem = small.problem(small.data[:cut])
        assert problem is not None
        assert problem.line == line_of(small, cut)
        assert problem.unfinished == (cut in ends), cut
        assert ("unfinished" in problem.problem) == problem.unfinished


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [*lines[:4], lines[4].replace(b"a", b"b", 1), *lines[5:]], "line 5: was changed"),
        (lambda lines: [*lines[:3], *lines[4:]], "line 4: is out of order"),
        (lambda lines: lines[:-1], "unfinished"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "cut short"),
        (lambda lines: [], "unfinished"),
    ],
)
def test_replay_ends_with_4_and_names_the_line(
    small: Recorded, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    shutil.copytree(small.directory, tmp_path / "run")
    (tmp_path / "run" / "ledger.jsonl").write_bytes(b"".join(change(small.lines)))

    for how in ([], ["--verify"]):
        answer = tek("replay", "run", *how, cwd=tmp_path)
        assert answer.code == 4
        assert words in answer.err
    shown = tek("replay", "run", "--json", cwd=tmp_path)
    assert (shown.code, shown.json["status"]) == (4, "invalid")
    assert shown.json["first_problem"]["line"] >= 1


def test_a_damaged_or_missing_blob_makes_the_ledger_invalid(small: Recorded, tmp_path: Path) -> None:
    for damage in (Path.unlink, lambda path: path.write_bytes(b"other")):
        here = tmp_path / f"run-{damage}"
        shutil.copytree(small.directory, here)
        blob = next(path for path in (here / "blobs").rglob("*") if path.is_file() and path.stat().st_size)
        damage(blob)

        answer = tek("replay", here, cwd=tmp_path)

        assert answer.code == 4
        assert blob.parent.name + blob.name in answer.err
