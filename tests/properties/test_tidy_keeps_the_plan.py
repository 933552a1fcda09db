"""Tidying a source of truth changes neither its plan, nor a word of its prose and blocks, and is done once."""

from __future__ import annotations

import re

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tek_planner import plan_text
from tek_planner.tidy import is_same_plan, tidy
from tests.integration.cli import REPOSITORY
from tests.properties.test_invariant_8_planner import LINES
from tests.size import examples

BLANKS = st.sampled_from(["", "", " ", "\t", "   "])
BULLETS = st.sampled_from(["- ", "* ", "+ ", "-  ", "-\t"])
ENDS = st.sampled_from(["\n", "\n", "\r\n"])
KEYS = st.sampled_from(["{}", "**{}**", "**{}:**", "__{}__"])
VALUES = {
    "Needs": ["`TASK-001`", "TASK-001", "Queue A", "A", "`TASK-001` and Queue A", "`TASK-001`,`A`"],
    "Depends on": ["TASK-001"],
    "after": ["`TASK-001`"],
    "Allow": ["`fs.read:src/**`", "`fs.write:out/**`,`fs.read:**`", "`proc.exec:sh -c 'a  b'`"],
    "budget": ["ms=5s", "`ms=5s`,`io=1MiB`", "ms=5s io=1MiB", "`ms=5s io=1MiB`"],
    "TIMEOUT": ["5m", "`5m`", " 90s "],
    "Retries": ["2", "`2`"],
    "Env": ["`A=1`", "`A= x ` `B=secret:C`", "`A=1`,`B=2`"],
    "cwd": ["sub", "`sub dir`"],
    "Outputs": ["`out/**`", "`a`, `b`"],
    "Idempotent": ["yes", "No"],
    "Layer": ["services"],
}
NEEDS = dict.fromkeys(("Needs", "Depends on", "after"), "Needs")
PROSE = st.sampled_from(
    [
        "Text for readers.", "two  blanks  within", "hard break  \nand more", "- a point\n- another ", "1. one\n2. two",
        "    code shown  ", "> quoted ", "a `span` here\t", "para one \n\n\n\npara two", "* * *", "&amp; \\< *x*",
        "- point\n\n  its second paragraph", "<!-- a note -->", "![](x.png)",
    ]
)  # fmt: skip
FENCES = st.sampled_from(
    [
        "```sh\necho  hi  \n\n\n\n  indented\t\n```",
        "~~~bash\n# Title\n~~~", "````argv\ntrue \n````", "```text\n- Needs: x\n```",
        "```\n```", "```sh\n\n```", "```python\n### `TASK-009` no\n```",
    ]
)  # fmt: skip


@st.composite
def field(draw: st.DrawFn, key: str) -> str:
    """One field, as somebody may write it."""
    shown = draw(KEYS).format(key)
    shown = shown if shown.endswith(":**") else f"{shown}:"
    blanks, value = draw(st.sampled_from([" ", "  ", ""])), draw(st.sampled_from(VALUES[key]))
    return f"{draw(BULLETS)}{shown}{blanks}{value}{draw(BLANKS)}"


@st.composite
def part(draw: st.DrawFn, heading: str, keys: list[str]) -> list[str]:
    """A heading with fields, prose and blocks below it, nearer and farther from each other."""
    several = st.lists(st.sampled_from(keys), unique_by=lambda key: NEEDS.get(key, key), max_size=4)
    chosen = draw(several) if keys else []
    lines = [*draw(st.lists(BLANKS, max_size=3)), heading + draw(st.sampled_from(["", " ", " ##", "  "]))]
    for key in chosen:
        lines += [*draw(st.lists(BLANKS, max_size=2)), draw(field(key))]
    if chosen:
        lines.append("")
    for text in draw(st.lists(st.one_of(PROSE, FENCES), max_size=3)):
        lines += [text, *draw(st.lists(BLANKS, min_size=1, max_size=3))]
    return lines


@st.composite
def sources(draw: st.DrawFn) -> str:
    """A source of truth, most of them valid."""
    of_queue = [key for key in VALUES if key not in ("Outputs", "Needs", "Depends on", "after")]
    later = list(VALUES)
    lines = draw(part("# Title", [key for key in of_queue if key not in ("Retries", "Idempotent")]))
    lines += draw(part("##  Queue A — One", of_queue)) + draw(part("### `TASK-001`  First  #thing", of_queue))
    lines += draw(part("## Queue B — Two", of_queue)) + draw(part("###\t`TASK-002`", later))
    lines += draw(part("## Notes", []))
    return "".join(line + draw(ENDS) for line in "\n".join(lines).split("\n")) + draw(st.sampled_from(["", "\n\n"]))


def check(text: str) -> bool:
    """Hold a text to it, if it is a valid plan; return whether it is."""
    planned = plan_text(text)
    if planned.plan is None:
        return False
    tidied = tidy(text)
    again = plan_text(tidied)
    assert again.plan is not None, again.diagnostics
    assert is_same_plan(planned.plan, again.plan), tidied
    assert tidy(tidied) == tidied
    assert words(tidied) == words(text)
    return True


def words(text: str) -> list[str]:
    """Return what nobody may lose: all but blanks, and the marks and keys of headings and fields."""
    bare = re.sub(r"(?m)^([-*+])(?=[ \t])", "-", text)
    bare = re.sub(r"(?mi)^-[ \t]+[*_]{0,2}(?:depends on|after|requires|needs)(?=[*_:])", "- needs", bare)
    return re.findall(r"[^\s`,*_:#]+", re.sub(r"\b(?:and|Queue)\b", "", bare).lower())


@settings(max_examples=examples(300))
@given(sources())
def test_a_source_keeps_its_plan_and_its_words(text: str) -> None:
    event("valid" if check(text) else "invalid")


@settings(max_examples=examples(300))
@given(st.lists(st.one_of(LINES, PROSE, FENCES), max_size=14).map("\n".join))
def test_so_does_any_text_that_is_a_plan(text: str) -> None:
    event("valid" if check(text) else "invalid")


def test_fences_are_kept_byte_by_byte() -> None:
    script = "echo  hi  \n\n\n\t- Needs: x\n## Queue"
    text = f"# T\n## Queue A — One\n### `TASK-001` X\n```sh\n{script}\n```\ntext\n"
    assert f"\n\n```sh\n{script}\n```\n\ntext\n" in tidy(text)


def test_every_plan_of_the_repository_keeps_its_own() -> None:
    found = [path for path in REPOSITORY.rglob("sot.md") if ".venv" not in path.parts]
    assert len(found) >= 7
    for path in found:
        assert check(path.read_text())
