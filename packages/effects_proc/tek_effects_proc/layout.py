"""Where a confinement stands on this machine: the directories and files to put into a command's root.

Paths are found anew for each command, for tasks change the workspace. Nothing here decides: a path that is replaced
between this look and its use is refused by the spawner, which follows no symlink.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache

import attrs

from tek_abi import TekError
from tek_abi.pattern import SYSTEM, WORKSPACE, match_path, path_pattern, static_prefix
from tek_abi.permit import show_path
from tek_effects_proc.confinement import Confinement, Region
from tek_effects_proc.marked import UNSEEN, Marked, find_marked

MAX_MATCHES = 1000
_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # a command's own, in memory


@attrs.define(str=False)
class TooManyMatches(TekError, ValueError):
    """A pattern gives a command more files than can be put into its root one by one."""

    pattern: str

    def __str__(self) -> str:
        return f"{self.pattern} matches more than {MAX_MATCHES} files; grant the whole tree (dir/**) instead"


@attrs.frozen
class Bind:
    """A file or directory of the host at its own path. ``masked`` ones are empty and closed."""

    path: str
    read: bool
    write: bool
    masked: bool = False


@attrs.frozen
class Layout:
    """A command's root. ``binds`` stand in the order in which they are mounted; ``links`` are symlinks with texts.

    ``marked`` is what was sealed within the trees that the command may write; ``missing`` are files and trees that
    are granted but not there; ``made`` the directories that had to be made.
    """

    binds: tuple[Bind, ...]
    links: tuple[tuple[str, str], ...]
    scratch: tuple[str, ...]
    marked: Marked
    missing: tuple[str, ...] = ()
    made: tuple[str, ...] = ()

    def sees(self, path: str) -> bool:
        """Whether a real absolute path is there to be read inside."""
        nearest = max((b for b in self.binds if _within(path, b.path)), key=lambda b: len(b.path), default=None)
        return nearest is not None and nearest.read and not nearest.masked


def _within(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(root + "/")


@attrs.frozen
class Ground:
    """The machine as one run sees it: where the workspace is, and what the command's home directory would be."""

    workspace: str
    home: str

    def real(self, canonical: str) -> str:
        """Return the absolute path that a canonical one stands for."""
        root, _, rest = canonical.partition("/")
        base = self.workspace if root == WORKSPACE else ""
        return f"{base.rstrip('/')}/{rest}".rstrip("/") or "/"

    def canonical(self, path: str) -> str:
        """Return how permits see an absolute path."""
        if _within(path, self.workspace):
            return (WORKSPACE + path[len(self.workspace.rstrip("/")) :]).rstrip("/")
        return (SYSTEM + path).rstrip("/")

    def shown(self, path: str) -> str:
        """Return an absolute path as people write it in a rule."""
        return show_path(self.canonical(path))

    def layout(self, confinement: Confinement) -> Layout:
        """Find everything. Makes the granted trees that are missing in the workspace. Raises ``TooManyMatches``."""
        made = tuple(self._make_missing(confinement.writes))
        links: dict[str, str] = {}
        missing: list[str] = []
        matched = set(self._matches(confinement))
        marked = find_marked(self, confinement)

        def bind(path: str, is_tree: bool) -> Bind:
            name = self.canonical(path)
            return Bind(
                path, path in matched or confinement.may_read(name, is_tree), confinement.may_write(name, is_tree)
            )

        binds = {
            path: bind(path, _is_directory(path)) for path in (*marked.sealed, *matched) if not os.path.islink(path)
        }
        granted = set(matched)
        for region, path in _grants(self, confinement):
            match _reach(path):
                case "missing":
                    missing.append(region.path)
                case ("link", link, text):
                    links[link] = text
                case "directory" if region.is_tree and path == "/":
                    for entry in os.scandir(path):
                        if entry.is_symlink():
                            links[entry.path] = os.readlink(entry.path)
                        elif entry.path not in (*UNSEEN, *_SCRATCH):
                            binds.setdefault(entry.path, bind(entry.path, entry.is_dir()))
                            granted.add(entry.path)
                case "directory" if region.is_tree:
                    binds[path] = bind(path, is_tree=True)
                    granted.add(path)
                case "file":
                    binds[path] = bind(path, is_tree=False)
                    granted.add(path)
        binds |= {path: bind(path, _is_directory(path)) for path in marked.protected if not os.path.islink(path)}
        for path in marked.hidden.keys() - granted:
            if not os.path.islink(path):
                binds[path] = Bind(path, read=False, write=False, masked=True)
        pins = self._pins((*marked.sealed, *marked.protected, *marked.hidden), confinement)
        for path in pins - binds.keys():
            binds[path] = bind(path, is_tree=True)
        in_order = sorted(binds.values(), key=lambda bind: (bind.path.rstrip("/").count("/"), bind.path))
        kept = tuple(_needed(in_order, pins))
        return Layout(kept, tuple(links.items()), self._scratch(kept), marked, tuple(missing), made)

    def _pins(self, closed: Iterable[str], confinement: Confinement) -> set[str]:
        """Return the directories above what is closed that could be moved away with it: a mount point cannot be."""
        roots = [self.real(region.path) for region in confinement.writes if region.is_tree]
        pins: set[str] = set()
        for path in closed:
            above = os.path.dirname(path)
            while above not in pins and any(above != root and _within(above, root) for root in roots):
                pins.add(above)
                above = os.path.dirname(above)
        return pins

    def _make_missing(self, writes: Iterable[Region]) -> Iterator[str]:
        for region in writes:
            path = self.real(region.path)
            if region.is_tree and region.path.startswith(WORKSPACE + "/") and not os.path.lexists(path):
                yield from _make(self.workspace, path)

    def _matches(self, confinement: Confinement) -> Iterator[str]:
        for permit in confinement.matched:
            patterns, excluded = (tuple(map(path_pattern, side)) for side in (permit.resource, permit.exclude))
            found = 0
            for path in _files(self.real(max(map(static_prefix, patterns), key=len))):
                canonical = self.canonical(path)
                if all(match_path(p, canonical) for p in patterns) and not any(
                    match_path(p, canonical) for p in excluded
                ):
                    found += 1
                    if found > MAX_MATCHES:
                        raise TooManyMatches(" & ".join(permit.resource))
                    yield path

    def _scratch(self, binds: tuple[Bind, ...]) -> tuple[str, ...]:
        """Return the directories of the command's own: not above a bind that must not be read, where the right to
        read all that is one's own would reach it.
        """
        wanted = [*_SCRATCH, self.home] if self.home.startswith("/") and self.home != "/" else list(_SCRATCH)
        return tuple(
            path
            for path in dict.fromkeys(wanted)
            if not any(_within(path, bind.path) for bind in binds)
            and not any(_within(bind.path, path) and not bind.read and not bind.masked for bind in binds)
        )


