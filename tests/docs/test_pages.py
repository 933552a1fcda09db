"""What the pages of docs/ say can be done: calls are understood, code runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tek_planner import plan_text
from tek_runner.main import cli
from tests.integration.cli import REPOSITORY
from tools.site import on_page_markdown

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^ *(`{3,})(console|sh|yaml)\b[^\n]*\n(.*?)^ *\1$", re.M | re.S)
CALL = re.compile(r"\btek-runner (?!replay \d)([^\n'#|]*(?:'[^'\n]*'[^\n'#|]*)*)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of tek-runner in the blocks that show commands."""
    for block in BLOCK.finditer(text):
        shown = block[3].splitlines()
        lines = [line for line in shown if line.startswith("$ ")] if block[2] == "console" else shown
        for line in lines:
            for call in CALL.finditer(re.sub(r"(?<=\S) {3,}.*", "", line)):
                words = shlex.split(call[1].split(">")[0].split(" || ")[0].rstrip(')" '))
                if words and not words[0].startswith("["):
                    yield words


def understood(words: list[str]) -> None:
    """Parse a call as tek-runner would, without making it. Raises ``click.UsageError``."""
    command: click.Command = cli
    context = click.Context(cli, info_name="tek-runner", **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    command.make_context("tek-runner", words, parent=context, resilient_parsing=False) if words else None


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", *PAGES], ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_call_is_understood(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in calls(page.read_text()):
        try:
            understood(words)
        except click.UsageError as error:
            pytest.fail(f"tek-runner {shlex.join(words)}: {error.message}")
        except click.exceptions.Exit:
            pass  # --help and --version


def test_calls_are_found_where_they_stand() -> None:
    found = list(calls((DOCS / "how-to" / "ci-gitlab.md").read_text()))
    assert ["replay", "runs/ci", "--verify"] in found
    assert ["run", "sot.md", "--run-dir", "runs/ci", "--yes"] in found
    with pytest.raises(click.UsageError):
        understood(["run", "--no-such-option"])


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(), flags=re.M | re.S)
    for target, anchor in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
            assert anchor in ["-".join(re.sub(r"[^\w\s-]", "", one.lower()).split()) for one in headings], anchor


def test_every_page_has_its_place_in_the_site() -> None:
    listed = re.findall(r": ([\w/-]+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_the_site_keeps_the_text_alone_of_links_that_lead_out_of_it() -> None:
    class Page:
        class file:  # noqa: N801  # as mkdocs calls it
            src_uri = "how-to/own-agent.md"

    text = "[agents](../agents.md), [an example](../../examples/agent_plugin), [up](../ledger.md#replay)"
    assert on_page_markdown(text, page=Page()) == "[agents](../agents.md), an example, [up](../ledger.md#replay)"


def test_the_agent_of_the_how_to_does_what_its_script_says() -> None:
    page = (DOCS / "how-to" / "own-agent.md").read_text()
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    (source,) = re.findall(r"^````markdown\n(.*?)^````", page, re.M | re.S)
    planned = plan_text(source, "sot.md")
    assert planned.plan is not None, planned.diagnostics
    assert [task.agent for _, task in planned.plan.tasks()] == ["headings"]
