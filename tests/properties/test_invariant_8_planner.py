"""Invariant 8: the planner is total and linear, legacy files give the legacy plan, and what is planned is what a
CommonMark renderer shows.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tek_abi import ExecutionPlan, layer_of
from tek_planner import plan_bytes, plan_text
from tests.size import examples

SHELLS = {"sh": ("sh", "-eu", "-c"), "bash": ("bash", "-euo", "pipefail", "-c")}

LINES = st.sampled_from(
    [
        "# Title",
        "## Queue A — One",
        "## Queue B — Two",
        "### `TASK-001` First",
        "### `TASK-002` Second",
        "### `TASK-003`",
        "#### `TASK-004` Deep ##",
        "## Notes",
        " ## Notes",
        "  ### `TASK-005` Indented",
        "###\t`TASK-006` Tab",
        "```sh",
        "```",
        "~~~bash",
        "~~~",
        "````sh",
        "````",
        " ```sh",
        "   ```",
        "    ```sh",
        "- ```sh",
        "> ```sh",
        "```argv",
        "echo x",
        "echo 'a b'",
        "- Needs: `TASK-001`",
        "- Timeout: 5m",
        "- Allow: `fs.read:src/**`",
        "- a point",
        "-",
        "- ",
        "1. first",
        "10. tenth",
        "text",
        "  indented",
        "    code",
        "\ttab",
        "",
        "",
        "",
        "> quote",
        "> # h",
        "===",
        "---",
        "***",
        "<div>",
        "</div>",
        "<!-- note",
        "-->",
        "<!-- done -->",
        "<b>inline</b> text",
        "text <div hidden>",
        "<details>",
        "</details>",
        "<script>",
        "</script>",
        "<?php",
        "?>",
        "[a]: /url",
        "[a]: /url 'title",
        "`TASK-007` text",
        "\\### `TASK-008` Escaped",
        "| a | b |",
        "|---|---|",
        "<pre>",
        "</pre>",
        "## Queue",
        "Notes\n=====",
        "***\n",
        "\x0c",
        "``` sh",
        "```sh title=x",
        "```SH",
        "~~~sh `x`",
        "+ item",
        "* item",
        "+ ```",
        "  - nested",
        "    - nested `TASK-009`",
    ]
)
VALID = [
    "# Title",
    "",
    "- Timeout: 5m",
    "",
    "Some text.",
    "",
    "## Queue A — One",
    "",
    "- Budget: `ms=90s`",
    "",
    "Words.",
    "",
    "### `TASK-001` First",
    "",
    "- Allow: `fs.read:src/**`",
    "",
    "More text.",
    "",
    "```sh",
    "echo x",
    "```",
    "",
    "Between.",
    "",
    "~~~bash",
    "echo y",
    "~~~",
    "",
    "### `TASK-002` Second",
    "",
    "```argv",
    "echo a",
    "echo b",
    "```",
    "",
    "## Notes",
    "",
    "```sh",
    "never",
    "```",
    "",
    "### `TASK-004` Last",
    "",
    "````sh",
    "echo z",
    "````",
    "",
]


@st.composite
def nearly_valid(draw: st.DrawFn) -> str:
    """A document that is accepted, with a few lines put in, taken out or indented."""
    lines = list(VALID)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                del lines[at]
            case 1:
                lines[at] = draw(st.sampled_from([" ", "  ", "    ", "> ", "- "])) + lines[at]
            case _:
                lines.insert(at, draw(LINES))
    return "\n".join(lines)


NAMES = st.sampled_from(
    ["div", "b", "br", "hr", "img", "p", "ul", "x-y", "script", "pre", "textarea", "title", "a", "code", "blockquote"]
)
ATTRIBUTES = st.sampled_from(
    ["", " hidden", ' title=">"', " alt='>'", ' title="</div>"', ' title="<!--"', " href=x", ' alt="`"', "\ntitle='\n'"]
)
TAGS = st.builds("<{}{}{}>".format, NAMES, ATTRIBUTES, st.sampled_from(["", "", " /"])) | st.builds(
    "</{}>".format, NAMES
)
HTML = TAGS | st.sampled_from(
    ["<!-- done -->", "<!--", "-->", "--!>", "<!-->", "<?", "?>", "<!X", "<![CDATA[", "]]>", "<a", ">", "<https://a/b>"]
)
WRAPPED = st.sampled_from(
    [
        "{}",
        "{}",
        "{}",
        "`{}`",
        "``{}``",
        "\\{}",
        "\\`{}\\`",
        "text {}",
        "{} text",
        "    {}",
        "> {}",
        "- {}",
        "- > {}",
        "` {}",
    ]
)
MARKUP = st.lists(st.builds(str.format, WRAPPED, HTML), min_size=1, max_size=3).flatmap(
    lambda pieces: st.sampled_from(["\n", " ", "\n\n"]).map(lambda between: between.join(pieces))
)


@st.composite
def with_html(draw: st.DrawFn) -> str:
    """A document that is accepted, with raw HTML put in: on lines of its own, in a text, in place of a line."""
    lines = list(VALID)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        markup = draw(MARKUP)
        lines[at : at + draw(st.integers(0, 1))] = draw(
            st.sampled_from([[markup], ["", markup], [markup, ""], ["", markup, ""]])
        )
    return "\n".join(lines)


DOCUMENTS = st.lists(LINES, max_size=24).map("\n".join) | nearly_valid()


def test_invariant_8_the_document_that_is_varied_is_accepted() -> None:
    result = plan_text("\n".join(VALID))

    assert result.plan is not None
    assert [len(steps) for _, steps in planned(result.plan)] == [2, 2, 1]


def rendered(text: str) -> list[tuple[str, list[tuple[str, ...]]]]:
    """What a reader of the rendered page takes for tasks: top-level headings that open with an id, and the runnable
    top-level blocks under each."""
    tasks: list[tuple[str, list[tuple[str, ...]]]] = []
    under_task = False
    tokens = MarkdownIt("commonmark").parse(text)
    for index, token in enumerate(tokens):
        if token.level != 0:
            continue
        if token.type == "heading_open":
            children = tokens[index + 1].children or []
            opens = bool(children) and children[0].type == "code_inline"
            match = re.fullmatch(r"TASK-[0-9]{3,}", children[0].content) if opens else None
            under_task = match is not None
            if match is not None:
                tasks.append((match[0], []))
        elif token.type == "fence" and under_task:
            language = (token.info.split() or [""])[0]
            if language in SHELLS:
                tasks[-1][1].append((*SHELLS[language], token.content))
            elif language == "argv":
                lines = [line for line in token.content.split("\n") if line.strip() and line.lstrip()[0] != "#"]
                tasks[-1][1].extend(tuple(shlex.split(line)) for line in lines)
    return tasks


def planned(plan: ExecutionPlan) -> list[tuple[str, list[tuple[str, ...]]]]:
    return [(task.id, [step.argv for step in task.steps]) for _, task in plan.tasks()]


@settings(max_examples=examples(1500), deadline=None)
@given(DOCUMENTS)
@example("## Queue A — One\n### `TASK-001` First\n\n<b>inline</b> text\n## Notes\n```sh\necho x\n```")
@example("`TASK-007` text\necho x\n===")
@example(" ## Notes\n`TASK-007` text\nNotes\n=====")
@example("## Queue A — One\n### `TASK-001` First\n***\n<b>\n## Notes\n```sh\necho x\n```")
@example("# T\n\n## Queue A — One\n\n### `TASK-001` First\n\n ## Notes\n\n```sh\necho x\n```")
@example("## Queue A — One\n### `TASK-001` First\nNotes\n=====\n```sh\necho x\n```")
@example("## Queue A — One\n### `TASK-001` First\n> # h\ntext\n---\n```sh\necho x\n```")
@example("## Queue A — One\n### `TASK-001` First\n-\n\n  ```\n```sh\necho x\n```")
def test_invariant_8_what_is_planned_is_what_is_rendered(text: str) -> None:
    result = plan_text(text)

    if result.plan is not None:
        assert planned(result.plan) == rendered(text)
    else:
        assert result.diagnostics
        lines = text.split("\n")
        for problem in result.diagnostics:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
            assert problem.render().startswith(f"sot.md:{problem.line}:{problem.column}: ")
            assert problem.help


VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}


class Page(HTMLParser):
    """A browser's view of a rendered page: which elements are open, hidden ones above all, where a block's code is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            del self.open[len(self.open) - 1 - self.open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        self.seen.append((data, tuple(self.open)))


@settings(max_examples=examples(1000), deadline=None)
@given(with_html())
@example("\n".join(["<p>`<!--`", "", *VALID]))
@example("\n".join(["\\`<div hidden>\\`", "", *VALID]))
@example("\n".join(["<div hidden>", "", '<img alt="</div>">', "", *VALID]))
@example("\n".join(["<br>", "\\<div hidden>", "", *VALID]))
@example("\n".join([*VALID[:14], '<br title=">">', *VALID[18:]]))
def test_invariant_8_what_is_planned_is_shown_by_a_browser(text: str) -> None:
    plan = plan_text(text).plan
    if plan is None:
        return

    assert planned(plan) == rendered(text)
    page = Page()
    page.feed(MarkdownIt("commonmark").render(text))
    page.close()
    for script in (step.argv[-1] for _, task in plan.tasks() for step in task.steps if step.argv[0] in SHELLS):
        assert (script, ("pre", "code")) in page.seen
    for id_ in (task.id for _, task in plan.tasks()):
        assert any(data == id_ and len(around) == 2 and around[0][0] == "h" for data, around in page.seen)


def test_invariant_8_harmless_html_leaves_the_plan_as_it_is() -> None:
    html = ["<!-- done -->", "", "Press <kbd>Ctrl</kbd>, <br> or `<div>`.", "", "<br>", ""]

    for at in (0, 2, 6, 10, 12, 16, 18, len(VALID)):
        plan = plan_text("\n".join([*VALID[:at], "", *html, *VALID[at:]])).plan
        assert plan is not None, at
        assert [len(steps) for _, steps in planned(plan)] == [2, 2, 1]


def old_plan(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The older kit's rules, written down a second time with regular expressions."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").splitlines()
    start = next((i for i, x in enumerate(lines) if x.strip().startswith("### G. Execution Queue & Task Hooks")), None)
    queues: list[tuple[str, list[tuple[str, str]]]] = []
    for index, line in enumerate(lines[start:] if start is not None else []):
        if index and (line.startswith("## ") or (line.startswith("### ") and not line.strip().startswith("### G."))):
            break
        match = re.match(r"^\s*\d+\.\s*\*\*Queue\s+([A-Z])\s+—\s+(.+?)\*\*\s*$", line)
        if match:
            queues.append((f"Queue {match[1]} — {match[2].strip()}", []))
        elif queues and line.strip().startswith("- Tasks:"):
            queues[-1][1].extend((found, layer_of(found)) for found in re.findall(r"`(TASK-[0-9]{3,})`", line))
    return queues


def bare(plan: ExecutionPlan) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(q.name, [(t.title, t.layer) for t in q.tasks if t.id.partition("#")[0] == t.title]) for q in plan.queues]


LEGACY_LINES = st.sampled_from(
    [
        "### G. Execution Queue & Task Hooks",
        "  ### G. Execution Queue & Task Hooks (2)",
        "### H. Next",
        "## Other",
        "### G. More",
        "1. **Queue A — First**",
        "2. **Queue B — Second **  ",
        "  3.**Queue C —  Third**",
        "4. **Queue D - Hyphen**",
        "5. **Queue E — **",
        "6. **Queue F —  **",
        "7. **Queue AA — Two**",
        "8. **Queue G — a**b**",
        "9. **Queue H —x**",
        "10. **Queue\tI\u00a0— N**",
        "1. **Queue A — First** trailing",
        "**Queue Z — no number**",
        "x1. **Queue A — First**",
        "- Tasks: `TASK-001`, `TASK-002`",
        "   - Tasks: `TASK-022` `TASK-022`",
        "- Tasks: TASK-003 `TASK-04` `TASK-0999`",
        "- Tasks:`TASK-061``TASK-062`",
        "* Tasks: `TASK-005`",
        "- tasks: `TASK-006`",
        "- Tasks: `TASK-٠٠١`",
        "- Needs: x",
        "",
        "text",
        "```sh",
        "```",
        "\x0b",
        "\u2028- Tasks: `TASK-007`",
        "1. **Queue A — x\x0c**",
        "### `TASK-010` Heading",
    ]
)
LEGACY = st.tuples(st.lists(LEGACY_LINES, max_size=25), st.sampled_from(["\n", "\r\n", "\r"])).map(
    lambda drawn: drawn[1].join(["### G. Execution Queue & Task Hooks", *drawn[0]])
)


@settings(max_examples=examples(1500), deadline=None)
@given(LEGACY)
def test_invariant_8_legacy_files_give_the_legacy_plan(text: str) -> None:
    result = plan_text(text)

    assert result.legacy
    assert result.plan is not None
    assert bare(result.plan) == old_plan(text)
    ids = [task.id for _, task in result.plan.tasks()]
    assert len(ids) == len(set(ids))
    for id_ in ids:
        name, _, count = id_.partition("#")
        assert count == "" or (int(count) >= 2 and name in ids)


@settings(max_examples=examples(400), deadline=None)
@given(st.text(max_size=400) | st.binary(max_size=400))
def test_invariant_8_any_text_gives_a_plan_or_diagnostics(data: str | bytes) -> None:
    result = plan_text(data) if isinstance(data, str) else plan_bytes(data)

    assert (result.plan is None) == bool(result.diagnostics)


def hostile() -> Iterator[str]:
    size = 1_000_000
    head = "# T\n\n## Queue A — One\n\n### `TASK-001` First\n\n"
    for unit in (
        "*",
        "`",
        ">",
        "- ",
        "<",
        "#",
        "<div>",
        "<!--",
        "-->",
        "[",
        "\\",
        "\n",
        "\t",
        "> - ",
        "``` ",
        "- Needs: ",
        "&amp;",
    ):
        yield head + unit * (size // len(unit))
    for unit in (
        "- a\n",
        "```sh\nx\n```\n",
        "~~~\n",
        "<div>\n\n",
        "- Needs: `TASK-001`\n",
        "### `TASK-002`\n",
        "text <!-- \n",
        "a\n===\n",
    ):
        yield head + unit * (size // len(unit))
    yield "### G. Execution Queue & Task Hooks\n1. **Queue A — " + "**" * (size // 2)
    yield "### G. Execution Queue & Task Hooks\n" + "1" * size + ". **Queue A — x**"
    yield "### G. Execution Queue & Task Hooks\n" + " " * size + "x"
    yield head + "- Needs: " + ", ".join(f"TASK-{n}" for n in range(1000, 80_000))


CHILD = """
import sys, time
sys.path.insert(0, {root!r})
from tests.properties.test_invariant_8_planner import hostile
from tek_planner import plan_text
for index, text in enumerate(hostile()):
    started = time.process_time()
    plan_text(text)
    took = time.process_time() - started
    assert took < 6, (index, took, text[60:100])
"""


def test_invariant_8_hostile_megabytes_take_linear_time(request: pytest.FixtureRequest) -> None:
    script = CHILD.format(root=str(request.config.rootpath))
    subprocess.run([sys.executable, "-c", script], check=True, timeout=180)


def test_invariant_8_a_hundred_thousand_legacy_tasks_are_planned() -> None:
    lines = ["### G. Execution Queue & Task Hooks"]
    for queue in range(20):
        lines.append(f"{queue + 1}. **Queue {chr(65 + queue)} — Part {queue}**")
        ids = [f"`TASK-{queue * 5000 + n:06d}`" for n in range(5000)]
        lines += ["- Tasks: " + ", ".join(ids[at : at + 50]) for at in range(0, 5000, 50)]

    result = plan_text("\n".join(lines))

    assert result.plan is not None
    assert sum(len(queue.tasks) for queue in result.plan.queues) == 100_000
