"""Every diagnostic has a code, every code an explanation, and every explanation an example that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import tek_planner
from tek_abi import Diagnostic, InvalidInput
from tek_planner import attach_hooks, explanations, plan_bytes, plan_from_json, plan_text, read_hooks
from tek_runner.config import check_against, load_config

PACKAGES = Path(tek_planner.__file__).parents[2]
HEAD = "## Queue A — One\n\n### `TASK-001` First\n\n"
PLAN = plan_text(HEAD + "### `TASK-002` Second\n\n```sh\ntrue\n```\n").plan
UNSHOWN = {
    "TEK101": b"caf\xe9\n",
    "TEK102": b"x" * (64 * 2**20 + 1),
    "TEK104": b"a\rb\n## Queue A \xe2\x80\x94 One\n",
    "TEK507": (HEAD + "```sh\n" + "x" * 130_000 + "\n```\n").encode(),
}
"""Files with a problem that a page cannot show."""
ELSEWHERE = {"TEK103", "TEK209"}
"""Problems of texts that no file can hold, or none that a test would make."""


def _problems(code: str, language: str, text: str, tmp_path: Path) -> tuple[Diagnostic, ...]:
    if language == "markdown":
        return plan_text(text).diagnostics
    try:
        if code == "TEK711":
            plan_from_json(text.encode(), "plan.json")
        elif code.startswith("TEK7"):
            assert PLAN is not None
            return attach_hooks(PLAN, read_hooks(text.encode(), "config/hooks.json"))[1]
        else:
            assert PLAN is not None
            (tmp_path / "manifest.json").write_text(text)
            check_against(load_config(tmp_path, True), PLAN, tmp_path)
    except InvalidInput as invalid:
        return invalid.diagnostics
    return ()


@pytest.mark.parametrize("code", [code for code, page in explanations().items() if page.wrong])
def test_the_wrong_example_has_the_problem_and_the_right_one_has_none(code: str, tmp_path: Path) -> None:
    page = explanations()[code]

    wrong = _problems(code, page.language, page.wrong, tmp_path)
    right = _problems(code, page.language, page.right, tmp_path)

    assert code in {problem.code for problem in wrong}, [problem.render() for problem in wrong]
    assert right == (), right[0].render()
    shown = next(problem for problem in wrong if problem.code == code)
    assert shown.render().startswith(f"{shown.path}:{shown.line}:{shown.column}: {code} ")
    assert shown.help
    assert shown.text


@pytest.mark.parametrize("code", UNSHOWN)
def test_what_a_page_cannot_show_has_its_code_too(code: str) -> None:
    assert code in {problem.code for problem in plan_bytes(UNSHOWN[code]).diagnostics}


def test_a_lone_surrogate_has_its_code() -> None:
    assert [problem.code for problem in plan_text("\ud800").diagnostics] == ["TEK103"]


def test_every_code_in_the_sources_is_explained_and_none_else() -> None:
    sources = [path.read_text() for name in ("planner", "runner") for path in (PACKAGES / name).rglob("*.py")]
    used = {code for source in sources for code in re.findall(r'"(TEK\d{3})"', source)}
    assert used == set(explanations())
    assert all(page.text and page.title for page in explanations().values())
    assert set(explanations()) == {c for c, page in explanations().items() if page.wrong} | set(UNSHOWN) | ELSEWHERE


def test_examples_of_json_are_json() -> None:
    pages = [page for page in explanations().values() if page.language == "json"]
    for page in pages:
        json.loads(page.wrong), json.loads(page.right)
    assert len(pages) >= 5
