"""Requests of the file effects. Paths are relative to the workspace, or absolute for the system's."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from tek_abi.blob import Blob
from tek_abi.request import Request

FileKind = Literal["file", "directory", "symlink", "other"]


@attrs.frozen
class Entry:
    """One name in a directory. ``size`` is in bytes, 0 for what is not a regular file."""

    name: str
    kind: FileKind
    size: int = 0


@attrs.frozen
class Status:
    """What a path is. ``mode`` are the permission bits. Times are left out: they would differ from run to run."""

    kind: FileKind
    size: int
    mode: int


@attrs.frozen
class Digest:
    """What a file's contents are, without the contents. ``sha256`` is in lowercase hex, ``size`` in bytes."""

    sha256: str
    size: int


@attrs.frozen
class Read(Request[Blob]):
    """The contents of a regular file."""

    effect: ClassVar[str] = "fs.read"
    output: ClassVar[type] = Blob
    path: str


@attrs.frozen
class Write(Request[None]):
    """Replace or create a file atomically. Modes are kept; a new file gets ``mode`` or 0644."""

    effect: ClassVar[str] = "fs.write"
    output: ClassVar[type] = type(None)
    path: str
    data: Blob
    mode: int | None = None


@attrs.frozen
class Append(Request[None]):
    """Add to the end of a file, creating it where it is missing."""

    effect: ClassVar[str] = "fs.append"
    output: ClassVar[type] = type(None)
    path: str
    data: Blob


@attrs.frozen
class List(Request[tuple[Entry, ...]]):
    """The names in a directory, sorted."""

    effect: ClassVar[str] = "fs.list"
    output: ClassVar[object] = tuple[Entry, ...]
    path: str = "."


@attrs.frozen
class Glob(Request[tuple[str, ...]]):
    """The paths that match a pattern of the form that permits have, sorted: relative, or absolute for the system's.

    ``**`` is any number of directories (none too), ``*`` and ``?`` stay within a name, a leading dot is like any other
    character. Symlinks are named and not followed; what the task may not read is left out.
    """

    effect: ClassVar[str] = "fs.glob"
    output: ClassVar[object] = tuple[str, ...]
    pattern: str


@attrs.frozen
class Hash(Request[Digest]):
    """Digest and size of a regular file. Its contents are not recorded."""

    effect: ClassVar[str] = "fs.hash"
    output: ClassVar[type] = Digest
    path: str


@attrs.frozen
class Stat(Request[Status]):
    """What a path is, without following a final symlink."""

    effect: ClassVar[str] = "fs.stat"
    output: ClassVar[type] = Status
    path: str


@attrs.frozen
class Copy(Request[Digest]):
    """Replace or create ``target`` atomically with the contents of the file ``source``; tells what they were.

    A target that is there keeps its mode, a new one gets the source's, without set-id bits.
    """

    effect: ClassVar[str] = "fs.copy"
    output: ClassVar[type] = Digest
    source: str
    target: str


@attrs.frozen
class Mkdir(Request[None]):
    """Make a directory and its parents; one that is there already is fine."""

    effect: ClassVar[str] = "fs.mkdir"
    output: ClassVar[type] = type(None)
    path: str


@attrs.frozen
class Remove(Request[None]):
    """Remove a file, a symlink or an empty directory."""

    effect: ClassVar[str] = "fs.remove"
    output: ClassVar[type] = type(None)
    path: str


@attrs.frozen
class Rename(Request[None]):
    """Move ``source`` to ``target``, replacing a file that is there."""

    effect: ClassVar[str] = "fs.rename"
    output: ClassVar[type] = type(None)
    source: str
    target: str
