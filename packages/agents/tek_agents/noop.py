"""NoopAgent: does nothing and says so. Dry runs and tasks without steps use it."""

from __future__ import annotations

from tek_abi import Assignment, TaskReport


class NoopAgent:
    """Asks for nothing."""

    async def run(self, task: Assignment) -> TaskReport:
        """Report ``noop``."""
        return TaskReport(status="noop")
