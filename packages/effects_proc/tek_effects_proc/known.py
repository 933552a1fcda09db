"""What no command may write and was there before any command could have made it: one account for a whole run.

A command alone cannot tell: what another one made a moment ago looks to it as if it had always been there.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from tek_effects_proc.layout import Layout
from tek_effects_proc.marked import Identity, Marked
from tek_effects_proc.straight import status_of
from tek_kernel import file_clock_grain_ns


class Known:
    """The identities that are trusted. Thread-safe.

    Trusted is what is seen while no command runs, what has not changed since the first one was started, and what
    stands in no tree that a command was given to write.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identities: set[Identity] = set()
        self._given = Counter[str]()
        self._running = 0
        self._since = 0

    def begin(self, look: Callable[[], Layout], trees: Iterable[str]) -> tuple[Layout, dict[str, Identity]]:
        """Count a command that may write ``trees``, by their real paths, as running. Return what ``look`` finds for it,
        with what in it is not trusted.

        ``end`` must follow, unless this raises what ``look`` does.
        """
        own = frozenset(trees)
        with self._lock:
            self._given.update(own)
            if self._running == 0:
                self._since = self._since or time.time_ns() - file_clock_grain_ns()
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
            others = [tree for tree, count in self._given.items() if count > (tree in own)]
            new = {path: identity for path, identity in found.items() if identity not in self._identities}
            recent = {p: identity for p, identity in new.items() if _is_inside(p, others) and self._is_recent(p)}
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


def _is_inside(path: str, trees: Iterable[str]) -> bool:
    return any(tree == "/" or path.startswith(tree + "/") for tree in trees)


def _closed(marked: Marked) -> dict[str, Identity]:
    return {**marked.sealed, **marked.protected}
