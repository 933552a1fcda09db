"""The root of a command: a tmpfs that holds the granted files and directories, and nothing else.

Everything is opened before the new root covers anything, by paths in which no symlink is followed. What was not named
does not exist inside.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tek_effects_proc.spawner import system
from tek_effects_proc.spawner.ahead import Origin
from tek_effects_proc.spawner.files import identity_of
from tek_effects_proc.spawner.landlock import READ, WRITE, WRITE_FILE, Ruleset

_SHM = "/dev/shm"  # noqa: S108  # within a command's root
DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"))
_SAFE = system.MOUNT_ATTR_NOSUID | system.MOUNT_ATTR_NODEV
_COVERED = "/dev"
_OWN_BYTES = 1 << 20
_OCTAL = re.compile(rb"\\([0-7]{3})")
_PSEUDO = frozenset({
    "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs",
    "bpf", "pstore", "mqueue", "hugetlbfs", "fusectl", "binfmt_misc", "autofs", "rpc_pipefs", "efivarfs", "nsfs",
})  # fmt: skip


class Bind(NamedTuple):
    """A file or directory of the host at its own path. ``masked`` ones are there, but empty and closed."""

    path: str
    read: bool = True
    write: bool = False
    masked: bool = False


class Root(NamedTuple):
    """What a command's root is made of. ``links`` are symlinks with their texts; ``scratch`` are directories of its
    own, in memory; ``cwd`` is there, if empty, whatever else is granted.
    """

    binds: tuple[Bind, ...]
    links: tuple[tuple[str, str], ...]
    scratch: tuple[str, ...]
    home: str
    cwd: str


class _Held(NamedTuple):
    """A bind whose tree is open. ``tree`` is a detached mount, ``origin`` the file or directory itself.

    ``inner`` ones stand beneath a bind because the host has mounted them there.
    """

    bind: Bind
    tree: int
    origin: int
    is_dir: bool
    inner: bool = False


class Stock(NamedTuple):
    """What every root has, made ahead: its Landlock rules, still without exceptions, and detached mounts of /dev and
    /proc, the former with where it comes from.
    """

    rules: Ruleset
    devices: int
    device_tree: int
    proc: int


def stock() -> Stock:
    """Make what every root has. Called by the first process of a new pid and mount namespace."""
    devices = system.open_path("/dev")
    proc = system.new_filesystem("proc", _SAFE | system.MOUNT_ATTR_NOEXEC, subset="pid", hidepid="ptraceable")
    return Stock(Ruleset(), devices, system.open_tree(devices, recursive=True), proc)


class Built(NamedTuple):
    """A root that can be entered: the Landlock rules that say the same, what it was made from, and its mount."""

    rules: Ruleset
    origins: tuple[Origin, ...]
    base: int


def build(root: Root, made: Stock, owner: tuple[int, int, int], points: Sequence[str]) -> Built:
    """Make the root. Its scratch has no room yet. Called with all capabilities.

    ``owner`` are the user and group of what is the command's own, and the namespace that maps owners for the runner's
    root, or -1; ``points`` are the host's mount points.
    """
    rules, devices, device_tree, proc = made
    uid, gid, userns = owner
    held = [part for bind in root.binds for part in _open(bind, userns, points)]
    origins = tuple(Origin(part.bind.path, identity_of(part.origin)) for part in held)
    # Nobody but root may write to what is not the command's own; as an ordinary user's, Landlock alone says so.
    base = system.new_filesystem("tmpfs", _SAFE, mode="0755", size=str(_OWN_BYTES))
    # In a namespace of our own, what this covers is missed by nobody, and no bind comes from there.
    system.move_mount(base, system.open_path(_COVERED))
    plan = _Tree(base)
    system.move_mount(proc, plan.point("proc", is_dir=True))
    rules.allow(plan.open("proc"), READ | WRITE_FILE)
    _scratch(plan, root, uid, gid, rules)
    shm = plan.own_tree(_SHM) if _SHM in root.scratch else -1
    system.move_mount(device_tree, plan.point("dev", is_dir=True))
    plan.foreign("dev")
    rules.allow(devices, READ | WRITE_FILE)
    if shm >= 0:
        system.move_mount(shm, plan.open(_SHM.lstrip("/")))
    covers = [_attach(plan, part, rules, root.binds) for part in held]
    for path, text in root.links:
        plan.link(path, text)
    for cover in covers:
        if cover >= 0:
            system.mount_setattr(cover, _SAFE | system.MOUNT_ATTR_RDONLY, recursive=False)
    plan.point(root.cwd.lstrip("/"), is_dir=True)
    return Built(rules, origins, base)


def abandon(made: Stock) -> None:
    """Take away a root that was begun with this stock, and is not entered."""
    if identity_of(system.open_path(_COVERED)) != identity_of(made.devices):
        system.unmount(_COVERED)


def enter(built: Built, scratch_bytes: int) -> None:
    """Make it the root of this process, with so many bytes for what is the command's own."""
    os.fchdir(built.base)
    system.pivot_root_here()
    os.chdir("/")
    system.reconfigure("/", size=str(scratch_bytes + _OWN_BYTES))


