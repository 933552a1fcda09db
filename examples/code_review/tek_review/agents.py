"""The agents: they ask for files, and for nothing else. What a task's ``Inputs`` name is what they look at."""

from __future__ import annotations

import re

from tek_abi import Assignment, TaskReport
from tek_agents import fs, gather
from tek_review.page import page
from tek_review.rules import review

BARE = re.compile(rb"^([ \t]*)except[ \t]*:", re.M)


class Reviewer:
    """Reviews every input and writes what it found to the task's first output."""

    async def run(self, task: Assignment) -> TaskReport:
        if len(task.task.outputs) != 1:
            return TaskReport("failed", "name one file for the findings: - Outputs: `review.md`")
        sources = await _sources(task)
        findings = [finding for path, data in sources.items() for finding in review(path, data)]
        await fs.write_text(task.task.outputs[0], page(findings, len(sources)))
        return TaskReport("ok", f"{len(findings)} findings in {len(sources)} files")


class Fixer:
    """Turns each bare ``except:`` into ``except Exception:``."""

    async def run(self, task: Assignment) -> TaskReport:
        changed = []
        for path, data in (await _sources(task)).items():
            repaired = BARE.sub(rb"\1except Exception:", data)
            if repaired != data:
                await fs.write_bytes(path, repaired)
                changed.append(path)
        return TaskReport("ok" if changed else "noop", f"repaired {', '.join(changed) or 'nothing'}")


async def _sources(task: Assignment) -> dict[str, bytes]:
    """Return the contents of each input by its path, all read at once."""
    found = await gather(*(fs.glob(pattern) for pattern in task.task.inputs))
    paths = sorted({path for paths in found for path in paths})
    contents = await gather(*(fs.read_bytes(path) for path in paths))
    return dict(zip(paths, contents, strict=True))
