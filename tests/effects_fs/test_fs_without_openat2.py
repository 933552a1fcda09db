"""A process whose seccomp filter forbids openat2, as a container's may: every effect works and nothing escapes."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = ["confinement", "reading", "writing", "names", "copying", "globbing"]

FILTERED = """
import ctypes, errno, os, platform, struct, sys

OPENAT2, ALLOW, ERRNO = 437, 0x7FFF0000, 0x00050000
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join(struct.pack("HBBI", *line) for line in (
    (LOAD_NUMBER, 0, 0, 0), (IF_EQUAL, 0, 1, OPENAT2), (RETURN, 0, 0, ERRNO | int(sys.argv[1])), (RETURN, 0, 0, ALLOW),
))


class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


prctl = ctypes.CDLL(None, use_errno=True).prctl
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
assert prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert prctl(PR_SET_SECCOMP, 2, ctypes.byref(Filter(len(program) // 8, program)), 0, 0) == 0

from tek_kernel import openat2

assert not openat2.supported()
try:
    openat2._call(-1, b"/", os.O_PATH, 0, openat2.BENEATH)
except OSError as error:
    assert error.errno == int(sys.argv[1])

import pytest

sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM], ids=["missing", "forbidden"])
def test_every_case_and_every_escape_ends_as_with_openat2(tmp_path: Path, code: int) -> None:
    files = [str(HERE / f"test_fs_{case}.py") for case in CASES]
    options = ["-q", "-pno:cacheprovider", "-pno:xdist", "-knot openat2", f"--basetemp={tmp_path / 'inner'}"]
    filtered = subprocess.run(
        [sys.executable, "-c", FILTERED, str(code), *options, *files],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert filtered.returncode == 0, filtered.stdout[-4000:] + filtered.stderr[-4000:]
    assert " passed" in filtered.stdout
    assert "no openat2" not in filtered.stdout  # nothing was skipped for the lack of it
