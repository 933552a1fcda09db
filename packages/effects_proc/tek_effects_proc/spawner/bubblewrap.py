"""The level ``bwrap``: namespaces and mounts made by bubblewrap, where the system keeps them from ordinary programs.

bubblewrap is started with an empty environment and reads its options from a descriptor, so that no variable of the
command reaches it or stands in anybody's list of processes. It makes the root that ``mounts`` would make, but has no
Landlock: the level refuses beforehand what mounts alone cannot say.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

from tek_effects_proc.spawner import keeper, seccomp, system
from tek_effects_proc.spawner.mounts import DEVICES, LINKS, Bind, Root, root_from

_SEEN_OF_PROC = ("self", "thread-self", "mounts", "net")


class Bubblewrap:
    """One command in bubblewrap."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._root = root_from(request["root"])
        self._status = self._answers = -1

    def hold(self) -> tuple[int, ...]:
        """Make the pipe on which bubblewrap tells how far it came."""
        self._status, self._answers = os.pipe2(os.O_CLOEXEC)
        return self._status, self._answers

    def enter(self, stdout: int) -> NoReturn:
        """Become bubblewrap, which becomes the command."""
        request = self._request
        keeper.bound(request["rlimits"])
        program, argv, environment = keeper.words(request)
        options = [option.encode() for option in self._spaces()]
        # A set-id bubblewrap takes no size: a file is bounded by RLIMIT_FSIZE, all together by the system's default.
        size = () if request["bwrap"]["setuid"] else ("--size", str(request["scratch_bytes"]))
        options += [os.fsencode(option) for option in _mounts(self._root, size)]
        for name, value in environment.items():
            options += [b"--setenv", name, value]
        args = keeper.written("options", b"".join(option + b"\0" for option in options))
        launcher = request["bwrap"]["path"]
        os.execve(launcher, [b"bwrap", b"--args", b"%d" % args, b"--", program, *argv[1:]], {})  # noqa: S606  # no shell reads these words

    def end(self, command: int) -> None:
        """Kill bubblewrap; the first process of its namespace dies with it, and all others with that."""
        with suppress(ProcessLookupError):
            os.kill(command, signal.SIGKILL)

    def finish(self) -> str:
        """Tell whether bubblewrap ever came to the command: only then it says how that ended."""
        os.close(self._answers)
        if any("exit-code" in message for message in keeper.told(self._status)):
            return ""
        return "bwrap could not prepare or start the command"

    def _spaces(self) -> list[str]:
        request = self._request
        program = keeper.written("filter", seccomp.program(network=False, shared=False))
        os.set_inheritable(self._answers, True)
        spaces = [f"--unshare-{name}" for name in ("ipc", "pid", "net", "uts", "cgroup-try")]
        # A set-id bubblewrap is there because user namespaces may not be. The filter refuses to make any inside.
        spaces += [] if request["bwrap"]["setuid"] else ["--unshare-user", "--disable-userns"]
        return [
            *spaces, "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--hostname", "tek",
            "--seccomp", str(program), "--json-status-fd", str(self._answers), "--chdir", request["cwd"],
        ]  # fmt: skip


def _mounts(root: Root, size: tuple[str, ...]) -> Iterator[str]:
    """Yield what makes the root, in order, and makes all of it read-only that is not granted."""
    yield from ("--proc", "/proc")
    for name in sorted(os.listdir("/proc")):
        path = f"/proc/{name}"
        if not name.isdecimal() and name not in _SEEN_OF_PROC:
            yield from _masked(path, stat.S_ISDIR(os.lstat(path).st_mode))
    # bubblewrap's own first process, which has the same user.
    yield from _masked("/proc/1", is_dir=True)
    for name in DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    for name, text in LINKS:
        yield from ("--symlink", text, f"/dev/{name}")
    for path in root.scratch:
        mode = "0700" if path == root.home else "1777"
        yield from ("--perms", mode, *size, "--tmpfs", path)
    for bind in root.binds:
        yield from _bound(bind)
    for path, text in root.links:
        if not _within(path, root.binds):
            yield from ("--symlink", text, path)
    if not _within(root.cwd, root.binds):
        yield from ("--dir", root.cwd)
    yield from ("--remount-ro", "/")


def _bound(bind: Bind) -> Iterator[str]:
    fd = system.open_path(bind.path)
    if bind.masked:
        yield from _masked(bind.path, stat.S_ISDIR(os.fstat(fd).st_mode))
        os.close(fd)
        return
    os.set_inheritable(fd, True)
    yield from ("--bind-fd" if bind.write else "--ro-bind-fd", str(fd), bind.path)


def _masked(path: str, is_dir: bool) -> tuple[str, ...]:
    """Cover a path by what is empty and cannot be opened: a device is nothing on a mount without devices."""
    if is_dir:
        return "--perms", "0000", "--tmpfs", path, "--remount-ro", path
    return "--ro-bind", "/dev/null", path


def _within(path: str, binds: tuple[Bind, ...]) -> bool:
    return any(path == bind.path or path.startswith(bind.path + "/") for bind in binds)
