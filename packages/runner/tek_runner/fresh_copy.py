"""A fresh copy of a workspace, to run in for real: ``replay --live``.

No symlink is followed: links are copied as links, and one that names a place in the workspace by its absolute path
names that place in the copy. What was a run's own directory stays behind, and so does a link in the place of ``runs``,
through which the new run would be recorded elsewhere.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs

from tek_runner.inputs import UnreadableInput
from tek_runner.run_directory import LEDGER, RUNS

_LEDGER_STARTS = b'{"seq":0,'
_CHUNK = 1 << 24


@attrs.define
class Copied:
    """What a copy holds. ``left_out`` names, relative to the workspace, what stayed behind."""

    files: int = 0
    bytes: int = 0
    left_out: list[str] = attrs.field(factory=list)


def check_target(target: Path, workspace: Path) -> Path:
    """Return where a copy may be made, by its real path. Raises ``UnreadableInput`` for a place that is not new or
    empty, belongs to somebody else, or lies in the workspace.
    """
    real = Path(os.path.realpath(target))
    if real.is_relative_to(workspace) or workspace.is_relative_to(real):
        raise UnreadableInput(str(target), f"name a directory apart from the workspace {workspace}")
    if real.exists() and (not real.is_dir() or any(real.iterdir())):
        raise UnreadableInput(str(target), "is not empty; a live replay needs a new or empty directory")
    if real.exists() and real.stat().st_uid != os.geteuid():
        raise UnreadableInput(str(target), "belongs to somebody else, who could change what is copied there")
    return real


def copy_workspace(workspace: Path, target: Path) -> Copied:
    """Copy a workspace to ``target``, a real path that is new or empty: contents, modes (set-id bits left out) and
    times, and owners where the system lets. Raises ``OSError``, ``UnreadableInput`` for what is nested too deeply.
    """
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)  # nobody looks in before all modes are as they were
    copying = _Copying(workspace, target)
    try:
        copying.run()
    except RecursionError:
        raise UnreadableInput(str(workspace), "is nested too deeply to be copied") from None
    return copying.copied


@attrs.define
class _Copying:
    _workspace: Path
    _target: Path
    copied: Copied = attrs.field(factory=Copied, init=False)
    _finished: list[tuple[Path, os.stat_result]] = attrs.field(factory=list, init=False)
    """Directories get their modes and times last: filling one changes its times, and needs the right to write in it."""

    def run(self) -> None:
        for place, directories, files, fd in os.fwalk(self._workspace, onerror=_raise):
            relative = os.path.relpath(place, self._workspace)
            here = self._target if relative == "." else self._target / relative
            self._finished.append((here, os.fstat(fd)))
            for name in (*directories, *files):
                if not self._is_entered(fd, name, here, relative) and name in directories:
                    directories.remove(name)
        for path, status in reversed(self._finished):
            _finish(path, status)

    def _is_entered(self, fd: int, name: str, here: Path, relative: str) -> bool:
        """Copy one entry. Returns whether it is a directory whose entries are to be copied too."""
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        shown, path = os.path.normpath(f"{relative}/{name}"), here / name
        if stat.S_ISLNK(status.st_mode) and shown != RUNS:
            path.symlink_to(self._moved(os.readlink(name, dir_fd=fd)))
        elif stat.S_ISREG(status.st_mode):
            self._file(fd, name, path)
        elif stat.S_ISDIR(status.st_mode) and not _is_run(fd, name):
            path.mkdir(mode=0o700)
            return True
        else:
            self.copied.left_out.append(shown)
        return False

    def _moved(self, text: str) -> str:
        """Return the text of a link in the copy."""
        if os.path.isabs(text) and Path(os.path.normpath(text)).is_relative_to(self._workspace):
            return str(self._target / os.path.relpath(os.path.normpath(text), self._workspace))
        return text

    def _file(self, fd: int, name: str, path: Path) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableInput(str(path), "has become another kind of file while it was copied")
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                while count := os.sendfile(target, source, None, _CHUNK):
                    self.copied.bytes += count
            finally:
                os.close(target)
        finally:
            os.close(source)
        self.copied.files += 1
        _finish(path, status)


def _finish(path: Path, status: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode) & 0o777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_run(fd: int, name: str) -> bool:
    """Whether a directory is a run's own: it holds a ledger from its first line on."""
    try:
        ledger = os.open(f"{name}/{LEDGER}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(ledger).st_mode) and os.read(ledger, len(_LEDGER_STARTS)) == _LEDGER_STARTS
    finally:
        os.close(ledger)


def _raise(error: OSError) -> None:
    raise error
