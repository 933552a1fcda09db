"""``check`` and ``explain``: every problem at once, in the form that its reader wants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli import plan, tek

GOOD = "## Queue A — One\n\n### `TASK-001` First\n\n```sh\ntrue\n```\n"
BAD = "## Queue A — One\n\n### `TASK-001` First\n\n- Alow: `fs.read:src/**`\n- Timeout: soon\n"


def test_a_plan_without_a_problem_says_so_and_ends_with_0(tmp_path: Path) -> None:
    plan(tmp_path, GOOD)
    answer = tek("check", cwd=tmp_path)
    assert (answer.code, answer.out, answer.err) == (0, "no problem\n", "")


def test_every_problem_of_plan_and_configuration_is_shown_with_code_line_caret_and_help(tmp_path: Path) -> None:
    plan(tmp_path, BAD, manifest='{"presett": "read-only"}')
    answer = tek("check", "sot.md", cwd=tmp_path)
    assert answer.code == 2
    assert "sot.md:5:3: TEK302 there is no field 'Alow'" in answer.out
    assert "    5 | - Alow: `fs.read:src/**`\n      |   ^\n  help: did you mean Allow?" in answer.out
    assert "sot.md:6:12: TEK307" in answer.out
    assert "config/manifest.json:1:1: TEK801" in answer.out
    assert answer.out.endswith("3 errors; tek-runner explain CODE says more\n")


def test_a_hook_that_names_nothing_is_a_warning_and_no_error(tmp_path: Path) -> None:
    plan(tmp_path, GOOD, hooks={"TASK-999": {"commands": [{"cmd": ["true"]}]}})
    answer = tek("check", "--output-format", "concise", cwd=tmp_path)
    assert answer.code == 0
    assert answer.out.startswith("warning: config/hooks.json:1:")
    assert "TEK703" in answer.out
    assert len(answer.out.splitlines()) == 1


def test_json_is_a_list_of_places(tmp_path: Path) -> None:
    plan(tmp_path, BAD)
    answer = tek("check", "--json", cwd=tmp_path)
    first = answer.json[0]
    assert answer.code == 2
    assert (first["code"], first["path"], first["line"], first["column"]) == ("TEK302", "sot.md", 5, 3)
    assert first["severity"] == "error"


def test_github_gets_one_escaped_command_a_problem(tmp_path: Path) -> None:
    plan(tmp_path, BAD.replace("soon", "100%"))
    answer = tek("check", "--output-format", "github", cwd=tmp_path)
    lines = answer.out.splitlines()
    assert lines[0].startswith("::error file=sot.md,line=5,col=3,title=TEK302::there is no field 'Alow'")
    assert "100%25" in lines[1]


def test_sarif_names_a_rule_and_a_region_for_each_result(tmp_path: Path) -> None:
    plan(tmp_path, BAD)
    log = json.loads(tek("check", "--output-format", "sarif", cwd=tmp_path).out)
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert {result["ruleId"] for result in run["results"]} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 5, "startColumn": 3}


@pytest.mark.parametrize("output", ["full", "concise", "json", "github", "sarif"])
def test_nothing_of_a_file_reaches_a_terminal_as_a_control_character(tmp_path: Path, output: str) -> None:
    plan(tmp_path, GOOD + "- \x1b[2J\x07: x\n")
    answer = tek("check", "--output-format", output, cwd=tmp_path)
    assert not {"\x1b", "\x07"} & set(answer.out)


def test_explain_shows_a_page_with_both_examples(tmp_path: Path) -> None:
    answer = tek("explain", "tek302", cwd=tmp_path)
    assert answer.code == 0
    assert answer.out.startswith("TEK302 Unknown field\n\nFields are Needs")
    assert "- Alow:" in answer.out
    assert "- Allow:" in answer.out


def test_explain_lists_all_codes_and_refuses_another_with_a_suggestion(tmp_path: Path) -> None:
    rows = tek("explain", "--json", cwd=tmp_path).json
    assert {"code": "TEK302", "title": "Unknown field"} in rows
    wrong = tek("explain", "TEK3O2", cwd=tmp_path)
    assert wrong.code == 2
    assert "did you mean" in wrong.err
    assert "TEK302" in wrong.err


def test_a_plan_is_not_written_over_its_source(tmp_path: Path) -> None:
    plan(tmp_path, GOOD)
    answer = tek("plan", "sot.md", "--out", "./sot.md", cwd=tmp_path)
    assert (answer.code, "is the source itself" in answer.err) == (2, True)
    assert (tmp_path / "sot.md").read_text() == GOOD


def test_a_plan_makes_no_directory_of_its_own(tmp_path: Path) -> None:
    plan(tmp_path, GOOD)
    answer = tek("plan", "sot.md", "--out", "sub/dir/plan.json", cwd=tmp_path)
    assert (answer.code, "there is no directory sub/dir" in answer.err) == (2, True)
    assert not (tmp_path / "sub").exists()
