"""What no command may write and was there before any command could have made it: one account for a whole run.

A command alone cannot tell: what another one made a moment ago looks to it as if it had always been there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tek_effects_proc.layout import Layout
from tek_effects_proc.marked import Identity, Marked
from tek_effects_proc.straight import status_of

_GRAIN_NS = 20_000_000
"""How far a file's time may lie behind the clock: file systems stamp by the kernel's last tick."""


class Known:
    """The identities that are trusted. Thread-safe.

    Trusted is what is seen while no command runs, and what has not changed since the first one was started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identities: set[Identity] = set()
        self._running = 0
        self._since = 0

    def begin(self, look: Callable[[], Layout]) -> tuple[Layout, dict[str, Identity]]:
        """Count a command as running and return what ``look`` finds for it, with what in it is not trusted.

        ``end`` must follow, unless this raises what ``look`` does.
        """
        with self._lock:
            if self._running == 0:
                self._since = self._since or time.time_ns() - _GRAIN_NS
                layout = look()  # nobody else may start while it looks
                self._identities |= set(_closed(layout.marked).values())
                self._running = 1
                return layout, {}
            self._running += 1
        try:
            layout = look()
        except BaseException:
            self.end()
            raise
        found = _closed(layout.marked)
        with self._lock:
            new = {path: identity for path, identity in found.items() if identity not in self._identities}
            recent = {path: identity for path, identity in new.items() if self._is_recent(path)}
            self._identities |= set(new.values()) - set(recent.values())
        return layout, recent

    def end(self) -> None:
        """Count a command as ended, after the look that follows it."""
        with self._lock:
            self._running -= 1

    def untrusted(self, marked: Marked) -> dict[str, Identity]:
        """Return what is not trusted of what was found. What only moved with a directory above it is the same still."""
        with self._lock:
            return {path: identity for path, identity in _closed(marked).items() if identity not in self._identities}

    def _is_recent(self, path: str) -> bool:
        with suppress(OSError):
            return status_of(path).st_ctime_ns >= self._since
        return False


def _closed(marked: Marked) -> dict[str, Identity]:
    return {**marked.sealed, **marked.protected}
