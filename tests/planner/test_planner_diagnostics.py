"""What is refused, each at its line and column, with the line shown and what to do."""

from __future__ import annotations

import pytest

from tek_planner import plan_bytes, plan_text

HEAD = "## Queue A — One\n### `TASK-001` First\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (HEAD + "- Alow: `fs.read:x`\n", 3, 3, "there is no field 'Alow'"),
        (HEAD + "- a point\n", 3, 3, "is not a field"),
        (HEAD + "- Allow: fs.read:x\n", 3, 10, "code span"),
        (HEAD + "- Allow: `fs.raed:x`\n", 3, 10, "an action is"),
        (HEAD + "- Allow: `fs.read:../x`\n", 3, 10, "'..'"),
        (HEAD + "- Timeout: soon\n", 3, 12, "duration"),
        (HEAD + "- Timeout: 0s\n", 3, 12, "longer than nothing"),
        (HEAD + "- Retries: 101\n", 3, 12, "from 0 to 100"),
        (HEAD + "- Budget: `ms=lots`\n", 3, 12, "duration"),
        (HEAD + "- Env: `1A=x`\n", 3, 8, "NAME=value"),
        (HEAD + "- Timeout: 99999999999999999999\n", 3, 12, "too large"),
        (HEAD + "-      Timeout: 5s\n", 3, 8, "shown as code"),
        (HEAD + "-\t\tTimeout: 5s\n", 3, 4, "shown as code"),
        (HEAD + "- Cwd: ../x\n", 3, 8, "'..'"),
        (HEAD + "- Cwd: /root\n", 3, 8, "outside the workspace"),
        (HEAD + "- Env: `A=1` `T=secret:`\n", 3, 14, "takes a secret"),
        (HEAD + "- Env: `T=secret:A B`\n", 3, 8, "takes a secret"),
        (HEAD + "- Idempotent: maybe\n", 3, 15, "neither yes nor no"),
        (HEAD + "- Layer: cellar\n", 3, 10, "no layer"),
        (HEAD + "- Agent: a b\n", 3, 10, "name of an agent"),
        (HEAD + "- Agent: a\n- Agent: b\n", 4, 3, "given twice"),
        (HEAD + "- Needs: `TASK-999`\n", 3, 11, "neither a task nor a queue"),
        (HEAD + "- Needs: x\n", 3, 10, "neither a task nor a queue"),
        (HEAD + "- Agent: a\n  more\n", 4, 1, "a field is one line"),
        (HEAD + "text\n\n- Timeout: 5m\n", 5, 3, "outside its list"),
        (HEAD + "text\n\n- a\n  - Allow: `fs.read:x`\n", 6, 5, "outside its list"),
        (HEAD + "- Timeout:\u00a05m\n", 3, 11, "U+00A0"),
        (HEAD + "```sh\necho x\n", 3, 1, "never closed"),
        (HEAD + " ```sh\necho x\n ```\n", 3, 2, "not run"),
        (HEAD + "- ```sh\n", 3, 3, "list item"),
        (HEAD + "> ```sh\n", 3, 3, "not run"),
        (HEAD + "```zsh\nx\n```\n", 3, 1, "is not run"),
        (HEAD + "```Sh\nx\n```\n", 3, 1, "is not run"),
        (HEAD + "```argv\nls 'a\n```\n", 4, 1, "words"),
        (HEAD + "```sh\necho \u202ex\n```\n", 4, 6, "U+202E"),
        (HEAD + "```sh \u202efoo\necho\n```\n", 3, 7, "U+202E"),
        (HEAD + "```sh\u00a0foo\necho\n```\n", 3, 6, "U+00A0"),
        (HEAD + "```sh\u00a0\necho\n```\n", 3, 6, "U+00A0"),
        (HEAD + "```sh\n" + "x" * 130_000 + "\n```\n", 3, 1, "longer than"),
        (HEAD + "Notes\n===\n", 3, 1, "underlined"),
        (HEAD + " ## Notes\n", 3, 1, "indented heading"),
        ("<!--\n" + HEAD, 2, 1, "raw HTML"),
        ("<details>\n\n" + HEAD + "</details>\n", 3, 1, "line 1 has raw HTML"),
        ("  ## Queue A — One\n### `TASK-001` First\n", 1, 3, "not run"),
        ("### `TASK-001` First\n", 1, 5, "under no queue"),
        ("## Queue A - One\n", 1, 4, "starts with Queue"),
        ("## Queue A — One\n## Queue A — Two\n", 2, 4, "there already"),
        ("## Queue A — One\n### `TASK-1` x\n", 2, 5, "not a task's id"),
        (HEAD + "### `TASK-001` Again\n", 3, 5, "has a heading already"),
        ("## Queue A — One\n### TASK-001 First\n", 2, 5, "looks like"),
        (HEAD + "a\rb\n", 3, 2, "carriage return"),
        ("# T\n\n- Needs: A\n\n" + HEAD, 3, 3, "whole document"),
        ("# T\n\n- Alow: `fs.read:x`\n\n" + HEAD, 3, 3, "there is no field"),
        ("# T\n\n- Budget: `ms=1s`\n\n" + HEAD + "- Budget: `ms=2s`\n", 7, 11, "wider"),
        ("# T\n\n- Budget: `ms=1s`\n\n" + HEAD + "- Budget: `ms=unlimited`\n", 7, 11, "wider"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, line: int, column: int, message: str) -> None:
    result = plan_text(text, "plan/sot.md")

    assert result.plan is None
    problem = result.diagnostics[0]
    shown = problem.render()
    assert (problem.line, problem.column) == (line, column), shown
    assert message in problem.message
    assert shown.startswith(f"plan/sot.md:{line}:{column}: ")
    assert problem.help


