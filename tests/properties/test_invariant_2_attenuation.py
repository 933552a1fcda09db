"""Invariant 2: attenuation narrows. Whatever the narrower permit allows, the wider one allows (DESIGN section 9)."""

from __future__ import annotations

import functools

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tek_abi import Access, Caveat, Instant, Permit, Subject
from tek_abi.policy import preset_permits
from tek_agents.testing.strategies import accesses, caveats, instants, permits, permits_near, subjects, values
from tests.size import examples


@attrs.frozen
class Case:
    """One access, who makes it and when, and permits made around it."""

    access: Access
    subject: Subject
    at: Instant
    uses: int
    permits: tuple[Permit, ...]

    def allowed_by(self, permit: Permit) -> bool:
        return permit.mismatch(self.access, self.subject, self.at, self.uses) is None


@st.composite
def cases(draw: st.DrawFn, count: int = 2) -> Case:
    access, subject = draw(accesses()), draw(subjects())
    near = permits_near(access, subject)
    chosen = tuple(draw(st.one_of(*[near] * 7, permits())) for _ in range(count))
    return Case(access, subject, draw(instants()), draw(st.integers(0, 3)), chosen)


@settings(max_examples=examples(500), deadline=None)
@given(cases())
def test_invariant_2_the_attenuated_permit_allows_what_both_allow_and_nothing_else(case: Case) -> None:
    a, b = case.permits
    assert case.allowed_by(a.attenuate(b)) == (case.allowed_by(a) and case.allowed_by(b))


def test_invariant_2_is_not_held_in_vain_since_the_cases_allow_and_refuse_often() -> None:
    seen = {True: 0, False: 0}

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(cases())
    def count(case: Case) -> None:
        a, b = case.permits
        seen[case.allowed_by(a.attenuate(b))] += 1

    count()
    assert min(seen.values()) > 30


@settings(max_examples=examples(150), deadline=None)
@given(cases(count=4))
def test_invariant_2_each_link_of_a_chain_allows_no_more_than_the_one_before(case: Case) -> None:
    first, *rest = case.permits
    permit, allowed = first, case.allowed_by(first)
    for narrower in rest:
        permit = permit.attenuate(narrower)
        assert case.allowed_by(permit) <= allowed
        allowed = case.allowed_by(permit)
    assert allowed == all(map(case.allowed_by, case.permits))


def nameless(permit: Permit) -> Permit:
    return attrs.evolve(permit, rule="")


@settings(max_examples=examples(150), deadline=None)
@given(cases(count=3))
def test_invariant_2_neither_order_nor_grouping_nor_repetition_matters(case: Case) -> None:
    a, b, c = case.permits
    assert case.allowed_by(a.attenuate(b)) == case.allowed_by(b.attenuate(a))
    assert nameless(a.attenuate(b).attenuate(c)) == nameless(a.attenuate(b.attenuate(c)))
    assert nameless(a.attenuate(b).attenuate(a).attenuate(b)) == nameless(a.attenuate(b))


@settings(max_examples=examples(100), deadline=None)
@given(cases(), st.sampled_from(["a", "src/a"]))
def test_invariant_2_an_exclusion_survives_whatever_is_added(case: Case, path: str) -> None:
    wide = Permit(("fs.*",), ("**",), exclude=(path,))
    excluded = attrs.evolve(case, access=Access("fs.read", "fs.read", f"$WORKSPACE/{path}"))
    narrowed = functools.reduce(Permit.attenuate, case.permits, wide)
    assert excluded.allowed_by(attrs.evolve(wide, exclude=()))
    assert not excluded.allowed_by(narrowed)


@given(st.none() | instants(), st.none() | instants(), instants())
def test_invariant_2_the_earlier_expiry_holds(a: Instant | None, b: Instant | None, at: Instant) -> None:
    access, subject = Access("note", "note", "x"), Subject("TASK-001", "shell")
    first, second = (Permit(("note",), ("*",), expires_at=expiry) for expiry in (a, b))
    in_force = all(expiry is None or at < expiry for expiry in (a, b))
    assert (first.attenuate(second).mismatch(access, subject, at) is None) == in_force


@settings(max_examples=examples(150), deadline=None)
@given(cases(count=1), values(4), st.text(min_size=1))
def test_invariant_2_an_unknown_caveat_denies_and_cannot_be_lost(case: Case, value: object, name: str) -> None:
    (permit,) = case.permits
    unknown = attrs.evolve(permit, caveats=(Caveat(f"x-{name}", value),))  # type: ignore[arg-type]  # a value
    assert not case.allowed_by(unknown)
    assert not case.allowed_by(permit.attenuate(unknown))
    assert not case.allowed_by(unknown.attenuate(permit))


@given(st.lists(caveats(), max_size=4), st.lists(caveats(), max_size=4))
def test_invariant_2_every_caveat_of_both_stands_in_the_result(a: list[Caveat], b: list[Caveat]) -> None:
    first, second = (Permit(("note",), ("*",), caveats=tuple(of)) for of in (a, b))
    kept = {repr(caveat) for caveat in first.attenuate(second).caveats}
    assert kept == {repr(caveat) for caveat in (*a, *b)}


def test_invariant_2_a_caveat_that_python_takes_for_equal_is_another_caveat() -> None:
    access, subject = Access("note", "note", "x"), Subject("TASK-001", "shell")
    known = Permit(("note",), ("*",), caveats=(Caveat("max_uses", 1),))
    unknown = Permit(("note",), ("*",), caveats=(Caveat("max_uses", True),))
    now = "2027-01-31T00:00:00.000000Z"
    assert known.mismatch(access, subject, now) is None
    for both in (known.attenuate(unknown), unknown.attenuate(known)):
        assert both.mismatch(access, subject, now) is not None


def test_invariant_2_the_tightest_cap_holds() -> None:
    caps = [Permit(("note",), ("*",), caveats=(Caveat("max_bytes", cap),)) for cap in (300, 100, 200)]
    assert functools.reduce(Permit.attenuate, caps).max_bytes() == 100


@given(permits(), permits())
def test_invariant_2_a_signature_does_not_carry_over(a: Permit, b: Permit) -> None:
    assert a.attenuate(b).sig is None


@pytest.mark.parametrize("preset", ["read-only", "workspace-write", "unconfined"])
@settings(max_examples=examples(60), deadline=None)
@given(case=cases(count=1))
def test_invariant_2_a_task_never_gets_more_than_the_presets_permit(preset: str, case: Case) -> None:
    (asked,) = case.permits
    for granted in preset_permits(preset):
        if case.allowed_by(granted.attenuate(asked)):
            assert case.allowed_by(granted)
