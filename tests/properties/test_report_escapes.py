"""Whatever a ledger says, its report is a whole page that runs nothing, leads nowhere and shows what was said."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import TaskReport
from tek_runner.history import RunHistory
from tek_runner.reporting.page import Report, render
from tests.integration.cli import plan, queue, task, tek
from tests.integration.page import Page
from tests.size import examples

PIECES = (
    "<script>",
    "</title>",
    "</style>",
    "-->",
    "<!--",
    "]]>",
    '"',
    "'",
    "&lt;",
    "{{ 7*7 }}",
    "{% raw %}",
    "\u202e",
    "\x1b[0m",
    "\0",
)
HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=9)), min_size=1, max_size=6).map("".join)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("escapes")
    plan(home, queue(task(1, "echo out; exit 1"), task(2, "true", "Needs: `TASK-001`")), manifest={})
    assert tek("run", "--run-dir", "runs/one", cwd=home).code == 1
    return home / "runs/one/ledger.jsonl"


@given(HOSTILE)
@settings(max_examples=examples(40))
def test_hostile_text_stays_text(recorded: Path, text: str) -> None:
    history = RunHistory.read(recorded)
    assert history.opened is not None
    assert history.closed is not None
    history.opened = attrs.evolve(
        history.opened, run=text, versions=((text, text),), obs={"source": text, "workspace": text}
    )
    history.closed = attrs.evolve(history.closed, status=text)
    history.tasks = {f"{text}{number}": told for number, told in enumerate(history.tasks.values())}
    for id_, told in history.tasks.items():
        told.task = attrs.evolve(told.task, id=id_, title=f"{text}.")
        told.queue = attrs.evolve(told.queue, name=text)
        told.agent = text
        told.end = attrs.evolve(told.end, report=TaskReport("failed", text)) if told.end is not None else None
        for effect in told.effects:
            effect.intent = attrs.evolve(effect.intent, rule=text)
            effect.args = {"argv": [text]}
    page = Page(render(Report.of(history)))
    if text.isprintable():
        assert text in page.text, "it is shown as it was said"
