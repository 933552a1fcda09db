"""The security decision of the file effects: where a path really leads, and whether that is granted.

A permit speaks of names, but a symlink or a rename may change what a name means. So nothing is touched by its name:
every path that reaches the operating system is a ``Beneath``, a directory descriptor and a path relative to it, opened
by openat2. ``Roots`` resolves a request's path in this way, asks where the descriptor that came of it really is, and
has that place judged by the permits again. What passes is a ``Found`` or a ``Place``; these are the only ways to a file
that the effects have.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from tek_abi import Access, PatternError, Permit
from tek_abi.pattern import SYSTEM, WORKSPACE, canonical_path
from tek_abi.permit import show_path, show_rule
from tek_kernel.effect import EffectError, EffectRefused
from tek_kernel.openat2 import BENEATH, Resolve, openat2

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_RULES = {WORKSPACE: BENEATH, SYSTEM: Resolve.IN_ROOT | Resolve.NO_MAGICLINKS}
_NO_SYMLINKS = BENEATH | Resolve.NO_SYMLINKS
_PROCESS = re.compile(r"/proc/\d+(?:/|$)")


@attrs.frozen
class Claim:
    """The accesses that a request makes to one path, the permits that cover them, and who judges any further one.

    ``path`` is what the user wrote, for messages.
    """

    path: str
    accesses: tuple[Access, ...]
    permits: tuple[Permit, ...]
    covers: Callable[[Access], bool]

    @property
    def resource(self) -> str:
        """The canonical path that was permitted before the effect began."""
        return self.accesses[0].resource

    def check(self, real: str, size: int | None = None) -> None:
        """Raise ``EffectRefused`` unless the permits cover the real location ``real`` too.

        ``size`` is how many bytes the effect moves there, where nobody could know before.
        """
        for access in self.accesses:
            needed = attrs.evolve(access, resource=real, bytes=access.bytes if size is None else size)
            if not self._granted(needed, size) and not self.covers(needed):
                raise EffectRefused(needed, self._refusal(needed))

    def covered(self, resource: str) -> bool:
        """Whether the permits cover a further place as they do the claim's own."""
        return all(self.covers(attrs.evolve(access, resource=resource)) for access in self.accesses)

    def _granted(self, needed: Access, size: int | None) -> bool:
        if needed.resource != self.resource:
            return False
        caps = (permit.max_bytes() for permit in self.permits)
        return size is None or all(cap is None or size <= cap for cap in caps)

    def _refusal(self, needed: Access) -> str:
        what = f"needs {show_path(needed.resource)}, where it really leads,"
        if needed.resource == self.resource:
            what = f"moves {needed.bytes} bytes, which"
        return f"{self.path}: {what} its permits do not cover; grant {show_rule(needed)} if that is meant"


@attrs.frozen
class Beneath:
    """A path seen from an open directory, and what its resolution may do: by default it follows no symlink."""

    directory: int
    path: str
    rules: Resolve = _NO_SYMLINKS

    def open(self, flags: int, mode: int = 0) -> int:
        """Open it without ever leaving its directory. Raises ``OSError`` as ``openat2`` does."""
        return openat2(self.directory, self.path, flags, mode, self.rules)


@attrs.frozen
class Found:
    """Something that is there and granted: its descriptor, its canonical real location, its status."""

    fd: int
    resource: str
    status: os.stat_result


