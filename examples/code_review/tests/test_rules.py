"""What the rules find, and what they leave alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tek_review.rules import LONGEST, review

LONG = "def a():\n    '''A.'''\n" + "    b()\n" * LONGEST


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("try:\n    a()\nexcept:\n    b()\n", [(3, "bare-except")]),
        ("try:\n    a()\nexcept OSError:\n    b()\n", []),
        ("def _a(b, c=[], *, d={}):\n    pass\n", [(1, "mutable-default"), (1, "mutable-default")]),
        ("def _a(b, c=(), *, d=None):\n    pass\n", []),
        ("run(\n    'ls',\n    shell=True,\n)\n", [(3, "shell")]),
        ("run(['ls'], shell=False)\n", []),
        ("# TODO: later\n", [(1, "todo-without-owner")]),
        ("# TODO(maria): later\na = '# TODO: text'\n", []),
        ("async def a():\n    pass\n", [(1, "no-docstring")]),
        ("def _a():\n    pass\n", []),
        (LONG, [(1, "too-long")]),
        (LONG.replace("    b()\n", "", 2), []),
        ("a = (\n", [(1, "unreadable")]),
        ("a = 1\0\n", [(1, "unreadable")]),
    ],
)
def test_a_rule_finds_what_it_is_for_at_its_line(source: str, found: list[tuple[int, str]]) -> None:
    assert [(one.line, one.rule) for one in review("a.py", source.encode())] == found


@given(st.binary() | st.text().map(str.encode))
def test_whatever_a_file_holds_its_review_ends(data: bytes) -> None:
    assert all(finding.line >= 1 for finding in review("a.py", data))
