"""Finding candidates leaves out no permit that could cover an access, and asks few of many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tek_abi import Access, Permit, Subject
from tek_abi.permit import match_action
from tek_agents.testing.strategies.authority import accesses, permits, permits_near, subjects
from tek_kernel.candidates import Candidate, Candidates

AT = "2026-01-01T00:00:00.000000Z"


@given(st.data(), accesses(), subjects())
def test_every_permit_whose_resource_matches_is_found_in_the_policy_s_order(
    data: st.DataObject, access: Access, subject: Subject
) -> None:
    drawn = data.draw(st.lists(permits() | permits_near(access, subject), max_size=8))
    given_ = [Candidate(one) for one in drawn if all(match_action(action, access) for action in one.action)]
    found = Candidates(access.family, given_).fitting(access)
    past_resource = [
        one
        for one in given_
        if (bad := one.permit.mismatch(access, subject, AT)) is None
        or bad.aspect not in ("action", "subject", "resource")
    ]
    assert [one for one in found if one in past_resource] == past_resource
    assert found == [one for one in given_ if one in found]


def test_a_path_meets_the_permits_above_it_alone() -> None:
    made = [Permit(("fs.read",), (f"$WORKSPACE/d{number}/**",)) for number in range(1000)]
    candidates = Candidates("fs.read", map(Candidate, made))
    found = candidates.fitting(Access("fs.read", "fs.read", "$WORKSPACE/d7/a/b"))
    assert [one.permit for one in found] == [made[7]]


def test_a_program_meets_the_permits_of_its_name_and_those_of_any() -> None:
    made = [Permit(("proc",), (pattern,)) for pattern in ("git", "make", "*", "/usr/bin/git status", "tools/**")]
    candidates = Candidates("proc", map(Candidate, made))
    found = candidates.fitting(Access("proc.exec", "proc", "/usr/bin/git status", ("/usr/bin/git", "status")))
    assert [one.permit.resource[0] for one in found] == ["git", "*", "/usr/bin/git status", "tools/**"]
