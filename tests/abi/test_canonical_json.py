"""Canonical JSON: RFC 8785 on the subset that tek allows, and nothing outside it."""

from __future__ import annotations

import enum
from collections import OrderedDict, namedtuple
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings

from tek_abi import Position, Value, ValueNotAllowed, canonical, check_value, digest, idempotence_key
from tek_abi.canonical import MAX_DEPTH, MAX_INTEGER
from tek_agents.testing.strategies import json_values, values


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


@settings(max_examples=300, deadline=None)
@given(values(20))
def test_canonical_bytes_are_those_of_rfc_8785(value: Value) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@settings(max_examples=300, deadline=None)
@given(json_values(20))
def test_what_is_not_refused_is_written_as_rfc_8785_writes_it_and_read_back_the_same(value: Any) -> None:
    try:
        written = canonical(value)
    except ValueNotAllowed:
        return
    assert written == rfc8785.dumps(value)
    assert orjson.loads(written) == value


class Colour(enum.StrEnum):
    RED = "red"


Pair = namedtuple("Pair", "a b")  # the untyped form is the one under test


@pytest.mark.parametrize(
    ("value", "where", "problem"),
    [
        (1.0, "", "float"),
        (float("nan"), "", "float"),
        ({"a": [0, {"b": 0.5}]}, "a[1].b", "float"),
        (MAX_INTEGER + 1, "", "beyond 2^53 - 1"),
        (-MAX_INTEGER - 1, "", "beyond 2^53 - 1"),
        (10**5000, "", "beyond 2^53 - 1"),
        ("\ud800", "", "lone surrogate"),
        (["ok", "\udfffx"], "[1]", "lone surrogate"),
        ({"é": 1}, "", "ASCII"),
        ({1: 1}, "", "ASCII"),
        ({Colour.RED: 1}, "", "ASCII"),
        (nested(MAX_DEPTH + 1), "[0]" * MAX_DEPTH, "deeper"),
        (nested(100_000), "[0]" * MAX_DEPTH, "deeper"),
        (b"bytes", "", "bytes is not a value"),
        ({"a": {1}}, "a", "set is not a value"),
        (Pair(1, 2), "", "Pair is not a value"),
        (object(), "", "object is not a value"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value.encode("ascii", "replace").decode()[:20],
)
def test_what_has_no_canonical_form_is_refused_with_its_place(value: Any, where: str, problem: str) -> None:
    with pytest.raises(ValueNotAllowed) as refused:
        canonical(value)
    assert refused.value.where == where
    assert problem in refused.value.problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (nested(MAX_DEPTH), b"[" * MAX_DEPTH + b"null" + b"]" * MAX_DEPTH),
        (MAX_INTEGER, b"9007199254740991"),
        (-MAX_INTEGER, b"-9007199254740991"),
        ((1, (2,)), b"[1,[2]]"),
        (OrderedDict(b=1, a=2), b'{"a":2,"b":1}'),
        ([Colour.RED], b'["red"]'),
        ("€😀\u007f\u0000", '"€😀\u007f\\u0000"'.encode()),
    ],
    ids=["depth", "max", "min", "tuples", "dict", "enum", "text"],
)
def test_what_is_just_allowed_is_written(value: Any, expected: bytes) -> None:
    assert canonical(value) == expected


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueNotAllowed, match="deeper"):
        check_value(loop)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"),
        ([], "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
        ({}, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        ({"b": [1, True, None], "a": "€"}, "7bcc538b94cb3c570c0cc48e03f84f6f5c2e663b6a8b9e99df53456691625086"),
    ],
)
def test_digests_never_change(value: Value, expected: str) -> None:
    """Ledgers of every version rest on these."""
    assert digest(value) == expected


def test_idempotence_keys_never_change_and_leave_out_the_attempt() -> None:
    keys = {idempotence_key("run", Position("TASK-001", n, (0, 1, 2)), "fs.write", 1, "0" * 64) for n in (1, 2)}
    assert keys == {"e5ffc1835881b04d539334c8771696a3166174c56c0faa9d49b8bbab51445e40"}