def test_a_misspelt_field_has_a_suggestion_and_a_caret_below_it() -> None:
    (problem,) = plan_text(HEAD + "- Alow: `fs.read:x`\n").diagnostics

    assert problem.render() == (
        "sot.md:3:3: TEK302 there is no field 'Alow'\n"
        "    3 | - Alow: `fs.read:x`\n"
        "      |   ^\n"
        "  help: did you mean Allow?"
    )


TWO = "## Queue A — One\n{}### `TASK-001` a\n{}## Queue B — Two\n{}### `TASK-002` b\n{}"


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        (HEAD + "- Needs: `TASK-001`\n", "TASK-001 -> TASK-001", 3, 11),
        (TWO.format("", "- Needs: `TASK-002`\n", "", "- Needs: TASK-001\n"), "TASK-001 -> TASK-002 -> TASK-001", 3, 11),
        (HEAD + "- Needs: Queue A\n", "Queue A -> TASK-001 -> Queue A", 3, 16),
        (TWO.format("- Needs: A\n", "", "", ""), "Queue A -> Queue A", 2, 10),
        (TWO.format("- Needs: B\n", "", "- Needs: A\n", ""), "Queue A -> Queue B -> Queue A", 2, 10),
        (
            TWO.format("- Needs: B\n", "", "", "- Needs: `TASK-001`\n"),
            "Queue B -> TASK-002 -> TASK-001 -> Queue A -> Queue B",
            2,
            10,
        ),
        (
            TWO.format("", "", "", "- Needs: `TASK-001` B\n"),
            "Queue B -> TASK-002 -> Queue B",
            5,
            21,
        ),
    ],
)
def test_a_circle_of_needs_shows_its_path(text: str, path: str, line: int, column: int) -> None:
    (problem,) = plan_text(text).diagnostics

    assert problem.message == f"these need each other: {path}"
    assert (problem.line, problem.column) == (line, column)


def test_bytes_that_are_not_utf_8_are_pointed_at() -> None:
    (problem,) = plan_bytes(b"# T\n\nab\xff").diagnostics

    assert (problem.line, problem.column) == (3, 3)


def test_a_byte_order_mark_is_dropped() -> None:
    assert plan_bytes(b"\xef\xbb\xbf" + HEAD.encode()).plan is not None


def test_at_most_a_hundred_problems_are_shown() -> None:
    problems = plan_text(HEAD + "- Alow: x\n" * 500).diagnostics

    assert len(problems) == 101
    assert problems[-1].message == "and 400 more problems"