@attrs.frozen
class Place(Beneath):
    """A name in a directory, granted whether or not anything has that name: where a file may come to be.

    Everything done to it takes ``directory`` as its ``dir_fd`` and follows no symlink.
    """

    resource: str = attrs.field(kw_only=True)

    @property
    def name(self) -> str:
        """The one component of its path."""
        return self.path

    def status(self) -> os.stat_result | None:
        """Return what has the name now, ``None`` if nothing."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


class Roots:
    """The two directories that every path starts from. They are opened when first needed and stay open."""

    def __init__(self, workspace: str | os.PathLike[str]) -> None:
        self._paths = {WORKSPACE: os.path.abspath(os.fspath(workspace)), SYSTEM: "/"}
        self._descriptors: dict[str, int] = {}
        self._lock = threading.Lock()

    def resource(self, path: str) -> str:
        """Return the canonical path; an absolute one that lies in the workspace is the workspace's. Pure.

        Raises ``PatternError`` for ``..``, NUL, control characters and what has no UTF-8 form.
        """
        canonical = canonical_path(path)
        if canonical.partition("/")[0] != SYSTEM:
            return canonical
        return _located(canonical.removeprefix(SYSTEM) or "/", self._paths[WORKSPACE])

    @contextmanager
    def find(self, claim: Claim, flags: int = os.O_PATH) -> Iterator[Found]:
        """Open what the claim's path leads to. Without ``O_NOFOLLOW`` a final symlink is followed.

        ``flags`` hold ``O_PATH`` or ``O_DIRECTORY``, so that opening alone does nothing to a device or FIFO.
        Raises ``EffectRefused``, and ``OSError`` where it is missing or leads out of its root.
        """
        fd = self._open(claim.resource, flags)
        try:
            real = self._real(fd, claim.path)
            claim.check(real)
            yield Found(fd, real, os.fstat(fd))
        finally:
            os.close(fd)

    @contextmanager
    def place(self, claim: Claim, at: str | None = None, *, follow: bool = False) -> Iterator[Place]:
        """Open the directory that holds the claim's path, or ``at`` instead, a canonical path above it.

        With ``follow`` a final symlink leads to the place of what it points to. Raises as ``find`` does, and
        ``EffectError`` for a root itself or a symlink that leads nowhere.
        """
        resource = at or claim.resource
        if follow:
            resource = self._behind(claim.path, resource)
        parent, _, name = resource.rpartition("/")
        if not parent:
            raise EffectError("wrong-kind", f"{claim.path}: is a root itself; name something in it")
        directory = self._open(parent, DIRECTORY)
        try:
            real = self.within(self._real(directory, claim.path), name, claim.path)
            claim.check(real)
            yield Place(directory, name, resource=real)
        finally:
            os.close(directory)

    def within(self, directory: str, inner: str, path: str) -> str:
        """Return the canonical path of what lies at ``inner`` in a real directory; ``path`` is for messages.

        From a directory of the system one may come into the workspace, and is then judged as being there. Raises
        ``EffectError`` for what belongs to a process and for a name that no permit can hold.
        """
        root, _, above = directory.partition("/")
        joined = f"{above}/{inner}" if above else inner
        return f"{root}/{joined}" if root == WORKSPACE else self._named(f"/{joined}", path)

    def require(self, resource: str) -> None:
        """Raise ``FileNotFoundError`` where the root of a canonical path is gone."""
        _path_of(self._root(resource.partition("/")[0]))

    def _behind(self, path: str, resource: str) -> str:
        """Return where a symlink leads, anything else as it is."""
        try:
            fd = self._open(resource, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            return resource
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                return resource
        finally:
            os.close(fd)
        try:
            fd = self._open(resource, os.O_PATH)
        except FileNotFoundError:
            raise EffectError("not-found", f"{path}: is a symlink that leads nowhere; name its target") from None
        try:
            return self._real(fd, path)
        finally:
            os.close(fd)

    def _open(self, resource: str, flags: int) -> int:
        root, _, relative = resource.partition("/")
        return Beneath(self._root(root), relative or ".", _RULES[root]).open(flags)

    def _root(self, root: str) -> int:
        with self._lock:
            if root not in self._descriptors:
                fd = os.open(self._paths[root], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                self._descriptors[root] = fd
                weakref.finalize(self, os.close, fd)
            return self._descriptors[root]

    def _real(self, fd: int, path: str) -> str:
        """Return where an open file really is, as a canonical path. ``path`` is for messages."""
        return self._named(_path_of(fd), path)

    def _named(self, real: str, path: str) -> str:
        if _PROCESS.match(real):
            # /proc/self/mem and /proc/self/environ are plain files by every other measure.
            raise EffectError("not-permitted", f"{path}: belongs to a running process, which no permit grants")
        try:
            return canonical_path(_located(real, _path_of(self._root(WORKSPACE))))
        except PatternError:
            raise EffectError("unsupported", f"{path}: leads to {real!r}, a name that no permit can hold") from None


def open_inside(directory: int, relative: str) -> int:
    """Open a directory somewhere below another one, through no symlink."""
    return Beneath(directory, relative).open(DIRECTORY)


def reopen(fd: int, flags: int) -> int:
    """Open the regular file that an ``O_PATH`` descriptor holds: the file itself, whatever its name means by now."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _located(path: str, workspace: str) -> str:
    """Return an absolute path seen from the root that it belongs to."""
    inside = workspace.rstrip("/")
    if path == workspace or path.startswith(inside + "/"):
        return (WORKSPACE + path[len(inside) :]).rstrip("/")
    return (SYSTEM + path).rstrip("/")


def _path_of(fd: int) -> str:
    """Return where an open file is now. Raises ``FileNotFoundError`` where it has no name any more."""
    path = os.readlink(f"/proc/self/fd/{fd}")
    if not path.startswith("/"):
        raise OSError(errno.EXDEV, "not reachable from /", path)
    # " (deleted)" is the kernel's mark for a name that is gone, unless a file is really called that.
    if path.endswith(" (deleted)") and not os.path.samestat(os.lstat(path), os.fstat(fd)):
        raise FileNotFoundError(errno.ENOENT, "removed while it was opened", path)
    return path
