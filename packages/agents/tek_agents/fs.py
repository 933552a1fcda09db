"""Files. Paths are relative to the workspace; absolute ones are the system's.

Each raises ``EffectDenied`` where no permit covers it and ``EffectFailed`` (``NotFound``, ``AlreadyExists``, ...) where
it does not succeed. A forgotten ``await`` asks for nothing.
"""

from __future__ import annotations

from tek_abi import Blob
from tek_abi.vocabulary.fs import (
    Append,
    Copy,
    Digest,
    Entry,
    Glob,
    Hash,
    List,
    Mkdir,
    Read,
    Remove,
    Rename,
    Stat,
    Status,
    Write,
)
from tek_agents.errors import NotFound

__all__ = [
    "Digest",
    "Entry",
    "Status",
    "append_bytes",
    "append_text",
    "copy",
    "exists",
    "glob",
    "hash",
    "list",
    "mkdir",
    "read_bytes",
    "read_text",
    "remove",
    "rename",
    "stat",
    "write_bytes",
    "write_text",
]


async def read_bytes(path: str) -> bytes:
    """Return the contents of a regular file."""
    return (await Read(path)).read()


async def read_text(path: str, encoding: str = "utf-8") -> str:
    """Return the contents of a text file, line ends as they are. Raises ``UnicodeDecodeError`` too."""
    return (await Read(path)).text(encoding)


async def write_bytes(path: str, data: bytes, mode: int | None = None) -> None:
    """Replace or create a file atomically. Its mode is kept; a new file gets ``mode`` or 0644."""
    await Write(path, Blob.of(data), mode)


async def write_text(path: str, text: str, mode: int | None = None) -> None:
    """Replace or create a file atomically with ``text`` in UTF-8. A new file gets ``mode`` or 0644."""
    await write_bytes(path, text.encode(), mode)


async def append_bytes(path: str, data: bytes) -> None:
    """Add to the end of a file, creating it where it is missing."""
    await Append(path, Blob.of(data))


async def append_text(path: str, text: str) -> None:
    """Add ``text`` in UTF-8 to the end of a file, creating it where it is missing."""
    await append_bytes(path, text.encode())


async def list(path: str = ".") -> tuple[Entry, ...]:  # noqa: A001  # read as fs.list
    """Return the names in a directory with their kinds and sizes, sorted."""
    return await List(path)


async def glob(pattern: str) -> tuple[str, ...]:
    """Return the paths that match, sorted: ``src/**/*.py`` finds files of Python at every depth of ``src``.

    ``**`` is any number of directories (none too), ``*`` and ``?`` stay within a name and match a leading dot as well.
    Symlinks are named and not followed; what the task may not read is left out. Nothing there gives no paths.
    """
    return await Glob(pattern)


async def hash(path: str) -> Digest:  # noqa: A001  # read as fs.hash
    """Return SHA-256 and size of a regular file, whose contents are then not kept in the ledger's store."""
    return await Hash(path)


async def stat(path: str) -> Status:
    """Return what a path is, without following a final symlink."""
    return await Stat(path)


async def exists(path: str) -> bool:
    """Whether there is something at ``path``; a symlink counts, wherever it leads."""
    try:
        await Stat(path)
    except NotFound:
        return False
    return True


async def copy(source: str, target: str) -> Digest:
    """Replace or create the file ``target`` atomically with the contents of ``source``; return what they were.

    A target that is there keeps its mode, a new one gets the source's, without set-id bits.
    """
    return await Copy(source, target)


async def mkdir(path: str) -> None:
    """Make a directory and its parents; one that is there already is fine."""
    await Mkdir(path)


async def remove(path: str) -> None:
    """Remove a file, a symlink or an empty directory."""
    await Remove(path)


async def rename(source: str, target: str) -> None:
    """Move ``source`` to ``target``, replacing a file that is there."""
    await Rename(source, target)
