"""Reports in a real browser: nothing is blocked or missing, nothing scrolls sideways, axe-core finds nothing serious.

Needs Chromium, and axe-core: ``TEK_AXE`` names its ``axe.min.js``, or npm fetches it. ``TEK_SHOTS`` names a directory
for screenshots to look at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tek_abi import Instant
from tek_runner.history import RunHistory
from tek_runner.reporting.page import Report, render
from tests.integration.cli import plan, queue, task, tek
from tests.report_browser.chromium import Chromium, Tab, chromium, find_chromium
from tests.size import NIGHTLY

AXE: Final = "axe-core@4.14.1"
MODES: Final = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light")}
FOUND: Final = find_chromium()

pytestmark = [
    pytest.mark.skipif(not NIGHTLY, reason="a browser takes a minute: TEK_NIGHTLY is not set"),
    pytest.mark.skipif(FOUND is None, reason="there is no Chromium on PATH; on Debian: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    named = os.environ.get("TEK_AXE")
    if named:
        return Path(named).read_text()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("TEK_AXE names no axe.min.js, and there is no npm to fetch it")
    home = tmp_path_factory.mktemp("axe")
    words = [npm, "install", "--silent", "--ignore-scripts", "--prefix", str(home), AXE]
    if subprocess.run(words, capture_output=True, timeout=120, check=False).returncode:
        pytest.skip(f"TEK_AXE names no axe.min.js, and npm cannot fetch {AXE}")
    return (home / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert FOUND is not None
    with chromium(FOUND, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of a run with a task of each status that a run can end with."""
    home = tmp_path_factory.mktemp("looks")
    text = queue(
        task(1, "sleep 0.1; echo fine"),
        task(2, f"seq 1 40; echo '{'long ' * 90}' >&2; exit 3", "Retries: 1", "Needs: `TASK-001`"),
        task(3, "true", "Needs: `TASK-002`"),
        task(4, "echo never", "Env: `TOKEN=secret:API_TOKEN`"),
        task(5, "sleep 9", "Budget: `ms=150`"),
    ).replace("Task 3", "A long title without a blank: " + "x" * 120)
    plan(home, text, manifest={"budgets": {"run": {"ms": 5000, "io": 100000}}})
    assert tek("run", "--run-dir", "runs/one", cwd=home).code == 1
    return home / "runs/one/ledger.jsonl"


def grown(ledger: Path, count: int) -> bytes:
    """Return the report of a run of ``count`` tasks, each like one that is recorded, some five at once."""
    history = RunHistory.read(ledger)
    kinds = list(history.tasks.values())
    tasks = {}
    for number in range(1, count + 1):
        kind, id_ = kinds[number % len(kinds) if number <= 5 or number % 7 == 0 else 0], f"TASK-{number:05d}"
        needs = (f"TASK-{number - 9:05d}",) if number > 9 else ()
        tasks[id_] = attrs.evolve(
            kind,
            task=attrs.evolve(kind.task, id=id_, needs=needs),
            ended=later(kind.ended, number * 40),
            attempts=[
                attrs.evolve(one, begun=later(one.begun, number * 40), ended=later(one.ended, number * 40))
                for one in kind.attempts
            ],
        )
    assert history.entry is not None
    history.entry = attrs.evolve(history.entry, selected=())
    history.tasks = tasks
    history.last = later(history.last, count * 40)
    return render(Report.of(history))


def later(at: Instant, ms: int) -> Instant:
    moment = datetime.fromisoformat(at) + timedelta(milliseconds=ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def serious(tab: Tab, axe: str) -> list[Any]:
    tab.evaluate(f"{axe};0")
    found = json.loads(
        tab.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))")
    )
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("count", "mode"), [(10, "light"), (10, "dark"), (10, "phone"), (200, "light"), (200, "dark"),
                                             (200, "phone"), (2000, "light")])  # fmt: skip
def test_a_report_can_be_read_by_everyone(
    browser: Chromium, axe: str, recorded: Path, tmp_path: Path, count: int, mode: str
) -> None:
    (tmp_path / "report.html").write_bytes(grown(recorded, count))
    tab = Tab.open(browser, tmp_path / "report.html", *MODES[mode])
    if os.environ.get("TEK_SHOTS"):
        tab.screenshot(Path(os.environ["TEK_SHOTS"], f"report-{count}-{mode}.png"))
    widths = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1], "the page itself never scrolls sideways"
    assert tab.evaluate("document.querySelectorAll('tbody tr[id^=task]').length") == count
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 23, 28)" if mode == "dark" else "rgb(255, 255, 255)"
    ), "the style is applied"
    assert serious(tab, axe) == []
    assert tab.complaints() == []


def test_the_check_finds_what_it_looks_for(browser: Chromium, axe: str, recorded: Path, tmp_path: Path) -> None:
    bad = b'<p>faint</p><script>document.title = "run"</script><img src="https://host.invalid/x.png"></main>'
    page = grown(recorded, 10).replace(b"</main>", bad)
    (tmp_path / "report.html").write_bytes(page)
    tab = Tab.open(browser, tmp_path / "report.html", *MODES["light"])
    assert "image-alt" in {name for name, _ in serious(tab, axe)}
    assert tab.evaluate("document.title") != "run", "the policy lets no script run"
    assert "Content Security Policy" in str(tab.complaints())
