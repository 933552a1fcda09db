"""What is shown like a task's heading and is none is an error, never passed over."""

from __future__ import annotations

import pytest

from tek_planner import plan_text

_BLOCK = "\n\n```sh\necho\n```\n"


@pytest.mark.parametrize("heading", [
    "### `` TASK-001 `` Title", "### &#96;TASK-001&#96; Title", "###`TASK-001` Title", "####### `TASK-001` Title",
    "### `task-001` Title", "### TASK-001 Title", "### ` TASK-001 ` Title", "### *TASK-001* Title",
])  # fmt: skip
@pytest.mark.parametrize("above", ["## Queue A — One\n\n", "# Plan\n\n## Queue A — One\n\n### `TASK-009` Real\n\n", ""])
def test_a_lookalike_is_refused_at_its_line(above: str, heading: str) -> None:
    planned = plan_text(above + heading + _BLOCK, "sot.md")

    assert above.count("\n") + 1 in {diagnostic.line for diagnostic in planned.diagnostics}
