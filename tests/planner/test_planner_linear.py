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
        "<b>" * 200_000 + "</b>" * 200_000,
        "x " + "`a` <br> <!-- x --> " * 50_000,
        "x " + "`" * 250_000 + " `" + "<br>" * 100_000,
        "<a@" * 200_000,
        "<!--" * 200_000,
        ("x ` <br" + " " * 400 + "\n") * 2_000,
        "- Timeout: " + "0" * 500_000 + "x\n",
    ],
    ids=[
        "blanks in a tag",
        "tags in a paragraph",
        "closing tags",
        "backticks",
        "runs",
        "quotes",
        "attributes",
        "end",
        "pairs",
        "spans",
        "doubtful",
        "mails",
        "comments",
        "unfinished",
        "digits",
    ],
)
def test_it_comes_to_an_end(text: str) -> None:
    plan_text(HEAD + text)
