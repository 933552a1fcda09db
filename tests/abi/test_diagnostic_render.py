"""Diagnostics: where the caret stands, and that no input reaches the terminal raw."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Diagnostic, InvalidInput
from tek_agents.testing.strategies import diagnostics, texts


def excerpt(text: str, column: int) -> tuple[str, int]:
    """Return the shown line and the caret's place under it."""
    _, shown, under = Diagnostic("p", 1, column, "m", text=text).render().split("\n")
    assert shown[:8] == "    1 | "
    assert under[:8] == "      | "
    assert under.strip("| ") == "^"
    return shown[8:], under.index("^") - 8


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_a_diagnostic_shows_place_message_line_caret_and_help() -> None:
    diagnostic = Diagnostic("sot.md", 12, 3, "unknown key Agnt", "did you mean Agent?", "- Agnt: shell")
    assert diagnostic.render().split("\n") == [
        "sot.md:12:3: unknown key Agnt",
        "   12 | - Agnt: shell",
        "      |   ^",
        "  help: did you mean Agent?",
    ]


def test_without_a_line_or_help_there_is_only_the_message() -> None:
    assert Diagnostic("sot.md", 1, 1, "is empty").render() == "sot.md:1:1: is empty"


@pytest.mark.parametrize(
    ("text", "column", "shown", "caret"),
    [
        ("abc", 1, "abc", 0),
        ("abc", 3, "abc", 2),
        ("abc", 4, "abc", 3),
        ("abc", 99, "abc", 3),
        ("abc", 0, "abc", 0),
        ("\tabc", 2, " abc", 1),
        ("a\x1b[31mb", 7, "a\ufffd[31mb", 6),
        ("a\u202eb\u200b", 3, "a\ufffdb\ufffd", 2),
        ("日本x", 3, "日本x", 4),
        ("e\u0301x", 3, "e\u0301x", 1),
        ("\ud800x", 2, "\ufffdx", 1),
    ],
)
def test_the_caret_stands_under_the_column(text: str, column: int, shown: str, caret: int) -> None:
    assert excerpt(text, column) == (shown, caret)


@settings(max_examples=200)
@given(texts(10), st.integers(0, 1000), st.integers(1, 1200))
def test_in_a_long_line_a_window_around_the_column_is_shown(word: str, length: int, column: int) -> None:
    text = (word + "x") * (length // (len(word) + 1)) + "end"
    shown, caret = excerpt(text, column)
    assert len(shown) <= 160
    at = min(column - 1, len(text))
    if at < len(text) and text[at].isprintable() and not unicodedata.combining(text[at]):
        under = next(n for n in range(len(shown)) if cells(shown[:n]) == caret and not unicodedata.combining(shown[n]))
        assert shown[under] == text[at]
    else:
        assert caret <= cells(shown)


@settings(max_examples=200)
@given(diagnostics())
def test_nothing_of_the_input_reaches_the_terminal_as_a_control_character(diagnostic: Diagnostic) -> None:
    lines = diagnostic.render().split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 1 + 2 * bool(diagnostic.text) + bool(diagnostic.help)


def test_a_line_of_ten_megabytes_is_shown_in_a_window() -> None:
    assert len(Diagnostic("p", 1, 5_000_000, "m", text="x" * 10_000_000).render()) < 500


@given(st.lists(diagnostics(), max_size=5), st.randoms(use_true_random=False))
def test_problems_are_collected_in_the_order_of_the_source(found: list[Diagnostic], order: random.Random) -> None:
    shuffled = list(found)
    order.shuffle(shuffled)
    error = InvalidInput.of(shuffled)
    places = [(d.path, d.line, d.column) for d in error.diagnostics]
    assert places == sorted(places)
    assert str(error) == "\n".join(d.render() for d in error.diagnostics)
