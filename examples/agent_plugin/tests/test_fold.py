"""Folding, with whatever texts Hypothesis thinks of."""

from hypothesis import given
from hypothesis import strategies as st

from tek_agents.testing.strategies import texts
from tek_changelog.fold import fold

NOTES = st.dictionaries(st.sampled_from([f"changes/{number}.md" for number in range(1, 6)]), texts())


@given(texts(), NOTES)
def test_what_is_folded_twice_stands_there_once(log: str, notes: dict[str, str]) -> None:
    folded = fold(log, "2030-01-01", notes)

    assert fold(folded, "2030-01-02", notes) == folded


@given(NOTES, NOTES)
def test_older_notes_stay_below_newer_ones(first: dict[str, str], second: dict[str, str]) -> None:
    old = fold("", "2030-01-01", first)

    assert fold(old, "2030-01-02", second).endswith(old)
