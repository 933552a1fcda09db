"""Outcomes as exceptions."""

from __future__ import annotations

import pytest

from tek_abi import BudgetExhausted, Cancelled, Denial, Denied, Failed, Failure, TekError
from tek_agents import (
    AlreadyExists,
    BudgetDenied,
    EffectDenied,
    EffectFailed,
    NotFound,
    TaskCancelled,
    TimedOut,
    exception_for,
)

EXHAUSTED = BudgetExhausted("io", limit=10, spent=4, reserved=0, requested=7)


def test_a_denial_is_a_permission_error_with_its_reason_and_what_would_grant_it() -> None:
    reason = Denial("permit", "fs.write on $WORKSPACE/a is granted by no rule", "none", "add `fs.write:a`")

    error = exception_for(Denied(reason))

    assert isinstance(error, EffectDenied)
    assert isinstance(error, PermissionError)
    assert not isinstance(error, BudgetDenied)
    assert error.reason is reason
    assert str(error) == "fs.write on $WORKSPACE/a is granted by no rule\n  to grant it: add `fs.write:a`"


def test_a_denial_for_want_of_budget_has_the_numbers() -> None:
    error = exception_for(Denied(Denial("budget", str(EXHAUSTED), exhausted=EXHAUSTED)))

    assert isinstance(error, BudgetDenied)
    assert error.exhausted is EXHAUSTED


@pytest.mark.parametrize(("account", "code"), [("task", "budget"), ("queue", "ceiling"), ("run", "ceiling")])
def test_a_budget_that_runs_out_midway_is_a_denial_and_no_failure(account: str, code: str) -> None:
    exhausted = BudgetExhausted("io", 10, 4, 0, 7, account)

    error = exception_for(
        Failed(Failure("budget-exhausted", "wrote more than 10 bytes", exhausted, grant="--budget io=11"))
    )

    assert isinstance(error, BudgetDenied)
    assert not isinstance(error, EffectFailed)
    assert error.reason.code == code
    assert error.exhausted is exhausted
    assert str(error) == "wrote more than 10 bytes\n  to grant it: --budget io=11"


@pytest.mark.parametrize(
    ("code", "kind", "builtin"),
    [
        ("not-found", NotFound, FileNotFoundError),
        ("exists", AlreadyExists, FileExistsError),
        ("timeout", TimedOut, TimeoutError),
        ("tls", EffectFailed, OSError),
    ],
)
def test_a_failure_is_the_builtin_error_that_it_is(code: str, kind: type[EffectFailed], builtin: type[OSError]) -> None:
    error = exception_for(Failed(Failure(code, "what happened")))

    assert type(error) is kind
    assert isinstance(error, builtin)
    assert isinstance(error, TekError)
    assert error.code == code
    assert str(error) == f"{code}: what happened"


@pytest.mark.parametrize(("by", "text"), [("race", "cancelled by race"), ("", "cancelled")])
def test_a_cancellation_says_by_what(by: str, text: str) -> None:
    error = exception_for(Cancelled(by))

    assert isinstance(error, TaskCancelled)
    assert str(error) == text
