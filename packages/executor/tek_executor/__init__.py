"""The executor: schedules a plan's tasks and drives their agents through the broker.

One scheduler thread steps every agent's coroutine and owns the ledger; worker threads apply effects. Dependencies,
retries with backoff, timeouts, keep-going and fail-fast, interruption. It reaches effects through the kernel alone.
"""

from tek_executor.graph import Graph, PlanCycle, UnknownNeed
from tek_executor.host import Host
from tek_executor.scheduler import Options, RunEnd, Scheduler, Watcher

__all__ = ["Graph", "Host", "Options", "PlanCycle", "RunEnd", "Scheduler", "UnknownNeed", "Watcher"]
