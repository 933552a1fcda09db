"""Building a plan from a document's blocks: queues, tasks, fields, steps (DESIGN section 7)."""

from __future__ import annotations

import re
from html import unescape
from typing import Final, TypeVar

import attrs

from tek_abi import ExecutionPlan, Limit, Queue, Step, Task, layer_of
from tek_planner.fields import FieldReader, Fields, Need
from tek_planner.keys import is_known_key, split_field
from tek_planner.legacy import numbered, queue_header, task_ids
from tek_planner.needs import check_needs
from tek_planner.problems import Problems
from tek_planner.scan import Block, Break, Fence, Heading, Item, marks_of
from tek_planner.steps import is_runnable, steps_of

MAX_TASKS: Final = 1_000_000
_TASK: Final = re.compile(r"`(TASK-[0-9]{3,})`(?!`)(.*)$", re.ASCII)
_QUEUE: Final = re.compile(r"Queue ([A-Z]{1,8}) — (\S.*)$")
_LIKE_TASK = re.compile(r"[^\w\s]{0,3}[`\s]*TASK-\d{3,}", re.IGNORECASE)
_LIKE_TASK_HEADING = re.compile(r"#+[ \t]*`+[ \t]*TASK-\d{3,}", re.IGNORECASE)


@attrs.define
class _Task:
    id: str
    title: str
    line: int | None = None
    reader: FieldReader | None = None
    steps: list[Step] = attrs.field(factory=list)


@attrs.define
class _Queue:
    name: str
    line: int
    tasks: list[_Task] = attrs.field(factory=list)
    reader: FieldReader | None = None


