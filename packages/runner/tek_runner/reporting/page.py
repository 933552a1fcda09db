"""A run's report as one page of HTML: no script, no link that leads out, and a policy that allows one style alone."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs

from tek_runner.console import printable
from tek_runner.history import RunHistory
from tek_runner.reporting import lanes, spending
from tek_runner.reporting.effect_log import EffectLog, effect_log
from tek_runner.reporting.environment import Environment, environment_of
from tek_runner.reporting.lanes import Lanes, lanes_of
from tek_runner.reporting.listing import Listing, TaskRow, task_rows
from tek_runner.reporting.problems import Problems, problems_of
from tek_runner.reporting.spending import Spendings, spendings_of
from tek_runner.reporting.verdict import Verdict, verdict_of
from tek_runner.reporting.wording import cut, moment
from tek_runner.timeline import critical_path, spans

_SIGNS: Final = {
    "ok": ("good", "✓"),
    "noop": ("good", "✓"),
    "failed": ("bad", "✕"),
    "denied": ("bad", "⊘"),
    "damaged": ("bad", "✕"),
    "in_doubt": ("warn", "?"),
    "open": ("warn", "…"),
    "paused": ("warn", "‖"),
    "cancelled": ("warn", "–"),
    "skipped": ("", "»"),
}
"""The tone of each status, and the sign that tells it without a colour."""
TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"
_MAX_PATH: Final = 50


@attrs.frozen
class Report:
    """Everything that the page shows, cut to lengths that a page can hold, and not yet escaped."""

    name: str
    when: str
    verdict: Verdict
    problems: Problems
    lanes: Lanes
    critical: tuple[TaskRow, ...]
    more_critical: int
    spendings: Spendings
    tasks: tuple[TaskRow, ...]
    more_tasks: int
    log: EffectLog
    environment: Environment

    @classmethod
    def of(cls, history: RunHistory) -> Report:
        """Return what is to be told of a run."""
        listing = Listing(history)
        ran, path = spans(history), critical_path(history)
        problems, log = problems_of(history, listing), effect_log(history, listing)
        told = frozenset(problem.anchor for problem in problems.told)
        logged = frozenset(one.anchor for one in log.tasks)
        rows = task_rows(listing, ran, path, told, logged)
        by_anchor = {row.link.row: row for row in rows}
        critical = [row for task in path if (row := by_anchor.get(listing.anchor("task", task.task.id)))]
        return cls(
            cut(history.path.resolve().parent.name),
            moment(history.began),
            verdict_of(history),
            problems,
            lanes_of(history, ran, path),
            tuple(critical[:_MAX_PATH]),
            max(0, len(critical) - _MAX_PATH),
            spendings_of(history, listing),
            tuple(rows),
            listing.left_out,
            log,
            environment_of(history, listing),
        )


def render(report: Report) -> bytes:
    """Return the page in UTF-8. Every value is shown with its control characters, then escaped."""
    from markupsafe import Markup

    style = (TEMPLATES / "report.css").read_text()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = _jinja().get_template("report.html.j2")
    page: str = template.render(
        report=report,
        style=Markup(style),  # noqa: S704  # a file of ours, with nothing of any ledger in it
        style_hash=f"sha256-{digest}",
        geometry={"BAR": lanes.BAR, "TOP": lanes.TOP},
        chart={"WIDTH": spending.WIDTH, "HEIGHT": spending.HEIGHT},
    )
    return page.encode()


@cache
def _jinja() -> Any:
    """Return the environment of the templates. Jinja is imported when a page is made, for no other command needs it."""
    from jinja2 import Environment as Jinja
    from jinja2 import FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    @cache
    def chip(status: str, count: int | None = None) -> Markup:
        number = "" if count is None else f"{count:,} "
        sign = _SIGNS.get(status, ("", "·"))[1]
        return Markup('<span class="chip {}">{}{} {}</span>').format(_tone(status), number, sign, _word(status))

    jinja = Jinja(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= {"chip": chip, "tone": _tone, "word": _word}
    jinja.filters["number"] = "{:,}".format
    return jinja


def _tone(status: str) -> str:
    return _SIGNS.get(status, ("", ""))[0]


def _word(status: str) -> str:
    return printable(cut(status, 40)).replace("_", " ").replace("-", " ")


def _plain(value: Any) -> Any:
    """Return a text with its control characters shown; what is markup of ours, and numbers, as they are."""
    if type(value) is str and not value.isprintable():
        return printable(value)
    return value
