"""What ``tek-runner plan`` says about each task before anything runs is what a run then does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.cli import plan, queue, task, tek
from tests.integration.terminal import at_terminal

HOSTILE = 'Say "]; end <b>x</b> -->|no| `%%` \\" -> { } # ;'

MIXED = queue(
    task(1, "echo plain"),
    task(2, "echo secret", "Env: `TOKEN=secret:API_TOKEN`"),
    task(3, "echo wide", "Allow: `fs.read:/srv/other/**`", "Needs: `TASK-001`"),
    task(4, "echo narrow", "Allow: `fs.write:out/**`", "Budget: `ms=5s` `io=2MiB`", "Needs: `TASK-001` `TASK-002`"),
)


def test_each_task_says_what_it_runs_may_spends_and_waits_for(tmp_path: Path) -> None:
    plan(tmp_path, MIXED)

    answer = tek("plan", cwd=tmp_path)

    assert answer.code == 0
    blocks = {block[:8]: block for block in re.split(r"^  (?=TASK-)", answer.out, flags=re.M)[1:]}
    assert "runs     sh -eu -c echo plain\n" in blocks["TASK-001"]
    assert "DENIED" not in blocks["TASK-001"]
    assert "MISSING  the variable API_TOKEN" in blocks["TASK-002"]
    assert "--allow env.get:API_TOKEN" in blocks["TASK-002"]
    assert "--allow 'fs.read:/srv/other/**'" in blocks["TASK-003"]
    assert "waits    TASK-001\n" in blocks["TASK-003"]
    assert re.search(r"writes   out/\*\*", blocks["TASK-004"])
    assert "spends   ms=5.0s io=2MiB" in blocks["TASK-004"]
    assert "waits    TASK-001, TASK-002\n" in blocks["TASK-004"]
    assert not (tmp_path / "runs").exists()


def test_what_is_said_to_be_denied_is_what_a_run_denies(tmp_path: Path) -> None:
    only_some = {
        "preset": "none",
        "permits": [
            {"action": "proc.exec", "resource": "sh -eu -c true?", "subject": ["TASK-001", "TASK-002"]},
            {"action": "proc.exec", "resource": "sh -eu -c 'echo *'", "subject": "TASK-003"},
            {"action": "fs.read", "resource": ["/usr/**", "/bin/**", "/lib/**", "/lib64/**", "/etc/**"]},
        ],
    }
    scripts = ("true", "echo a", "echo b", "true")
    plan(tmp_path, queue(*(task(number, script) for number, script in enumerate(scripts, 1))), manifest=only_some)

    planned = tek("plan", "--json", cwd=tmp_path).json["tasks"]
    run = tek("run", "--json", cwd=tmp_path).json["results"]

    expected = {row["task"] for row in planned if row["denied"]}
    assert expected == {"TASK-002", "TASK-004"}
    assert {row["task"] for row in run if row["status"] == "denied"} == expected


def test_with_what_it_names_as_grant_the_denial_is_gone(tmp_path: Path) -> None:
    plan(tmp_path, MIXED)
    rows = tek("plan", "--json", cwd=tmp_path).json["tasks"]
    grants = [lack["grant"] for row in rows for lack in row["denied"]]
    assert len(grants) == 2
    allow = [word.strip("'") for grant in grants for word in grant.split(" ", 1)]

    after = tek("plan", "--json", *allow, cwd=tmp_path, env={"API_TOKEN": "some-value-of-it"}).json["tasks"]

    assert [row["task"] for row in after if row["denied"] or row["missing_secrets"]] == []


def test_a_wide_terminal_gets_a_table_a_narrow_one_lines_and_neither_cuts_what_matters(tmp_path: Path) -> None:
    plan(tmp_path, MIXED)

    wide = at_terminal("plan", cwd=tmp_path, columns=200, lines=60)
    narrow = at_terminal("plan", cwd=tmp_path, columns=80, lines=60)

    assert any("may, and may spend" in line and "waits for" in line for line in wide.screens[-1])
    assert not any("may, and may spend" in line for line in narrow.last)
    for session in (wide, narrow):
        text = re.sub(r"[\s│┃|]+", "", "".join(session.last))
        assert "envgetonAPI_TOKEN" in text.replace(".", "")
        assert session.code == 0


NODE = r't[A-Za-z0-9_]+\["(?:[\w\s.,:—-]|#\d+;|<br/>)*"\]'
MERMAID = re.compile(
    rf'flowchart LR|  subgraph q\d+\["(?:[\w\s.,:—-]|#\d+;)*"\]|    {NODE}|  end|  [tq]\w+ --> [tq]\w+', re.ASCII
)
TEXT = r'"(?:[^"\\]|\\["\\n])*"'
DOT = re.compile(
    rf"digraph plan \{{|  rankdir=LR; .*;|  subgraph {TEXT} \{{|    label={TEXT};|    {TEXT} \[label={TEXT}\];"
    rf"|  \}}|  {TEXT} -> {TEXT};|\}}"
)


@pytest.mark.parametrize(("shape", "grammar"), [("mermaid", MERMAID), ("dot", DOT)], ids=["mermaid", "dot"])
def test_a_graph_is_well_formed_whatever_titles_hold(tmp_path: Path, shape: str, grammar: re.Pattern[str]) -> None:
    second = '## Queue B — "]; x -->\n\n- Needs: `A`\n\n### `TASK-003` Third\n\n```sh\ntrue\n```\n'
    (tmp_path / "sot.md").write_text(
        f"## Queue A — Q\n\n### `TASK-001` {HOSTILE}\n\n```sh\ntrue\n```\n\n"
        f"### `TASK-002` Second\n\n- Needs: `TASK-001`\n\n```sh\ntrue\n```\n\n{second}"
    )

    answer = tek("plan", "--format", shape, cwd=tmp_path)

    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert [line for line in lines if not grammar.fullmatch(line)] == []
    arrow = {"mermaid": "  t001 --> t002", "dot": '  "TASK-001" -> "TASK-002";'}[shape]
    assert arrow in lines
    assert len([line for line in lines if "->" in line or "-->" in line]) >= 2
