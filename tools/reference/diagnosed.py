"""What tek says of the wrong example of each diagnostic, as a user would see it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tek_abi import Diagnostic, ExecutionPlan, InvalidInput
from tek_planner import Explanation, attach_hooks, plan_from_json, plan_text, read_hooks
from tek_runner.config import check_against, load_config

_PLAN: Final = (
    plan_text("## Queue A — One\n\n### `TASK-001` First\n\n### `TASK-002` Second\n\n```sh\ntrue\n```\n").plan
    or ExecutionPlan()
)


def rendered(page: Explanation) -> str:
    """Return the text of the diagnostic that the wrong example gets, empty where there is no example."""
    found = [problem for problem in _problems(page) if problem.code == page.code]
    return found[0].render() if found else ""


def _problems(page: Explanation) -> tuple[Diagnostic, ...]:
    if page.language == "markdown":
        planned = plan_text(page.wrong)
        return (*planned.diagnostics, *planned.warnings)
    if not page.wrong:
        return ()
    try:
        if page.code == "TEK711":
            plan_from_json(page.wrong.encode(), "plan.json")
        elif page.code.startswith("TEK7"):
            return attach_hooks(_PLAN, read_hooks(page.wrong.encode(), "config/hooks.json"))[1]
        else:
            return _of_manifest(page.wrong)
    except InvalidInput as invalid:
        return invalid.diagnostics
    return ()


def _of_manifest(text: str) -> tuple[Diagnostic, ...]:
    with TemporaryDirectory() as name:
        directory = Path(name, "config")
        directory.mkdir()
        (directory / "manifest.json").write_text(text)
        try:
            check_against(load_config(directory, True), _PLAN, Path(name))
        except InvalidInput as invalid:
            return tuple(
                Diagnostic("config/manifest.json", one.line, one.column, one.message, one.help, one.text, one.code)
                for one in invalid.diagnostics
            )
    return ()
