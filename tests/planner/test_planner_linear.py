"""Texts that a planner of another than linear time would not come to the end of."""

from __future__ import annotations

import pytest

from tek_planner import plan_text

HEAD = "# P\n\n## Queue A — N\n\n### `TASK-001` x\n\n"
BLOCK = "```sh\ntrue\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        "<a" + " " * 500_000,
        "x\n" + "<a>\n" * 50_000 + "# h\n",
        "<div>\n" * 50_000 + "</span>\n" * 50_000,
        ("<" + "`" * 9_000 + "\n") * 200,
        "<" + "".join("`" * length + " " for length in range(1, 1_500)) + "\n",
        "<a " + '"' * 300_000 + "\n",
        "<a " + "x='y' " * 60_000 + "\n",
        "</a" + " " * 500_000 + "x\n",
    ],
    ids=["blanks in a tag", "tags in a paragraph", "closing tags", "backticks", "runs", "quotes", "attributes", "end"],
)
def test_it_comes_to_an_end(text: str) -> None:
    plan_text(HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + '<br title=">">\n' + BLOCK,
        HEAD + '<wbr a=">" />\n' + BLOCK,
        HEAD + "<img alt='>'>\n" + BLOCK,
        '# P\n\n## Queue A — N\n\n<br title=">">\n### `TASK-001` x\n\n' + BLOCK,
        "# P\n\n## Queue A — N\n<b>\n<!--\n\n<p>\n-->\n### `TASK-001` x\n\n" + BLOCK,
        HEAD + "<blockquote hidden>\n\n" + BLOCK,
        HEAD + "<x-y hidden>\n\n" + BLOCK,
        HEAD + "<plaintext>\n\n" + BLOCK,
    ],
)
def test_what_a_renderer_hides_is_not_planned(text: str) -> None:
    assert plan_text(text).plan is None
