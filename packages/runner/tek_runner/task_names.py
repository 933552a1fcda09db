"""Which task of a run a user means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from tek_abi import TekError
from tek_runner.history import RunHistory, TaskHistory

_PREFIX: Final = "TASK-"
_CLOSE: Final = 3


@attrs.define(str=False)
class NoSuchTask(TekError, LookupError):
    """A run has no task of a name, or several that begin with it. ``close`` are ids that were meant perhaps."""

    name: str
    close: tuple[str, ...]
    is_ambiguous: bool = False

    def __str__(self) -> str:
        if self.is_ambiguous:
            return f"{self.name} may be {', '.join(self.close)}, or more; name one"
        hint = f"; did you mean {' or '.join(self.close)}?" if self.close else ""
        return f"{self.name}: the run has no such task{hint}"


def find_tasks(history: RunHistory, name: str) -> list[TaskHistory]:
    """Return the task of an id, of its number, or the only one that begins so; all of an id that stands several times.

    Raises ``NoSuchTask``.
    """
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < 9 else None
    ways: tuple[Callable[[str], bool], ...] = (
        lambda id_: id_ == name,
        lambda id_: id_.partition("#")[0] == name,
        lambda id_: number is not None and _number(id_) == number,
        lambda id_: id_.lower().startswith((name.lower(), (_PREFIX + name).lower())),
    )
    for means in ways:
        found = [task for id_, task in history.tasks.items() if means(id_)]
        ids = tuple(dict.fromkeys(task.task.id.partition("#")[0] for task in found))
        if len(ids) > 1:
            raise NoSuchTask(name, ids[:_CLOSE], is_ambiguous=True)
        if found:
            return found
    import difflib

    raise NoSuchTask(name, tuple(difflib.get_close_matches(name, history.tasks, _CLOSE)))


def _number(id_: str) -> int | None:
    digits = id_.partition("#")[0].removeprefix(_PREFIX)
    return int(digits) if digits.isascii() and digits.isdecimal() else None
