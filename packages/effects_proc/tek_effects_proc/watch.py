"""Waiting for whatever comes first: the command's end, its deadline, its byte limit, or a cancellation."""

from __future__ import annotations

import array
import fcntl
import math
import os
import select
import termios
import threading
import time
from enum import Enum, auto
from typing import Protocol

from tek_effects_proc.child import Usage
from tek_effects_proc.output import Capture, Output
from tek_kernel.effect import Cancel

_LONGEST_POLL = 3_600_000  # milliseconds; poll(2) takes no more than an int


class Stop(Enum):
    """Why waiting stopped."""

    ENDED = auto()
    DEADLINE = auto()
    OUTPUT = auto()
    CANCELLED = auto()


class Running(Protocol):
    """A started command, confined or not. ``pidfd`` is readable when it has ended."""

    @property
    def pid(self) -> int:
        """Its process id, as the runner sees it."""
        ...

    @property
    def pidfd(self) -> int:
        """A descriptor of the process."""
        ...

    @property
    def stdout(self) -> int:
        """The read end of its output, which does not block."""
        ...

    @property
    def stderr(self) -> int:
        """The read end of its errors, which does not block."""
        ...

    def reap(self) -> Usage:
        """End all that is left of it and return how it ended."""
        ...

    def close(self) -> None:
        """Close the descriptors."""
        ...


class Wake:
    """A descriptor that becomes readable when a token is cancelled or somebody rings. Safe after ``close`` too."""

    def __init__(self, cancel: Cancel) -> None:
        self._lock = threading.Lock()
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        cancel.on_cancel(self.ring)

    def ring(self) -> None:
        """Wake the one who watches. Any thread may."""
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        """Close the descriptor."""
        with self._lock:
            os.close(self.fd)
            self.fd = -1


def watch(child: Running, output: Output, deadline: float, wake: int) -> Stop:
    """Read output until something makes it stop. ``deadline`` is in seconds of the monotonic clock."""
    streams = {child.stdout: output.stdout, child.stderr: output.stderr}
    poll = select.poll()
    for descriptor in (child.pidfd, wake, *streams):
        poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        ready = [descriptor for descriptor, _ in poll.poll(min(math.ceil(left * 1000), _LONGEST_POLL))]
        if child.pidfd in ready:
            return Stop.ENDED
        if wake in ready:
            return Stop.OUTPUT if output.exceeded else Stop.CANCELLED
        for descriptor in ready:
            if not output.take(descriptor, streams[descriptor]):
                poll.unregister(descriptor)
        if output.exceeded:
            return Stop.OUTPUT
    return Stop.DEADLINE


def drain(child: Running, output: Output) -> None:
    """Read what the command's processes left in their pipes, and no more: nobody is waited for."""
    _drain(child.stdout, output, output.stdout)
    _drain(child.stderr, output, output.stderr)


def _drain(descriptor: int, output: Output, capture: Capture) -> None:
    there = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, there)
    left = there[0]
    while left > 0 and not output.exceeded:
        left -= output.take(descriptor, capture)