class _Tree:
    """The new root while it is built. Beneath what is mounted in it nothing is made: that would be made outside."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._made: set[str] = set()
        self._grounds: dict[str, bool] = {}

    def open(self, relative: str) -> int:
        """Return what stands at a path, in which no symlink is followed."""
        return system.open_path(relative or ".", self._base)

    def point(self, relative: str, is_dir: bool) -> int:
        """Return the place to mount on, made where the new root has none."""
        if relative and not self.is_foreign(relative):
            self._parents(relative)
            with suppress(FileExistsError):
                if is_dir:
                    os.mkdir(relative, 0o755, dir_fd=self._base)
                else:
                    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                    os.close(os.open(relative, flags, 0o644, dir_fd=self._base))
        return self.open(relative)

    def directory(self, relative: str) -> int:
        """Return a directory of the new root itself, made where it is missing, opened to be changed."""
        os.close(self.point(relative, is_dir=True))
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(relative, flags, dir_fd=self._base)

    def own_tree(self, path: str) -> int:
        """Return a detached mount of a directory of the new root itself."""
        return system.open_tree(self.open(path.lstrip("/")), recursive=False)

    def foreign(self, relative: str) -> None:
        """Note that something of the host is mounted at a path."""
        self._grounds[relative + "/" if relative else ""] = True

    def own(self, relative: str) -> None:
        """Note that something of the new root is mounted at a path, beneath what is foreign."""
        self._grounds[relative + "/"] = False

    def link(self, path: str, text: str) -> None:
        """Make a symlink, unless there is something already."""
        relative = path.lstrip("/")
        if self.is_foreign(relative):
            return
        self._parents(relative)
        with suppress(FileExistsError):
            os.symlink(text, relative, dir_fd=self._base)

    def is_foreign(self, relative: str) -> bool:
        """Whether a path lies beneath what is mounted from the host."""
        nearest = max((ground for ground in self._grounds if relative.startswith(ground)), key=len, default=None)
        return nearest is not None and self._grounds[nearest]

    def _parents(self, relative: str) -> None:
        parts = relative.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            parent = "/".join(parts[:end])
            if parent not in self._made:
                self._made.add(parent)
                with suppress(FileExistsError):
                    os.mkdir(parent, 0o755, dir_fd=self._base)


def _open(bind: Bind, userns: int, points: Sequence[str]) -> Iterator[_Held]:
    """Open a bind, and for a directory whatever is mounted beneath it."""
    origin = system.open_path(bind.path)
    is_dir = stat.S_ISDIR(os.fstat(origin).st_mode)
    if bind.masked:
        yield _Held(bind, -1, origin, is_dir)
        return
    attributes = _SAFE | (0 if bind.write else system.MOUNT_ATTR_RDONLY)
    if userns < 0:
        # A less privileged namespace may not take a mount apart from those beneath it.
        tree = system.open_tree(origin, recursive=is_dir)
        system.mount_setattr(tree, attributes, recursive=is_dir)
        yield _Held(bind, tree, origin, is_dir)
        return
    yield _Held(bind, _mapped(origin, attributes, userns), origin, is_dir)
    for path in points if is_dir else ():
        if not path.startswith(bind.path.rstrip("/") + "/"):
            continue
        below = system.open_path(path)
        inner_dir = stat.S_ISDIR(os.fstat(below).st_mode)
        yield _Held(bind._replace(path=path), _mapped(below, attributes, userns), below, inner_dir, inner=True)


def _mapped(fd: int, attributes: int, userns: int) -> int:
    tree = system.open_tree(fd, recursive=False)
    try:
        system.mount_setattr(tree, attributes, recursive=False, userns=userns)
    except OSError as error:
        if error.errno != errno.EINVAL or not attributes & system.MOUNT_ATTR_RDONLY:
            raise
        # A file system that cannot map owners is read as a stranger, which may do less.
        system.mount_setattr(tree, attributes, recursive=False)
    return tree


def mount_points(mountinfo: bytes) -> list[str]:
    """Return where file systems that hold files are mounted, in the order of their depth (proc_pid_mountinfo(5))."""
    found = (point for point, kind in _mounted(mountinfo) if kind not in _PSEUDO)
    return sorted(dict.fromkeys(found), key=lambda point: point.count("/"))


def _mounted(mountinfo: bytes) -> Iterator[tuple[str, str]]:
    """Yield where something is mounted, and the type of its file system, in the order of mounting."""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(b" - ")
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields.split(b" ")[4])
        yield os.fsdecode(point), rest.partition(b" ")[0].decode()


def cover_devices() -> None:
    """Put in place of this namespace's /dev what commands find there, once for all: copies of it cost little.

    Nothing of it can be changed: its directory is read-only, and its devices forget.
    """
    trees = [(name, system.open_tree(system.open_path(f"/dev/{name}"), recursive=False)) for name in DEVICES]
    _leave_out_pseudo()
    base = system.new_filesystem("tmpfs", _SAFE | system.MOUNT_ATTR_NOEXEC, mode="0755", size="64k")
    system.move_mount(base, system.open_path("/dev"))
    plan = _Tree(base)
    for name, tree in trees:
        system.mount_setattr(tree, system.MOUNT_ATTR_NOSUID | system.MOUNT_ATTR_NOEXEC, recursive=False)
        system.move_mount(tree, plan.point(name, is_dir=False))
    for name, text in LINKS:
        plan.link(name, text)
    plan.point(os.path.basename(_SHM), is_dir=True)
    system.mount_setattr(base, _SAFE | system.MOUNT_ATTR_NOEXEC | system.MOUNT_ATTR_RDONLY, recursive=False)


def _leave_out_pseudo() -> None:
    """Take away what every root has of its own or not at all: each begins as a copy of all that is mounted here.

    In a namespace of an ordinary user mounts cannot be taken apart, and all stay.
    """
    with open("/proc/self/mountinfo", "rb") as file:
        points = [point for point, kind in _mounted(file.read()) if kind in _PSEUDO and point != "/proc"]
    for point in points:
        with suppress(OSError):
            system.unmount(point)


def _scratch(tree: _Tree, root: Root, uid: int, gid: int, rules: Ruleset) -> None:
    """Make the directories that are the command's own, and vanish with it."""
    for path in root.scratch:
        fd = tree.directory(path.lstrip("/"))
        os.fchown(fd, uid, gid)
        os.fchmod(fd, 0o700 if path == root.home else 0o1777)
        rules.allow(fd, READ | WRITE)


