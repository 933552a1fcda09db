"""The built-in agents: noop asks for nothing, shell runs a task's steps."""

from __future__ import annotations

from typing import Any

import pytest

from tek_abi import Assignment, BudgetExhausted, Cancelled, Denial, Denied, Failed, Failure, Step, TaskReport
from tek_abi.vocabulary.proc import Exec
from tek_agents import BudgetDenied, EffectDenied, NoopAgent, ShellAgent, TaskCancelled
from tek_agents.testing import exited, script, task

ONE, TWO, THREE = (Step((f"step{number}",), line=10 + number) for number in (1, 2, 3))
HOOKS = tuple(Step((f"hook{number}",), "hook", line=number) for number in (1, 2, 3))
TIMEOUT = Failed(Failure("timeout", "not done within 5 s"))


def ran(assignment: Assignment, *outcomes: Any, start: int = 0) -> TaskReport:
    """Run the shell agent where its steps from ``start`` on have these outcomes, and no further step is run."""
    steps = assignment.steps[start : start + len(outcomes)]
    lines = [(Exec(step.argv), outcome) for step, outcome in zip(steps, outcomes, strict=True)]
    report = script(lines).run(ShellAgent(), assignment)
    assert isinstance(report, TaskReport)
    return report


def test_noop_asks_for_nothing_and_says_so() -> None:
    assert script([]).run(NoopAgent(), task(steps=(ONE,))) == TaskReport("noop")


def test_a_task_without_steps_is_a_noop() -> None:
    assert ran(task()) == TaskReport("noop")


def test_all_steps_run_in_order() -> None:
    assert ran(task(steps=(ONE, TWO)), exited(), exited()) == TaskReport(progress=2)


def test_a_step_runs_with_the_tasks_environment_in_its_own_directory_or_the_tasks() -> None:
    env = (("A", "1"), ("TOKEN", "secret:T"))
    steps = (Step(("one",), cwd="sub"), Step(("two",)))
    asked = [(Exec(("one",), "sub", env), exited()), (Exec(("two",), "src", env), exited())]

    assert script(asked).run(ShellAgent(), task(steps=steps, env=env, cwd="src")).status == "ok"


def test_a_block_stops_at_the_first_step_that_fails_and_names_it() -> None:
    report = ran(task(steps=(ONE, TWO, THREE)), exited(), exited(1, stderr=b"warming up\nno such file\n"))

    assert report == TaskReport("failed", "step 2 of 3 (line 12) exited with 1: no such file", progress=1)


def test_a_step_killed_by_a_signal_is_named_so() -> None:
    assert ran(task(steps=(ONE,)), exited(signal=11)).message == "step 1 of 1 (line 11) was killed by SIGSEGV"


def test_a_step_without_a_line_is_named_by_its_number() -> None:
    assert ran(task(steps=(Step(("x",)),)), exited(3)).message == "step 1 of 1 exited with 3"


def test_a_step_whose_effect_fails_ends_the_task_and_keeps_the_progress() -> None:
    report = ran(task(steps=(ONE, TWO, THREE)), exited(), TIMEOUT)

    assert report == TaskReport("failed", "step 2 of 3 (line 12) failed: timeout: not done within 5 s", progress=1)


def test_a_retry_goes_on_from_the_step_that_failed() -> None:
    again = task(steps=(ONE, TWO, THREE), attempt=2, progress=1)

    assert ran(again, exited(), exited(), start=1) == TaskReport(progress=3)
    assert ran(again, exited(), exited(4), start=1) == TaskReport(
        "failed", "step 3 of 3 (line 13) exited with 4", progress=2
    )


def test_a_retry_with_nothing_left_to_do_is_ok() -> None:
    assert ran(task(steps=(ONE,), attempt=2, progress=1)) == TaskReport(progress=1)


def test_all_commands_of_a_hook_run_even_after_one_has_failed() -> None:
    report = ran(task(steps=HOOKS), exited(), exited(1, stderr=b"bad"), exited())

    assert report == TaskReport("failed", "step 2 of 3 (hook command 2) exited with 1: bad", progress=1)


def test_several_failures_of_a_hook_are_counted() -> None:
    report = ran(task(steps=HOOKS), exited(1), TIMEOUT, exited(2))

    assert report == TaskReport("failed", "step 1 of 3 (hook command 1) exited with 1 (3 steps failed)", progress=0)


@pytest.mark.parametrize("steps", [(ONE, TWO), HOOKS[:2]])
@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Denied(Denial("permit", "no rule grants it")), EffectDenied),
        (Failed(Failure("budget-exhausted", "over", BudgetExhausted("io", 1, 0, 0, 2))), BudgetDenied),
        (Cancelled("interrupt"), TaskCancelled),
    ],
)
def test_denials_and_cancellations_pass_through(steps: tuple[Step, ...], outcome: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        ran(task(steps=steps), outcome)
