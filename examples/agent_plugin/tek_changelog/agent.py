"""The agent: it asks for files and for the time, and for nothing else."""

from __future__ import annotations

from tek_abi import Assignment, TaskReport
from tek_agents import clock, fs, gather, note
from tek_changelog.fold import fold

LOG = "CHANGELOG.md"
NOTES = "changes/*.md"


class Changelog:
    """Folds every note into the log and removes it.

    A note is removed once the log holds it, and the log takes no note twice: whenever the task is cut off, the next
    attempt goes on from there and nothing is lost.
    """

    async def run(self, task: Assignment) -> TaskReport:
        names = await fs.glob(NOTES)
        if not names:
            return TaskReport("noop", "there are no notes")
        texts = await gather(*(fs.read_text(name) for name in names))
        log = await fs.read_text(LOG) if await fs.exists(LOG) else ""
        today = (await clock.now()).date()
        await fs.write_text(LOG, fold(log, str(today), dict(zip(names, texts, strict=True))))
        for name in names:
            await fs.remove(name)
        await note(f"folded {', '.join(names)}")
        return TaskReport("ok", f"folded {len(names)} notes into {LOG}")