@lru_cache(maxsize=256)
def _grants(ground: Ground, confinement: Confinement) -> list[tuple[Region, str]]:
    """Return the regions with their real paths, but for those of which a root has its own, with nothing of the host."""
    regions = dict.fromkeys((*confinement.reads, *confinement.writes))
    places = [(region, ground.real(region.path)) for region in regions]
    return [(region, path) for region, path in places if not any(_within(path, unseen) for unseen in UNSEEN)]


def _needed(binds: list[Bind], pins: set[str]) -> Iterator[Bind]:
    """Leave out binds that say what the nearest one above says already, and what stays closed beneath a mask."""
    kept: list[Bind] = []
    for bind in binds:
        above = [other for other in kept if _within(bind.path, other.path)]
        nearest = above[-1] if above else None
        if nearest is not None and nearest.masked and not (bind.read or bind.write):
            continue
        if (
            bind.path in pins
            or nearest is None
            or (nearest.read, nearest.write, nearest.masked) != (bind.read, bind.write, bind.masked)
        ):
            kept.append(bind)
            yield bind


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _reach(path: str) -> str | tuple[str, str, str]:
    """Return what stands at a path, or the first symlink on the way with its text."""
    real, mode = "", stat.S_IFDIR
    try:
        for part in filter(None, path.split("/")):
            real = f"{real}/{part}"
            mode = os.lstat(real).st_mode
            if stat.S_ISLNK(mode):
                return "link", real, os.readlink(real)
    except OSError:
        return "missing"
    return "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _files(root: str) -> Iterator[str]:
    if os.path.isfile(root) and not os.path.islink(root):
        yield root
        return
    pending = [root]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path
        except OSError:
            continue


def _make(workspace: str, path: str) -> Iterator[str]:
    """Make a directory beneath the workspace, following no symlink; it belongs to whom the workspace belongs to."""
    owner = os.stat(workspace)
    fd = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        real = workspace
        for part in path[len(workspace) :].strip("/").split("/"):
            real = f"{real}/{part}"
            is_new = True
            try:
                os.mkdir(part, 0o755, dir_fd=fd)
            except FileExistsError:
                is_new = False
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = inner
            if is_new:
                if os.getuid() == 0:
                    os.fchown(fd, owner.st_uid, owner.st_gid)
                yield real
    except OSError:
        return  # it stays missing, and is said to be
    finally:
        os.close(fd)
