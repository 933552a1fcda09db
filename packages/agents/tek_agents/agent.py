"""Agent: who carries out a task (DESIGN section 3)."""

from __future__ import annotations

from typing import Protocol

from tek_abi import Assignment, TaskReport


class Agent(Protocol):
    """Carries out tasks by asking for effects, and by nothing else.

    An agent is a pure function of its task and the outcomes of its requests: it is driven again at replay, and must
    then ask for the same. Time, randomness and environment come from ``clock``, ``random`` and ``env``.
    """

    async def run(self, task: Assignment) -> TaskReport:
        """Do the task.

        Report ``failed`` to let the task be tried again, with ``progress`` where a part need not be repeated.
        ``EffectDenied`` that is not handled ends the task as denied; any other exception ends it as failed.
        """
        ...
