"""Storage on disk: exclusive files, whole blobs, and a full disk that is told as such."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tek_kernel import DiskBlobs, LedgerFile, StorageFailed


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_ledgers_file_is_never_shared(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.jsonl")
    file.write(b"one\n")
    file.write(b"two\n")
    file.sync()
    file.close()
    with pytest.raises(FileExistsError):
        LedgerFile(tmp_path / "ledger.jsonl")
    assert (tmp_path / "ledger.jsonl").read_bytes() == b"one\ntwo\n"


def test_a_blob_stands_under_its_digest_and_nothing_else_is_left(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    blob = blobs.put(b"content")
    assert blobs.put_stream([b"con", b"tent"]) == blob
    assert blob.sha256 == hashlib.sha256(b"content").hexdigest()
    assert files(tmp_path) == [tmp_path / "sha256" / blob.sha256[:2] / blob.sha256[2:]]
    assert DiskBlobs(tmp_path).get(blob.sha256) == blob.read() == b"content"


def test_a_damaged_or_missing_blob_is_found(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    blob = blobs.put(b"content")
    blobs.path(blob.sha256).write_bytes(b"CONTENT")
    with pytest.raises(LookupError, match="damaged"):
        blobs.get(blob.sha256)
    with pytest.raises(LookupError, match="missing"):
        blobs.get("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "0" * 63, "A" * 64, ""])
def test_only_a_digest_names_a_blob(tmp_path: Path, name: str) -> None:
    with pytest.raises(LookupError):
        DiskBlobs(tmp_path).get(name)


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        DiskBlobs(tmp_path).put_stream(broken())
    assert files(tmp_path) == []


def test_a_blob_that_cannot_be_stored_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "sha256").write_bytes(b"a file where the directory belongs")
    with pytest.raises(StorageFailed):
        DiskBlobs(tmp_path).put(b"content")


def test_a_full_disk_is_a_storage_failure_and_leaves_no_half_blob(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from tek_kernel import DiskBlobs, StorageFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    DiskBlobs(Path(sys.argv[1])).put(b"x" * 100_000)
except StorageFailed:
    print("failed")
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "failed\n"
    assert files(tmp_path) == []


def test_a_blob_that_is_no_regular_file_is_missing_and_nobody_waits_for_it(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    sha256 = blobs.put(b"bytes").sha256
    path = blobs.path(sha256)
    for replace in (lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero"), lambda: path.mkdir()):
        path.unlink()
        replace()  # type: ignore[no-untyped-call]  # three calls of three types
        with pytest.raises(LookupError, match="missing"):
            blobs.get(sha256)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
            path.touch()
