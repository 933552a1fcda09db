"""The operating system keeps a path beneath its root."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tek_kernel.openat2 import BENEATH, Resolve, openat2


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "file").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    descriptor = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def read(root: int, path: str) -> bytes:
    with os.fdopen(openat2(root, path, os.O_RDONLY), "rb") as file:
        return file.read()


def refusal(root: int, path: str, resolve: Resolve = BENEATH) -> int | None:
    """Return the error's number, or None if the path opened."""
    try:
        os.close(openat2(root, path, os.O_PATH, resolve=resolve))
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("path", ["file", "./file", "sub/../file", "sub//..//file"])
def test_what_is_beneath_opens(root: int, path: str) -> None:
    assert read(root, path) == b"inside"


def test_a_descriptor_is_not_inherited(root: int) -> None:
    descriptor = openat2(root, "file", os.O_RDONLY)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("path", ["..", "../outside", "sub/../../outside", "/etc/passwd", "up", "absolute", "chain"])
def test_what_leads_out_does_not(root: int, tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "up").symlink_to("../outside")
    (tmp_path / "root" / "absolute").symlink_to("/etc/passwd")
    (tmp_path / "root" / "chain").symlink_to("sub/../up")
    assert refusal(root, path) == errno.EXDEV


def test_a_magic_link_is_not_followed() -> None:
    proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    for path in ("root/etc/passwd", "cwd", "fd/0"):
        assert refusal(proc, path) in (errno.ELOOP, errno.EXDEV)
    os.close(proc)


def test_a_file_is_created_with_its_mode(root: int, tmp_path: Path) -> None:
    os.close(openat2(root, "sub/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))
    assert (tmp_path / "root" / "sub" / "new").stat().st_mode & 0o777 == 0o640


def test_links_can_be_refused_altogether(root: int, tmp_path: Path) -> None:
    (tmp_path / "root" / "link").symlink_to("file")
    assert read(root, "link") == b"inside"
    assert refusal(root, "link", BENEATH | Resolve.NO_SYMLINKS) == errno.ELOOP


@pytest.mark.parametrize(("path", "problem"), [("", "not a path"), ("file\0x", "not a path"), ("\udcff", "surrogates")])
def test_what_c_would_read_as_another_path_is_refused(root: int, path: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        openat2(root, path, os.O_RDONLY)


def test_an_error_names_the_path(root: int) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        openat2(root, "nowhere", os.O_RDONLY)