class Builder:
    """Builds one plan. ``section`` are the lines of a legacy section, by number.

    ``raw_html`` is the first line that may hide what stands below it, 0 for none.
    """

    def __init__(self, problems: Problems, section: dict[int, str], raw_html: int = 0) -> None:
        self._problems = problems
        self._section = section
        self._raw_html = raw_html
        self._document = FieldReader(problems, "document", "document")
        self._queues: list[_Queue] = []
        self._letters: dict[str, int] = {}
        self._tasks: dict[str, list[_Task]] = {}
        self._described: dict[str, int] = {}
        self._task: _Task | None = None
        self._context = "start"
        self._reader: FieldReader | None = None
        self._last_item = 0
        self._legacy_queue: _Queue | None = None
        self._seen: dict[str, int] = {}

    def build(self, blocks: list[Block]) -> ExecutionPlan:
        """Return the plan; where problems were noted it is not to be used."""
        for number, line in sorted(self._section.items()):
            if queue_header(line) is not None or task_ids(line):
                self._shown(number)
            self._legacy(line)
        index = 0
        while index < len(blocks):
            block = blocks[index]
            match block:
                case Heading():
                    self._heading(block, blocks[index + 1 : index + 2])
                case Item():
                    self._item(block, blocks, index)
                case Fence():
                    self._reader = None
                    self._fence(block)
                case Break():
                    self._break(block)
            index += 1
        return self._plan()

    def _legacy(self, line: str) -> None:
        name = queue_header(line)
        if name is not None:
            self._legacy_queue = _Queue(name, 0)
            self._queues.append(self._legacy_queue)
            self._letters.setdefault(name.removeprefix("Queue ")[0], 0)
        elif self._legacy_queue is not None:
            for bare in task_ids(line):
                self._declare(self._legacy_queue, _Task(numbered(bare, self._seen), bare))

    def _declare(self, queue: _Queue, task: _Task) -> None:
        queue.tasks.append(task)
        self._tasks.setdefault(task.id.partition("#")[0], []).append(task)

    def _heading(self, heading: Heading, following: list[Block]) -> None:
        first, self._reader, self._task = self._context == "start", None, None
        self._context = "other"
        if heading.text.startswith(("`TASK-", "Queue ")):
            self._shown(heading.line)
        if heading.text.startswith("`TASK-"):
            self._task_heading(heading)
        elif heading.text == "Queue" or heading.text.startswith("Queue "):
            self._queue_heading(heading)
        elif not self._lookalike(heading) and first:
            self._context = "document"
            self._reader = self._document

    def _lookalike(self, heading: Heading) -> bool:
        """Note a heading that is shown like a queue's or task's, but is none. Returns whether it is one."""
        shown = unescape(heading.text)
        text = shown.translate({0xA0: " ", 0x2D: "—", 0x2013: "—", 0x2015: "—"})
        found = _QUEUE.match(" ".join(text.split())) or _LIKE_TASK.match(shown)
        if found:
            self._problems.add(
                "TEK201",
                heading.line,
                heading.column,
                "this heading looks like a queue or task, but is neither",
                "write ## Queue A — Name with an em dash, or ### `TASK-001` Title with the id in backticks",
            )
        return found is not None

    def _clean(self, heading: Heading) -> bool:
        bad = next((i for i, c in enumerate(heading.text) if not c.isprintable() or c == "\xa0"), None)
        if bad is None:
            return True
        self._problems.add(
            "TEK105",
            heading.line,
            heading.column + bad,
            f"an invisible character U+{ord(heading.text[bad]):04X}",
            "type a plain blank, or remove it",
        )
        return False

    def _queue_heading(self, heading: Heading) -> None:
        match = _QUEUE.match(heading.text)
        if match is None or not self._clean(heading):
            if match is None:
                self._problems.add(
                    "TEK202",
                    heading.line,
                    heading.column,
                    "this heading starts with Queue, but names none",
                    "write ## Queue A — Name: capital letters, an em dash (—), a name",
                )
            return
        if match[1] in self._letters:
            self._problems.add(
                "TEK203",
                heading.line,
                heading.column,
                f"Queue {match[1]} is there already",
                "give each queue its own letter",
            )
            return
        self._letters[match[1]] = heading.line
        self._reader = FieldReader(self._problems, f"Queue {match[1]}", "queue")
        self._queues.append(_Queue(f"Queue {match[1]} — {match[2]}", heading.line, reader=self._reader))
        self._context = "queue"

    def _task_heading(self, heading: Heading) -> None:
        match = _TASK.match(heading.text)
        if match is None:
            self._problems.add(
                "TEK204",
                heading.line,
                heading.column,
                "this is not a task's id",
                "write `TASK-` and three digits or more, in backticks",
            )
            return
        if not self._clean(heading):
            return
        id_, title = match[1], match[2].strip() or match[1]
        if id_ in self._described:
            self._problems.add(
                "TEK205",
                heading.line,
                heading.column,
                f"{id_} has a heading already, on line {self._described[id_]}",
                "give the task an id of its own",
            )
            return
        self._described[id_] = heading.line
        self._reader = FieldReader(self._problems, id_, "task")
        self._context = "task"
        known = self._tasks.get(id_)
        if known is None:
            queue = next((q for q in reversed(self._queues) if q.line), None)
            if queue is None:
                self._problems.add(
                    "TEK206",
                    heading.line,
                    heading.column,
                    f"{id_} stands under no queue",
                    "put ## Queue A — Name above it",
                )
                return
            self._declare(queue, _Task(id_, title))
            known = self._tasks[id_]
        self._task = known[0]
        for task in known:
            task.title, task.line, task.reader, task.steps = title, heading.line, self._reader, self._task.steps

    def _item(self, item: Item, blocks: list[Block], index: int) -> None:
        if item.line in self._section:
            return
        if self._reader is self._document and not self._looks_like_fields(blocks, index):
            self._reader = None
        if self._reader is not None and not item.ordered:
            self._shown(item.line)
            self._reader.read(item)
            self._last_item = item.line
        elif self._context in ("task", "queue") and is_known_key(item.text):
            self._misplaced(item.line, item.column)
            self._reader = None
        else:
            self._reader = None

    def _looks_like_fields(self, blocks: list[Block], index: int) -> bool:
        """Whether the list right under the document's heading holds fields; plain points are prose."""
        if self._last_item:
            return True
        for block in blocks[index:]:
            if not isinstance(block, Item):
                break
            if split_field(block.text) is not None:
                return True
        return False

    def _break(self, block: Break) -> None:
        if block.line in self._section:
            return
        reader, self._reader = self._reader if self._last_item else None, None
        text = self._problems.lines[block.line - 1]
        if _LIKE_TASK_HEADING.match(text):
            help_ = "write one to six #, a blank, then the id: ### `TASK-001` Title"
            self._problems.add("TEK207", block.line, 1, "this looks like a task's heading, but is none", help_)
        if self._context in ("task", "queue"):
            if self._context == "task" and block.unsure[0]:
                self._problems.add("TEK208", block.line, 1, *block.unsure)
            if is_known_key(text[marks_of(text) :].strip()):
                self._misplaced(block.line, marks_of(text) + 1)
        if reader is not None and self._context != "other" and (block.line == self._last_item + 1 or text[:1] in " \t"):
            self._problems.add(
                "TEK313",
                block.line,
                1,
                "a field is one line; this would be shown as part of it",
                "join the lines, or put a blank line before text at column 1",
            )
            self._reader = reader
        self._last_item = 0

    def _misplaced(self, line: int, column: int) -> None:
        self._problems.add(
            "TEK312",
            line,
            column,
            "a field stands outside its list",
            "move it up, right under the heading, with nothing between",
        )

    def _fence(self, fence: Fence) -> None:
        if self._context == "task" and self._task is not None:
            if is_runnable(fence):
                self._shown(fence.line)
            self._task.steps += steps_of(fence, self._problems)

    def _shown(self, line: int) -> None:
        """Check that what counts on a line is not below raw HTML. Told once: its cause is one."""
        if 0 < self._raw_html <= line:
            self._problems.add(
                "TEK601",
                line,
                1,
                f"this may not be shown: line {self._raw_html} has raw HTML",
                f"remove the HTML of line {self._raw_html}, or write its < as \\<",
            )
            self._raw_html = 0

    def _plan(self) -> ExecutionPlan:
        document = self._document.fields
        places: dict[str, list[Need]] = {}
        queues = tuple(self._queue(queue, document, places) for queue in self._queues)
        if sum(len(queue.tasks) for queue in queues) > MAX_TASKS:
            self._problems.add("TEK209", 1, 1, f"a plan has at most {MAX_TASKS} tasks", "split it")
        check_needs(queues, places, self._problems)
        return ExecutionPlan(queues, tuple(document.allow), document.budget)

    def _queue(self, queue: _Queue, document: Fields, places: dict[str, list[Need]]) -> Queue:
        fields = queue.reader.fields if queue.reader else Fields()
        self._narrower(fields, document.budget, queue.name)
        if fields.needs:
            places[queue.name] = fields.needs
        parent = fields.budget.inherit(document.budget)
        tasks = tuple(self._make_task(task, fields, document, parent, places) for task in queue.tasks)
        needs = tuple(dict.fromkeys(need.name for need in fields.needs))
        return Queue(queue.name, tasks, needs, tuple(fields.allow), fields.budget, queue.line or None)

    def _make_task(
        self, task: _Task, queue: Fields, document: Fields, parent: Limit, places: dict[str, list[Need]]
    ) -> Task:
        fields = task.reader.fields if task.reader else Fields()
        self._narrower(fields, parent, task.id)
        if fields.needs:
            places[task.id] = fields.needs
        env = {**document.env, **queue.env, **fields.env}
        return Task(
            id=task.id,
            title=task.title,
            layer=fields.layer or queue.layer or document.layer or layer_of(task.id),
            needs=tuple(dict.fromkeys(need.name for need in fields.needs)),
            agent=fields.agent or queue.agent or document.agent,
            allow=tuple(fields.allow),
            budget=fields.budget,
            timeout=fields.timeout or queue.timeout or document.timeout,
            retries=_given(fields.retries, queue.retries, document.retries) or 0,
            env=tuple(env.items()),
            cwd=fields.cwd or queue.cwd or document.cwd,
            inputs=fields.inputs,
            outputs=fields.outputs,
            idempotent=_given(fields.idempotent, queue.idempotent, document.idempotent) or False,
            steps=tuple(task.steps),
            line=task.line,
        )

    def _narrower(self, fields: Fields, parent: Limit, owner: str) -> None:
        wider = fields.budget.wider_than(parent)
        if wider is not None:
            line, column = fields.budget_line
            self._problems.add(
                "TEK311",
                line,
                column,
                f"the budget of {owner} is wider than the one above it in {wider}",
                f"lower it to {wider}={parent[wider]} or less, or raise the one above",
            )


_Value = TypeVar("_Value")


def _given(*values: _Value | None) -> _Value | None:
    """Return the innermost value that is given: 0 and no are values too."""
    return next((value for value in values if value is not None), None)
