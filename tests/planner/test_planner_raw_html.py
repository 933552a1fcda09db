"""What stands below raw HTML is not planned, for it may be hidden; what does no harm in a text is let through."""

from __future__ import annotations

import pytest

from tek_planner import plan_text

QUEUE = "# P\n\n## Queue A — N\n\n"
TASK = "### `TASK-001` x\n\n"
BLOCK = "```sh\ntrue\n```\n"


@pytest.mark.parametrize(
    "html",
    [
        '<br title=">">\n',
        '<wbr a=">" />\n',
        "<img alt='>'>\n",
        "<p>`<!--`\n\n",
        "<p>`<div hidden>`\n\n",
        "\\`<div hidden>\\`\n\n",
        "<blockquote hidden>\n\n",
        "<ul hidden>\n\n",
        "<x-y hidden>\n\n",
        "<noframes>\n\n",
        "<xmp>\n\n",
        "<plaintext>\n\n",
        '<div hidden>\n\n<img alt="</div>">\n\n',
        "<div hidden>\n\n\\</div>\n\n",
        "<div hidden>\n\n    </div>\n\n",
        '<div hidden title="</div>">\n\n',
        "<hr> `<div hidden>`\n\n",
        "<br>\n\\<div hidden>\n\n",
        "> - <br>\n`<div hidden>`\n\n",
        "text `a\n`<div hidden>` b\n\n",
        "text ``a` <div hidden> `b``` c\n\n",
        "<!-- a --!> <div hidden> -->\n\n",
        "<!-- x --> `<div hidden>`\n\n",
        "<!-- ` --> <div hidden> `\n\n",
        "text <b hidden>words</b>\n\n",
        'text <img style="position:fixed" src="x"> text\n\n',
        "text <b>words\n\n",
        "text <b><i>words</b></i>\n\n",
        "text <b/>words\n\n",
        "text <textarea\n>\n\n",
        "text <?php\n\n",
        "text <!DOCTYPE html>\n\n",
        "text </div>\n\n",
        "<https:/hidden>text <div>\n\n",
        "<br>\n<https:/hidden>\n\n",
        "- point <div hidden>\n\n",
    ],
)
def test_what_a_renderer_may_hide_is_not_planned(html: str) -> None:
    for text in (html + QUEUE + TASK + BLOCK, QUEUE + html + TASK + BLOCK, QUEUE + TASK + html + BLOCK):
        assert plan_text(text).plan is None, text


@pytest.mark.parametrize(
    "prose",
    [
        "a < b, and b > c",
        "See <https://example.org/a?b=c> and <someone@example.org>.",
        "<https://example.org>",
        "Use `x<y`, ``a ` <div>`` and `<!--`.",
        "Not a tag: \\<div>, 1<2, <3.",
        "<!-- a note -->",
        "Words:\n\n- <!-- a note -->",
        "Words <!-- a note --> and words.",
        "<b>First</b> words.",
        "Press <kbd>Ctrl</kbd>+<kbd>C</kbd>, H<sub>2</sub>O,<br>x<sup>2</sup>.",
        'A <a href="https://example.org" title="b c">link</a> and <img src="a.png" alt="a"/>.',
        "<br>",
        "---\n\n<hr>",
        "An unclosed ` backtick\nand a <br> below it.",
        "> quoted `<div>`",
        "```html\n<div hidden>\n```",
        "    shown as code: `<div>`",
    ],
)
def test_what_does_no_harm_is_planned(prose: str) -> None:
    for text in (f"{prose}\n\n{QUEUE}{TASK}{BLOCK}", f"{QUEUE}{TASK}{prose}\n\n{BLOCK}"):
        result = plan_text(text)
        assert result.plan is not None, result.diagnostics[0].render()


def test_html_below_the_last_task_hides_none() -> None:
    assert plan_text(QUEUE + TASK + BLOCK + "\n<details>\n\nmore\n\n</details>\n").plan is not None


def test_the_error_stands_once_on_what_is_below_and_names_the_line_of_the_html() -> None:
    problems = plan_text(QUEUE + "<details>\n\n" + TASK + BLOCK + "\n" + TASK.replace("1", "2") + BLOCK).diagnostics

    assert [(problem.code, problem.line) for problem in problems] == [("TEK601", 7)]
    assert "line 5" in problems[0].message


def test_a_heading_may_hold_the_html() -> None:
    assert plan_text("# P <textarea>\n\n" + QUEUE.removeprefix("# P\n\n") + TASK + BLOCK).plan is None


def test_a_field_below_html_on_its_heading_does_not_count() -> None:
    assert plan_text(QUEUE + "### `TASK-001` x <textarea>\n\n- Agent: noop\n").plan is None


def test_a_legacy_list_below_html_is_not_read_by_the_new_rules() -> None:
    text = "# T\n\n- Tek: 1\n\n{}### G. Execution Queue & Task Hooks\n\n1. **Queue A — N**\n   - Tasks: `TASK-001`\n"

    assert plan_text(text.format("")).plan is not None
    assert plan_text(text.format("<div hidden>\n\n")).plan is None
