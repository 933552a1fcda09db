"""The host of agents: starts them, turns outcomes into exceptions, judges how an attempt ended.

Runs and replays share it, so both judge alike.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import attrs

from tek_abi import Assignment, Cancelled, Denied, Drive, Failed, Ok, Outcome, TaskReport, TaskStatus
from tek_abi.canonical import MAX_INTEGER
from tek_agents.errors import EffectDenied, exception_for
from tek_agents.registry import AgentRegistry, LoadedAgent
from tek_kernel import said, short


@attrs.define
class Host:
    """Starts agents by name; each is loaded once, when it is first named."""

    registry: AgentRegistry
    _loaded: dict[str, LoadedAgent] = attrs.field(factory=dict, init=False)

    def load(self, agent: str) -> LoadedAgent:
        """Return an agent with its distribution. Raises ``UnknownAgent`` or ``BrokenAgent``."""
        found = self._loaded.get(agent)
        if found is None:
            found = self._loaded[agent] = self.registry.load(agent)
        return found

    def start(self, agent: str, assignment: Assignment) -> Coroutine[Any, Any, Any]:
        """Return the agent's coroutine for one attempt."""
        return _run(self.load(agent), assignment)

    def exception(self, outcome: Outcome) -> Exception:
        """Return what an outcome other than ok raises in the agent."""
        if isinstance(outcome, Ok):
            raise TypeError("an ok outcome is an answer, not an exception")
        assert isinstance(outcome, Denied | Failed | Cancelled)
        return exception_for(outcome)

    def conclude(self, drive: Drive) -> tuple[TaskStatus, TaskReport]:
        """Judge an attempt that has ended: the agent's own report, or what its error means.

        A task is denied only if a denial ended it (DESIGN section 8).
        """
        error = drive.error
        if error is None:
            report = _readable(drive.result)
            return report.status, report
        if isinstance(error, EffectDenied):
            return "denied", TaskReport("failed", said(error))
        return "failed", TaskReport("failed", short(f"{type(error).__name__}: {said(error)}"))


def _readable(result: object) -> TaskReport:
    """Return an agent's report as a ledger can hold it, or one that says what is wrong with it."""
    if not isinstance(result, TaskReport):
        return TaskReport("failed", f"the agent returned a {type(result).__name__}, not a TaskReport")
    status, message, progress = result.status, result.message, result.progress
    if status not in ("ok", "noop", "failed"):
        return TaskReport("failed", f"the agent's report has the status {short(repr(status))}")
    if not isinstance(message, str):
        return TaskReport("failed", f"the message of the agent's report is a {type(message).__name__}, not text")
    if type(progress) is not int or not 0 <= progress <= MAX_INTEGER:
        return TaskReport("failed", "the progress of the agent's report is not a whole number from 0")
    return TaskReport(str(status), short(str(message)), progress)  # type: ignore[arg-type]  # one of the three words


async def _run(loaded: LoadedAgent, assignment: Assignment) -> Any:
    """Call the agent inside a coroutine, so that one that is not ``async`` or fails at once fails as an attempt."""
    return await loaded.agent.run(assignment)
