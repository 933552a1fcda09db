"""What surrounds a workspace: files that are nobody's business, listeners that note who comes, and a look at both."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from tek_kernel.effect import Held
from tests.security.cell import Cell, Result

_PREAMBLE = """
import ctypes, errno, os, signal, socket, stat, struct, subprocess, sys, time
OUTSIDE, SECRET, TEMPORARY, RUNNER = {outside!r}, {secret!r}, {temporary!r}, {runner}
PORT, PORT6, UDP, ABSTRACT = {port}, {port6}, {udp}, {abstract!r}
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def libcall(name, *args):
    result = getattr(libc, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def told(path):
    with open(path, "rb") as file:
        return b"told" in file.read()
def attack():
"""
_END = """
try:
    print("ESCAPED" if attack() else "HELD nothing came of it")
except (OSError, ValueError, AttributeError) as error:
    print("HELD", error)
"""


_DIRECTORIES = ("ws/free", "outside/dir", "ws-evil")
_FILES = {
    "outside/secret": "told", "outside/dir/leaf": "told", "ws-evil/secret": "told", "ws/file": "own",
}  # fmt: skip
_SEALED_DIRECTORIES = ("ws/.git/hooks", "ws/.git/modules", "ws/config", "ws/runs/one", "ws/sub/.git/hooks")
_SEALED_FILES = {
    "ws/.git/config": "[core]", "ws/.git/HEAD": "ref: refs/heads/main", "ws/.git/hooks/pre-commit": "#!/bin/sh",
    "ws/sub/.git/config": "[core]", "ws/config/manifest.json": "{}", "ws/runs/one/ledger.jsonl": "told",
}  # fmt: skip
_PROTECTED = (".git", "config", "runs", "sub/.git")


class World:
    """One attack's surroundings. ``hits`` are those who reached a listener; ``sealed`` tells whether there is
    something in the workspace that stays closed within it.
    """

    def __init__(self, cell: Cell, base: Path, sealed: bool = True) -> None:
        self.cell = cell
        self.workspace = base / "ws"
        self.outside = base / "outside"
        self.hits: list[str] = []
        for directory in (*_DIRECTORIES, *(_SEALED_DIRECTORIES if sealed else ())):
            (base / directory).mkdir(parents=True)
        for file, text in {**_FILES, **(_SEALED_FILES if sealed else {})}.items():
            (base / file).write_text(text)
        cell.own(*[Path(root) / name for root, dirs, files in os.walk(base) for name in (*dirs, *files)], base)
        self._sockets: list[socket.socket] = []
        self.abstract = f"\0tek-{os.getpid()}-{id(self)}"
        self.port = self._listen(socket.AF_INET, ("127.0.0.1", 0), "tcp")
        self.port6 = self._listen(socket.AF_INET6, ("::1", 0), "tcp6")
        self.udp = self._listen(socket.AF_INET, ("127.0.0.1", 0), "udp", socket.SOCK_DGRAM)
        self._listen(socket.AF_UNIX, self.abstract, "abstract")
        self._listen(socket.AF_UNIX, str(self.workspace / "sock"), "path")
        self._listen(socket.AF_UNIX, str(self.workspace / "dgram"), "dgram", socket.SOCK_DGRAM)
        for name in ("sock", "dgram"):
            os.chmod(self.workspace / name, 0o777)
        self._temporary = tempfile.NamedTemporaryFile(prefix="tek-host-", dir="/tmp")  # noqa: SIM115  # until close
        self._before = self.fingerprint()

    def _listen(self, family: int, address: object, name: str, kind: int = socket.SOCK_STREAM) -> int:
        sock = socket.socket(family, kind)
        sock.bind(address)  # type: ignore[arg-type]  # each family has its own form
        self._sockets.append(sock)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        threading.Thread(target=self._note, args=(sock, kind, name), daemon=True).start()
        return int(sock.getsockname()[1]) if family != socket.AF_UNIX else 0

    def _note(self, sock: socket.socket, kind: int, name: str) -> None:
        with suppress(OSError):
            while True:
                if kind == socket.SOCK_STREAM:
                    sock.accept()[0].close()
                else:
                    sock.recv(16)
                self.hits.append(name)

    def attack(self, body: str, held: Held | None = None, confined: bool = True) -> Result:
        """Run the body of a Python function inside; it escapes by returning something true."""
        values = {
            "temporary": self._temporary.name,
            "outside": str(self.outside), "secret": str(self.outside / "secret"), "runner": self.cell.pid,
            "port": self.port, "port6": self.port6, "udp": self.udp, "abstract": self.abstract,
        }  # fmt: skip
        lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
        script = _PREAMBLE.format(**values) + lines + _END
        return self.cell.run(self.workspace, "/usr/bin/python3", "-c", script, held=held, confined=confined)

    def sh(self, script: str) -> Result:
        """Run a shell script inside."""
        return self.cell.run(self.workspace, "sh", "-c", script)

    def fingerprint(self) -> dict[str, tuple[object, ...]]:
        """Return what no attack may change: all that is outside, and what is protected inside."""
        places = [self.outside, self.workspace.with_name("ws-evil"), *(self.workspace / name for name in _PROTECTED)]
        seen: dict[str, tuple[object, ...]] = {}
        for place in places:
            for root, directories, files in os.walk(place):
                for name in (*directories, *files, "."):
                    path = Path(os.path.normpath(os.path.join(root, name)))
                    seen[str(path)] = _traits(path)
        return seen

    def changed(self) -> dict[str, object]:
        """Return what is not what it was."""
        now = self.fingerprint()
        return {path: now.get(path) for path in {*now, *self._before} if now.get(path) != self._before.get(path)}

    def set_ids(self) -> list[str]:
        """Return files in the workspace that would run as somebody else."""
        return [str(path) for path in self.workspace.rglob("*") if path.lstat().st_mode & 0o6000 and path.is_file()]

    def close(self) -> None:
        """Stop listening."""
        self._temporary.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _traits(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    owner = status.st_mode, status.st_uid, status.st_ino, status.st_mtime_ns, status.st_nlink
    return (*owner, content, *os.listxattr(path))
