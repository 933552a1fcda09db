"""ShellAgent: runs a task's commands, one after the other."""

from __future__ import annotations

from tek_abi import Assignment, Step, TaskReport
from tek_agents import proc
from tek_agents.errors import EffectFailed


class ShellAgent:
    """Runs the steps that no earlier attempt has done, each by one ``proc.exec``.

    A block's steps stop at the first that fails. A hook's commands all run, as they always did, and the task has then
    failed if any of them has. ``EffectDenied`` is not handled: it ends the task as denied.
    """

    async def run(self, task: Assignment) -> TaskReport:
        """Run the steps from ``task.progress`` on.

        The report's ``progress`` is the number of leading steps that have succeeded: a retry goes on from the first
        that failed. Requests and steps have the same index, so a step keeps its position in every attempt.
        """
        if not task.steps:
            return TaskReport(status="noop")
        failures: list[str] = []
        progress = task.progress
        for index, step in enumerate(task.steps[task.progress :], task.progress):
            failure = await _failure(task, step)
            if failure is not None:
                failures.append(f"step {index + 1} of {len(task.steps)}{_place(step)} {failure}")
                if step.source == "block":
                    break
            elif not failures:
                progress = index + 1
        if not failures:
            return TaskReport(progress=progress)
        more = f" ({len(failures)} steps failed)" if len(failures) > 1 else ""
        return TaskReport("failed", failures[0] + more, progress)


async def _failure(task: Assignment, step: Step) -> str | None:
    """Run one step; return how it failed, or ``None``."""
    cwd = step.cwd or task.task.cwd or "."
    try:
        done = await proc.exec(step.argv, cwd=cwd, env=dict(task.task.env), check=False)
    except EffectFailed as error:
        return f"failed: {error}"
    return None if done.code == 0 else proc.describe(done)


def _place(step: Step) -> str:
    if step.line is None:
        return ""
    return f" (line {step.line})" if step.source == "block" else f" (hook command {step.line})"
