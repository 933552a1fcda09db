"""Resolution by hand gives the answers of openat2: the same file or the same error, for any tree, path and flags."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tek_kernel.openat2 import BENEATH, Resolve, openat2
from tests.effects_fs.workbench import open_descriptors, resolution

TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
IN_ROOT = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

names = st.sampled_from(["a", "b", "c"])
components = st.sampled_from(["a", "b", "c", "a", "b", "c", ".", "..", "", "none"])
paths = st.builds(
    lambda start, parts, end: (start + "/".join(parts) + end) or ".",
    st.sampled_from(["", "", "", "/"]),
    st.lists(components, min_size=1, max_size=5),
    st.sampled_from(["", "", "", "/"]),
)
nodes = st.tuples(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.sampled_from(["directory", "file", "link", "link"]), paths
)
flags = st.builds(
    lambda kind, more: kind | more,
    st.sampled_from(
        (
            *(os.O_PATH, os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND),
            *(os.O_CREAT, os.O_CREAT | os.O_RDWR, os.O_CREAT | os.O_EXCL | os.O_WRONLY),
            *(os.O_TMPFILE, os.O_TMPFILE | os.O_RDWR, TMPFILE | os.O_WRONLY),
        )
    ),
    st.sampled_from([0, 0, os.O_NOFOLLOW, os.O_DIRECTORY, os.O_NOFOLLOW | os.O_DIRECTORY]),
)
rules = st.sampled_from([BENEATH, BENEATH, IN_ROOT, IN_ROOT, BENEATH | Resolve.NO_SYMLINKS])


def plant(root: Path, tree: list[tuple[str, str, str]]) -> None:
    """Make what can be made of a list of nodes, in its order."""
    for place, kind, text in tree:
        path = root / place
        if os.path.lexists(path) or not path.parent.is_dir() or root not in (path.parent.resolve() / "x").parents:
            continue
        if kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.touch()
        else:
            path.symlink_to(text)


def names_below(top: Path) -> dict[int, str]:
    return {os.lstat(os.path.join(at, name)).st_ino: os.path.join(at, name)
            for at, directories, files in os.walk(top) for name in directories + files}  # fmt: skip


def answer(open_it: Callable[[], int], top: Path) -> tuple[object, ...]:
    """What was opened, or why not, and what came to be; that is removed again."""
    before = names_below(top)
    try:
        fd = open_it()
    except OSError as error:
        result: tuple[object, ...] = (errno.errorcode[error.errno or 0],)
    else:
        status, place = os.fstat(fd), os.readlink(f"/proc/self/fd/{fd}")
        known = status.st_ino if status.st_ino in before or place == f"{top}/root" else place.partition("#")[0]
        result = (known, status.st_mode)
        os.close(fd)
    made = sorted(path for inode, path in names_below(top).items() if inode not in before)
    for path in made:
        os.unlink(path)
    return (*result, *made)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(nodes, max_size=12), st.lists(st.tuples(paths, flags, rules), min_size=1, max_size=12))
def test_both_ways_give_one_answer(tree: list[tuple[str, str, str]], asked: list[tuple[str, int, Resolve]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        top = Path(directory)
        (top / "root").mkdir()
        (top / "a").touch()
        plant(top / "root", tree)
        root = os.open(top / "root", os.O_PATH | os.O_DIRECTORY)
        try:
            for path, how, rule in asked:
                answers = {}
                for way in ("openat2", "walk"):
                    with resolution(way):
                        answers[way] = answer(lambda: openat2(root, path, how, 0o640, rule), top)  # noqa: B023  # called at once
                assert answers["walk"] == answers["openat2"], (path, oct(how), rule)
        finally:
            os.close(root)


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    before = len(open_descriptors())
    with resolution(request.param):
        yield request.param
    assert len(open_descriptors()) == before


def outcome(root: Path, path: str, how: int = os.O_PATH, rule: Resolve = BENEATH) -> str:
    """The name of what was opened, or of the error."""
    descriptor = os.open(root, os.O_PATH)
    try:
        fd = openat2(descriptor, path, how, 0o600, rule)
        place = os.readlink(f"/proc/self/fd/{fd}")
        os.close(fd)
        return place.removeprefix(os.fspath(root))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("way")
def test_forty_links_are_followed_and_not_one_more(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    for number in range(1, 42):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert outcome(tmp_path, "40") == "/0"
    assert outcome(tmp_path, "41") == "ELOOP"
    assert outcome(tmp_path, "20/../20/.") == "/0"
    assert outcome(tmp_path, "20/../21") == "ELOOP"


@pytest.mark.usefixtures("way")
def test_a_path_that_is_too_long_is_none(tmp_path: Path) -> None:
    assert outcome(tmp_path, "./" * 2047) == ""
    assert outcome(tmp_path, "./" * 2048) == "ENAMETOOLONG"
    assert outcome(tmp_path, "x" * 255) == "ENOENT"
    assert outcome(tmp_path, "x" * 256) == "ENAMETOOLONG"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", ["self/root", "self/cwd/x", "self/exe", "self/fd/0", "self/ns/net", "thread-self/cwd"])
def test_links_that_jump_to_an_object_are_refused(path: str) -> None:
    assert outcome(Path("/proc"), path) == "ELOOP"
    assert outcome(Path("/"), f"proc/{path}", rule=IN_ROOT) == "ELOOP"


@pytest.mark.usefixtures("way")
def test_the_plain_links_of_proc_are_followed() -> None:
    assert outcome(Path("/proc"), "self/status") == f"/{os.getpid()}/status"
    assert outcome(Path("/proc"), "mounts") == f"/{os.getpid()}/mounts"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give links away")
def test_a_link_that_another_user_left_in_a_shared_directory_is_not_followed(tmp_path: Path, way: str) -> None:
    if way == "openat2" and Path("/proc/sys/fs/protected_symlinks").read_text() != "1\n":
        pytest.skip("this system follows links that others planted")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "mine").touch()
    (tmp_path / "shared" / "planted").symlink_to("mine")
    os.chown(tmp_path / "shared" / "planted", 1234, 1234, follow_symlinks=False)
    assert outcome(tmp_path, "shared/planted") == "/shared/mine"
    (tmp_path / "shared").chmod(0o1777)
    assert outcome(tmp_path, "shared/planted") == "EACCES"
    assert outcome(tmp_path, "shared/planted", os.O_PATH | os.O_NOFOLLOW) == "/shared/planted"


@pytest.mark.usefixtures("way")
def test_flags_that_mean_nothing_together_are_refused_before_the_path_is_looked_at(tmp_path: Path) -> None:
    for how in (os.O_PATH | os.O_CREAT, os.O_PATH | os.O_RDWR, TMPFILE | os.O_RDWR, os.O_TMPFILE, 1 << 30):
        assert outcome(tmp_path, "no/such/place", how) == "EINVAL"


def test_rules_that_say_nothing_of_the_root_are_refused(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_PATH)
    try:
        for rule in (Resolve(0), Resolve.NO_MAGICLINKS, BENEATH | IN_ROOT):
            with pytest.raises(ValueError, match="beneath its root or in it"):
                openat2(descriptor, ".", os.O_PATH, 0, rule)
    finally:
        os.close(descriptor)
