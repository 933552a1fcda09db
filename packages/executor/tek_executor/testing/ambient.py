"""Ambient sources: what an agent could reach without asking, and so without permit, record or replay.

In-process agents are trusted code; this finds honest mistakes, such as ``time.time()`` or ``open()``, and names their
line. It sees what Python's own profiler sees: calls on the thread that steps agents.
"""

from __future__ import annotations

import datetime
import gc
import os
import random
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import attrs

from tek_abi import Drive

_INSTEAD: Final = {"time": "clock.now", "random": "random.bytes", "environment": "env.get", "system": "an effect"}
_CLOCKS: Final = frozenset(
    getattr(time, name)
    for name in (
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
        "process_time_ns", "sleep", "localtime", "clock_gettime", "clock_gettime_ns",
    )
)  # fmt: skip
_DATES: Final = ("now", "utcnow", "today")
_PURE: Final = frozenset({"fspath", "strerror", "_path_normpath", "_path_splitroot", "_path_splitroot_ex"})
_SYSTEM: Final = ("posix", "_posixsubprocess", "_socket", "_thread")
_ENVIRONMENT: Final = type(os.environ).__getitem__.__code__
_STEP: Final = Drive._step.__code__  # below this frame an agent runs, and above it the one who drives it
_FINALIZE: Final = weakref.finalize.__call__.__code__
_LOADERS: Final = ("importlib._bootstrap", "importlib._bootstrap_external")
_DICE: Final = random.random.__self__  # type: ignore[attr-defined]  # the generator behind the module's functions


@attrs.frozen
class Ambient:
    """An agent went past its effects: which function it called, where, and what to ask for instead."""

    function: str
    place: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place} calls {self.function}, which no permit covers and no replay repeats; ask {self.instead}"


@contextmanager
def watched() -> Iterator[list[Ambient]]:
    """Collect what agents call past their effects on this thread."""
    found: list[Ambient] = []

    def profile(frame: FrameType, event: str, function: Any) -> None:
        source = ""
        if event == "c_call":
            source = _source(function)
        elif event == "call" and frame.f_code is _ENVIRONMENT:
            source = "environment"
        if source and (place := _place(frame)):
            name = "os.environ" if source == "environment" else _name(function)
            found.append(Ambient(name, place, _INSTEAD[source]))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _source(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):
        return "time" if issubclass(owner, datetime.date) and function.__name__ in _DATES else ""
    if owner is _DICE:
        return "random"
    if function is os.urandom:
        return "random"
    if function is open:
        return "system"
    module = getattr(function, "__module__", None)
    if module == "time":
        return "time" if function in _CLOCKS else ""
    if module in _SYSTEM or type(owner).__module__ == "_socket":
        return (
            "" if function.__name__ in _PURE or (module == "_thread" and "start" not in function.__name__) else "system"
        )
    return ""


def _name(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    module = owner.__name__ if isinstance(owner, type) else getattr(function, "__module__", None) or "random"
    return f"{module.removeprefix('_').replace('posix', 'os')}.{function.__name__}()"


def _place(frame: FrameType | None) -> str:
    """Return the agent's line that a call comes from.

    Nothing for a call that is not an agent's: above its step, by an import, or where something is cleaned up, which
    happens to be wherever garbage is collected.
    """
    place, cleaning = "", {_FINALIZE, *(getattr(callback, "__code__", None) for callback in gc.callbacks)}
    while frame is not None and frame.f_code is not _STEP:
        code, module = frame.f_code, frame.f_globals.get("__name__", "")
        if module in _LOADERS or code in cleaning or code.co_name == "__del__":
            return ""
        if not place and os.path.isfile(code.co_filename) and module.partition(".")[0] not in sys.stdlib_module_names:
            place = f"{os.path.relpath(code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return place if frame is not None else ""
