"""The command line on a terminal: a real one (a pty), whose screen stands in memory."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import pyte

from tests.integration.cli import TEK_RUNNER

PROMPT = b"(no): "
OUTSIDE = ("CI", "GITHUB_ACTIONS", "NO_COLOR", "COLUMNS", "LINES")
"""What the place where tests run would say about its own terminal."""


@attrs.frozen
class Session:
    """How a call went: its exit code, every byte that it wrote, and the screens that were seen on the way."""

    code: int
    raw: bytes
    screens: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """All lines that were ever on a screen, and the last screen after them."""
        return "\n".join("\n".join(screen) for screen in self.screens)

    @property
    def last(self) -> tuple[str, ...]:
        """The last screen, without empty lines."""
        return tuple(line for line in self.screens[-1] if line)


def at_terminal(
    *words: str | Path,
    cwd: Path,
    answers: Sequence[str] = (),
    columns: int = 80,
    lines: int = 50,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (TEK_RUNNER,),
    beside: Callable[[subprocess.Popen[bytes]], None] = lambda child: None,
    timeout: float = 60,
) -> Session:
    """Call ``tek-runner`` at a terminal and give each answer once it is asked for. ``beside`` runs beside it."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    base = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    child = subprocess.Popen(
        ["setsid", "--ctty", *program, *map(str, words)],  # so that Ctrl-C reaches it
        cwd=cwd,
        env={**base, "TERM": "xterm-256color", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    other = threading.Thread(target=beside, args=(child,))
    other.start()
    screen = pyte.HistoryScreen(columns, lines, history=10_000)
    stream = pyte.ByteStream(screen)
    raw, given, screens = b"", 0, list[tuple[str, ...]]()
    deadline = time.monotonic() + timeout
    try:
        while data := _read(ours, deadline):
            raw += data
            stream.feed(data)
            shown = tuple(line.rstrip() for line in screen.display)
            if not screens or shown != screens[-1]:
                screens.append(shown)
            if given < len(answers) and raw.count(PROMPT) > given:
                os.write(ours, answers[given].encode())
                given += 1
        code = child.wait(max(0.1, deadline - time.monotonic()))
    finally:
        os.close(ours)
        if child.poll() is None:
            child.kill()
            child.wait()
        other.join()
    assert b"Traceback" not in raw, raw.decode("utf-8", "replace")
    return Session(code, raw, tuple(screens))


def _read(terminal: int, deadline: float) -> bytes:
    ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
    assert ready, "the terminal fell silent"
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""  # the other side has gone
