"""Reservations are hard limits: time, bytes, and a cancellation end a command at once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tek_abi import Budget
from tek_abi.vocabulary.proc import Exec
from tek_kernel.effect import Cancel, EffectCancelled, EffectError
from tests.effects_proc.commands import Commands, alive, observed, open_descriptors


def captured(commands: Commands, error: EffectError, stream: str) -> bytes:
    return commands.blobs.get(observed(error)[stream]["$blob"]["sha256"])


def test_a_timeout_ends_a_command_and_keeps_what_it_wrote(commands: Commands) -> None:
    before = time.monotonic()
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("sh", "-c", "echo begun; echo oh >&2; sleep 60"), timeout=300))
    assert 0.3 <= time.monotonic() - before < 3
    error = raised.value
    assert (error.code, error.exhausted) == ("timeout", None)
    assert captured(commands, error, "stdout") == b"begun\n"
    assert captured(commands, error, "stderr") == b"oh\n"
    assert error.usage.io == 9


def test_a_reservation_of_time_ends_a_command_as_an_exhausted_budget(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("sleep", "60"), timeout=50_000), Budget(ms=100, io=10))
    assert raised.value.code == "budget-exhausted"
    assert raised.value.exhausted is not None
    assert (raised.value.exhausted.dimension, raised.value.exhausted.limit) == ("ms", 100)


def test_unlimited_time_is_no_deadline(commands: Commands) -> None:
    assert commands.run("true", limits=Budget(ms=2**53 - 1, io=10)).code == 0


def test_output_to_the_last_byte_of_the_reservation_is_kept(commands: Commands) -> None:
    exit_ = commands.sh("printf 12345; printf 67890 >&2", Budget(ms=10_000, io=10))
    assert (exit_.stdout.read(), exit_.stderr.read()) == (b"12345", b"67890")
    assert commands.run("true", limits=Budget(ms=10_000, io=0)).code == 0


def test_one_byte_more_ends_a_command_as_an_exhausted_budget(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("printf", "12345678901")), Budget(ms=10_000, io=10))
    error = raised.value
    assert (error.code, error.usage) == ("budget-exhausted", Budget(io=10))
    assert error.exhausted is not None
    assert (error.exhausted.dimension, error.exhausted.limit) == ("io", 10)
    assert "10B" in error.message
    assert captured(commands, error, "stdout") == b"1234567890"


def test_both_streams_share_one_limit(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("sh", "-c", "printf 123456; printf 123456 >&2")), Budget(ms=10_000, io=10))
    kept = captured(commands, raised.value, "stdout") + captured(commands, raised.value, "stderr")
    assert len(kept) == 10


def test_endless_output_is_cut_and_its_writer_ended(commands: Commands) -> None:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(("yes",)), Budget(ms=20_000, io=3 * 1024 * 1024))
    assert captured(commands, raised.value, "stdout") == b"y\n" * (3 * 512 * 1024)
    assert not alive(observed(raised.value)["pid"])


def test_streams_that_are_filled_in_turns_do_not_block_each_other(commands: Commands) -> None:
    script = "import os\nfor _ in range(300): os.write(1, b'o' * 5000); os.write(2, b'e' * 7000)"
    exit_ = commands.run(sys.executable, "-c", script)
    assert exit_.stdout.read() == b"o" * 1_500_000
    assert exit_.stderr.read() == b"e" * 2_100_000


def test_fifty_megabytes_come_through_byte_by_byte(commands: Commands) -> None:
    script = (
        "import os,random,sys; r = random.Random(7)\nfor _ in range(50): sys.stdout.buffer.write(r.randbytes(10**6))"
    )
    wanted = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    exit_ = commands.run(sys.executable, "-c", script)
    assert exit_.stdout.size == 50 * 10**6
    assert exit_.stdout.sha256 == hashlib.sha256(wanted).hexdigest()


FLAT = """
import hashlib, resource, sys
from pathlib import Path
from tek_abi import Blob, Budget
from tek_abi.vocabulary.proc import Exec
from tek_kernel.effect import EffectError
from tests.effects_proc.commands import Commands, observed

class Digests:
    def put(self, data):
        return self.put_stream([data])
    def put_stream(self, chunks):
        hasher, size = hashlib.sha256(), 0
        for chunk in chunks:
            hasher.update(chunk); size += len(chunk)
        return Blob(hasher.hexdigest(), size)

commands = Commands(Path(sys.argv[1]), blobs=Digests())
commands.run("true")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try:
    commands.apply(Exec(("yes",)), Budget(ms=60_000, io=200 * 1024 * 1024))
except EffectError as error:
    assert error.code == "budget-exhausted", error
    assert error.obs["stdout"]["$blob"]["size"] == 200 * 1024 * 1024
    print(peak() - before)
"""


def test_memory_stays_flat_however_much_is_written(commands: Commands) -> None:
    root = Path(__file__).parents[2]
    run = [sys.executable, "-c", FLAT, str(commands.workspace)]
    grown = subprocess.run(run, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout
    assert int(grown) < 8 * 1024  # KiB, after 200 MiB of output


def test_a_full_spill_directory_is_told(commands: Commands, tmp_path: Path) -> None:
    there = Commands(commands.workspace, {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "nowhere")})
    with pytest.raises(EffectError, match="could not be kept in") as raised:
        there.apply(Exec(("sh", "-c", "echo $$; exec yes")))
    assert raised.value.code == "io"
    assert there.run("true").code == 0


def test_a_cancellation_from_another_thread_ends_a_command_at_once(commands: Commands) -> None:
    # Given a command that has begun
    fifo = commands.workspace / "begun"
    subprocess.run(["mkfifo", fifo], check=True)
    cancel = Cancel()
    cancelled_at: list[float] = []
    pids: list[int] = []

    def cancel_when_begun() -> None:
        pids.append(int(fifo.read_text()))
        cancelled_at.append(time.monotonic())
        cancel.cancel("race")

    canceller = threading.Thread(target=cancel_when_begun)
    canceller.start()
    # When it is cancelled
    with pytest.raises(EffectCancelled) as raised:
        commands.apply(Exec(("sh", "-c", "printf abc; sleep 0.1; echo $$ > begun; sleep 60")), cancel=cancel)
    # Then it is gone when the effect returns, which it does without delay
    assert time.monotonic() - cancelled_at[0] < 2
    canceller.join()
    assert not alive(pids[0])
    assert raised.value.usage == Budget(io=3)


def test_what_is_cancelled_already_does_not_start(commands: Commands) -> None:
    cancel = Cancel()
    cancel.cancel("interrupt")
    with pytest.raises(EffectCancelled):
        commands.apply(Exec(("touch", "started")), cancel=cancel)
    assert not (commands.workspace / "started").exists()


def test_a_token_that_is_cancelled_later_touches_nothing(commands: Commands) -> None:
    cancel = Cancel()
    commands.apply(Exec(("true",)), cancel=cancel)
    before = open_descriptors()
    with open("/dev/null", "wb") as likely_the_same_number:
        cancel.cancel("timeout")
        assert likely_the_same_number.writable()
    assert open_descriptors() == before
