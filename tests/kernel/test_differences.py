"""Field by field: nothing that differs is left out, nothing that is the same is named."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tek_kernel.differences import Difference, differences

VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_two_values_have_differences_exactly_if_they_differ(one: Any, other: Any) -> None:
    assert bool(differences(one, other)) == (one != other)


def test_each_field_is_named_by_its_path() -> None:
    found = differences({"a": {"b": [1, 2]}, "c": 3}, {"a": {"b": [1, 5]}, "c": 4})
    assert found == [Difference("a.b[1]", "2", "5"), Difference("c", "3", "4")]


def test_a_field_of_one_side_alone_is_told_from_one_that_is_empty() -> None:
    assert differences({"a": None}, {}) == [Difference("a", "None", "nothing")]


def test_a_long_value_is_cut_to_where_it_differs() -> None:
    (found,) = differences("x" * 5000 + "left" + "y" * 5000, "x" * 5000 + "right" + "y" * 5000)
    assert "left" in found.expected
    assert "right" in found.actual
    assert max(map(len, (found.expected, found.actual))) < 300