def _attach(tree: _Tree, part: _Held, rules: Ruleset, binds: Sequence[Bind]) -> int:
    """Put a bind in its place. Returns the mount of a cover that is still to be made read-only, else -1."""
    bind = part.bind
    relative = bind.path.lstrip("/")
    point = tree.point(relative, part.is_dir)
    # What the host has mounted there covers another directory, which nobody can move away.
    if tree.is_foreign(relative) and not part.inner and identity_of(point) != identity_of(part.origin):
        raise OSError(errno.ESTALE, "it was replaced while the command was being started", bind.path)
    if bind.masked:
        holds = any(other.path.startswith(bind.path + "/") for other in binds)
        cover = _empty(part.is_dir, "0111" if holds else "0000")
        system.move_mount(cover, point)
        tree.own(relative)
        return cover
    system.move_mount(part.tree, point)
    tree.foreign(relative)
    rules.allow(part.origin, (READ if bind.read else 0) | (WRITE if bind.write else 0))
    return -1


def _empty(is_dir: bool, mode: str) -> int:
    """Return a mount of what is empty and cannot be opened. What is mounted in it needs a mode to be passed through."""
    cover = system.new_filesystem("tmpfs", _SAFE, mode=mode, size="64k", nr_inodes="1024")
    if not is_dir:
        os.close(os.open("none", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0, dir_fd=cover))
        cover = system.open_tree(system.open_path("none", cover), recursive=False)
    return cover


def root_from(value: dict[str, Any]) -> Root:
    """Read a root as a request carries it."""
    return Root(
        tuple(Bind(*bind) for bind in value["binds"]),
        tuple((path, text) for path, text in value["links"]),
        tuple(value["scratch"]),
        value["home"],
        value["cwd"],
    )
