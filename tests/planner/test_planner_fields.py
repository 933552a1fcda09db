"""Fields, headings and steps of the new form, one by one (docs/grammar.md)."""

from __future__ import annotations

from typing import Any

import pytest

from tek_abi import UNLIMITED, ExecutionPlan, Limit, Step, Task
from tek_planner import plan_text


def accepted(text: str) -> ExecutionPlan:
    result = plan_text(text)
    assert result.plan is not None, "\n".join(problem.render() for problem in result.diagnostics)
    return result.plan


def only_task(fields: str = "", body: str = "") -> Task:
    plan = accepted(f"# T\n\n## Queue A — One\n\n### `TASK-001` First\n\n{fields}\n\n{body}\n")
    ((_, task),) = plan.tasks()
    return task


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("- Agent: noop", "agent", "noop"),
        ("- Agent: `my-agent.v2`", "agent", "my-agent.v2"),
        ("- **Timeout**: 90s", "timeout", 90_000),
        ("- **Timeout:** 2m", "timeout", 120_000),
        ("* Retries: 3", "retries", 3),
        ("+ Cwd: `sub/dir`", "cwd", "sub/dir"),
        ("- Idempotent: yes", "idempotent", True),
        ("- Layer: services", "layer", "services"),
        ("- Inputs: `src/**` `*.md`", "inputs", ("src/**", "*.md")),
        ("- Outputs: `out/**`", "outputs", ("out/**",)),
        ("- Env: `A=1` `B=x y` `TOKEN=secret:NAME`", "env", (("A", "1"), ("B", "x y"), ("TOKEN", "secret:NAME"))),
        ("- Budget: `ms=90s` `io=64MiB`", "budget", Limit(ms=90_000, io=64 * 2**20)),
        ("- Budget: tokens=unlimited", "budget", Limit(tokens=UNLIMITED)),
    ],
)
def test_a_field_becomes_a_typed_value(field: str, name: str, value: Any) -> None:
    assert getattr(only_task(field), name) == value


def test_allow_asks_by_rules_in_canonical_form() -> None:
    task = only_task("- Allow: `fs.read:src/**` `proc.exec:python3`\n- Allow: `fs.write:/var/tmp/x`")

    rules = [(rule.action[0], rule.resource[0]) for allow in task.allow for rule in allow.rules]
    assert rules == [("fs.read", "$WORKSPACE/src/**"), ("proc.exec", "python3"), ("fs.write", "$SYSTEM/var/tmp/x")]


@pytest.mark.parametrize("key", ["Needs", "Requires", "Depends on", "After", "needs"])
def test_needs_have_aliases_and_name_tasks_and_queues(key: str) -> None:
    plan = accepted(
        "## Queue A — One\n### `TASK-001` First\n## Queue B — Two\n### `TASK-002` Second\n"
        f"- {key}: `TASK-001`, Queue A and A\n"
    )

    assert [task.needs for _, task in plan.tasks()] == [(), ("TASK-001", "A")]


def test_fields_go_from_document_to_queue_to_task() -> None:
    plan = accepted(
        "# T\n\n- Timeout: 5m\n- Env: `A=1` `B=1`\n- Retries: 2\n- Budget: `ms=10m`\n\n"
        "## Queue A — One\n\n- Agent: shell\n- Env: `B=2`\n- Budget: `ms=5m`\n\n"
        "### `TASK-001` First\n\n- Timeout: 1m\n- Retries: 0\n- Budget: `ms=1m`\n\n### `TASK-002` Second\n"
    )

    first, second = (task for _, task in plan.tasks())
    assert (first.timeout, first.retries, first.agent, first.env) == (60_000, 0, "shell", (("A", "1"), ("B", "2")))
    assert (second.timeout, second.retries) == (300_000, 2)
    assert (plan.budget, plan.queues[0].budget) == (Limit(ms=600_000), Limit(ms=300_000))
    assert (first.budget, second.budget) == (Limit(ms=60_000), Limit())


def test_blocks_are_steps_in_order_and_other_languages_are_shown() -> None:
    body = "```sh\necho a\n```\n\n```python\nprint()\n```\n\n~~~bash\necho b\n~~~\n"
    body += "\n```argv\n# note\ngit log -1\n\nls 'a b'\n```"

    task = only_task("", body)

    assert [step.argv for step in task.steps] == [
        ("sh", "-eu", "-c", "echo a\n"),
        ("bash", "-euo", "pipefail", "-c", "echo b\n"),
        ("git", "log", "-1"),
        ("ls", "a b"),
    ]
    assert all(isinstance(step, Step) and step.source == "block" for step in task.steps)


def test_another_heading_ends_the_task() -> None:
    plan = accepted("## Queue A — One\n### `TASK-001` First\n## Notes\n```sh\nnever\n```\n### `TASK-002` Second\n")

    assert [(task.id, task.steps) for _, task in plan.tasks()] == [("TASK-001", ()), ("TASK-002", ())]


def test_a_legacy_list_with_tek_1_has_its_tasks_described_by_headings() -> None:
    plan = accepted(
        "# T\n\n- Tek: 1\n\n### G. Execution Queue & Task Hooks\n\n"
        "1. **Queue A — One**\n   - Tasks: `TASK-001`, `TASK-002`\n\n"
        "## Details\n\n### `TASK-002` Second\n\n```sh\necho 2\n```\n"
    )

    first, second = (task for _, task in plan.tasks())
    assert (first.title, first.steps) == ("TASK-001", ())
    assert (second.title, second.steps[0].argv) == ("Second", ("sh", "-eu", "-c", "echo 2\n"))


def test_a_file_with_the_legacy_section_runs_no_block() -> None:
    result = plan_text(
        "### G. Execution Queue & Task Hooks\n1. **Queue A — One**\n- Tasks: `TASK-001`\n```sh\necho x\n```\n"
    )

    assert result.legacy
    assert result.plan is not None
    assert [task.steps for _, task in result.plan.tasks()] == [()]


def test_plain_points_under_the_documents_heading_are_prose() -> None:
    assert accepted("# T\n\n- one point\n- another\n\n## Queue A — One\n").queues[0].name == "Queue A — One"


def test_lines_end_at_lf_and_a_carriage_return_before_it_is_dropped() -> None:
    task = accepted("## Queue A — One\r\n### `TASK-001` First\r\n```sh\r\necho x\r\n```\r\n").queues[0].tasks[0]

    assert task.steps[0].argv[-1] == "echo x\n"
