"""Granting on a terminal: one question a task that declares more than the policy grants, before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import click

from tek_abi import ExecutionPlan, Policy, Queue, Task
from tek_kernel import Approval, Authority, Verifier, beyond, utc_now
from tek_kernel.approval import Answer
from tek_runner.console import counted, printable

_WORDS: Final[dict[str, Answer]] = {"o": "once", "a": "always", "n": "no", "": "no"}
_PROMPT: Final = "Grant it? [o]nce, [a]lways for this task, [n]o, [q] no to this and all others (no): "


@attrs.frozen
class Question:
    """What one task declares beyond the policy: ``rules`` as ``--allow`` takes them."""

    queue: Queue
    task: Task
    rules: tuple[str, ...]


def questions(
    plan: ExecutionPlan,
    policy: Policy,
    protected: Sequence[str],
    keys: Sequence[bytes],
    choose: Callable[[Task], str],
    selected: frozenset[str],
) -> list[Question]:
    """Return a question for each task that is to run and declares more than the policy grants."""
    authority, at = Authority(policy, protected, Verifier(tuple(keys))), utc_now()
    found: list[Question] = []
    for queue, task in plan.tasks():
        agent = choose(task)
        if (selected and task.id not in selected) or agent == "noop":
            continue
        if rules := beyond(authority, plan, queue, task, agent, at):
            found.append(Question(queue, task, tuple(rules)))
    return found


def can_ask() -> bool:
    """Whether somebody is there to answer: a terminal on both sides."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(asked: Sequence[Question], source: str) -> tuple[Approval, ...]:
    """Put each question to whoever sits at the terminal, and return the answers. The end of input is a no to the rest.

    Raises ``click.Abort`` on an interrupt.
    """
    if asked:
        click.echo(f"{counted(len(asked), 'task')} of this plan asks for more than the policy grants.")
    answers: list[Approval] = []
    rest = False
    for question in asked:
        answer = "no" if rest else _answer(question, source)
        rest = rest or answer is None
        answers.append(Approval(question.task.id, answer or "no", question.rules))
    return tuple(answers)


def _answer(question: Question, source: str) -> Answer | None:
    """Return one answer; ``None`` is a no to this and all further questions."""
    task = question.task
    line = f"  {source}:{task.line}" if task.line else ""
    title = "" if task.title == task.id else f"  {task.title}"
    click.echo(printable(f"\n{task.id}{title}  ({question.queue.name}){line}").replace("\n", "\n", 1))
    for rule in question.rules:
        click.echo(printable(f"  {rule:<40}  {_meaning(rule)}"))
    while True:
        click.echo(_PROMPT, nl=False)
        word = sys.stdin.readline()
        if not word:
            click.echo()
            return None
        word = word.strip().lower()
        if word == "q":
            return None
        letter = word[:1] if word in ("once", "always", "no", "yes") else word
        if letter in _WORDS:
            return _WORDS[letter]
        click.echo(f"  {printable(word[:40])!r} is none of o, a, n, q")


_MEANINGS: Final = {
    "fs.read": "read it",
    "fs.write": "change it",
    "proc.exec": "start this program",
    "net.http": "reach this over the network",
    "env.get": "see your variable of this name",
}


def _meaning(rule: str) -> str:
    return _MEANINGS.get(rule.partition(":")[0], "")
