"""Whatever denies names its rule, and what it offers as ``grant``, applied as it stands, makes the request pass.

Then what a plan may try to get more than it was granted.
"""

from __future__ import annotations

import re
import shlex

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tek_abi import Access, Allow, Caveat, Denial, ExecutionPlan, Permit, Policy, Queue, Step, Subject, Task, parse_rule
from tek_kernel import Authority, Grant, TaskAuthority, Verifier, sign

NOW = "2026-06-01T00:00:00.000000Z"
LATER = "2026-06-01T00:00:00.000001Z"
WRITE = Access("fs.write", "fs.write", "$WORKSPACE/out/a.txt", bytes=100)
READ = Access("fs.read", "fs.read", "$SYSTEM/etc/x")
RUN = Access("proc.exec", "proc", "git status", ("git", "status"))
PUT = Access("net.http", "net", "PUT https://example.org:443/data", bytes=10, method="PUT")
OTHER = Access("third.x", "third.x", "one")
RULE = Permit(("fs.write",), ("$WORKSPACE/out/**",), rule="the rule")
HTTP = Permit(("net",), ("* https://example.org",), rule="the rule")
SECRET = Ed25519PrivateKey.generate()
TRUSTED = Verifier((SECRET.public_key().public_bytes_raw(),))
SIGNED = sign(RULE, SECRET.private_bytes_raw())

Decision = tuple[Grant, ...] | Denial


@attrs.frozen
class Given:
    """A policy's permits and what each level of the plan asks for."""

    permits: tuple[Permit, ...] = ()
    document: tuple[Permit, ...] = ()
    queue: tuple[Permit, ...] = ()
    task: tuple[Permit, ...] = ()
    steps: tuple[Step, ...] = ()
    task_id: str = "TASK-001"
    verifier: Verifier = TRUSTED

    def authority(self) -> TaskAuthority:
        task = Task(self.task_id, "one", "foundation", allow=_allow(self.task, 9), steps=self.steps)
        queue = Queue("Queue A — One", (task,), allow=_allow(self.queue, 7))
        plan = ExecutionPlan((queue,), allow=_allow(self.document, 3))
        policy = Policy(preset="none", permits=self.permits)
        return Authority(policy, (), self.verifier).for_task(plan, queue, task, "shell")

    def decide(self, *accesses: Access) -> Decision:
        return self.authority().decide(accesses, NOW)


def _allow(rules: tuple[Permit, ...], line: int) -> tuple[Allow, ...]:
    return (Allow(rules, line),) if rules else ()


def granted(decision: Decision) -> tuple[Grant, ...]:
    assert isinstance(decision, tuple), decision
    return decision


def denied(decision: Decision) -> Denial:
    assert isinstance(decision, Denial), decision
    assert decision.code == "permit"
    return decision


def flag_of(denial: Denial) -> Permit:
    flag, rule = shlex.split(denial.grant)
    assert flag == "--allow"
    return parse_rule(rule)


def limited(name: str, value: object, permit: Permit = RULE) -> Permit:
    return attrs.evolve(permit, caveats=(Caveat(name, value),))  # type: ignore[arg-type]  # wrong values are the point


POLICY_DENIALS = {
    "no permit": ((), WRITE, "the policy", "no rule grants fs.write"),
    "subject": ((attrs.evolve(RULE, subject=("TASK-002",)),), WRITE, "the policy", "out/** for TASK-002"),
    "action": ((attrs.evolve(RULE, action=("fs.read",)),), WRITE, "the policy", "no rule grants fs.write"),
    "resource": ((attrs.evolve(RULE, resource=("$WORKSPACE/src/**",)),), WRITE, "the policy", "there is src/**"),
    "exclude": ((attrs.evolve(RULE, exclude=("$WORKSPACE/**/*.txt",)),), WRITE, "the rule", "leaves out **/*.txt"),
    "expiry": ((attrs.evolve(RULE, expires_at=NOW),), WRITE, "the rule", f"expired at {NOW}"),
    "max_bytes": ((limited("max_bytes", 99),), WRITE, "the rule", "max_bytes=99, asked for 100"),
    "max_uses": ((limited("max_uses", 0),), WRITE, "the rule", "max_uses=0 a task, all used"),
    "methods": ((limited("methods", ("GET",), HTTP),), PUT, "the rule", "methods=GET, asked for PUT"),
    "unknown caveat": ((limited("from_where", "home"),), WRITE, "the rule", "unknown caveat from_where"),
    "signature": ((attrs.evolve(SIGNED, sig="00" * 64),), WRITE, "the rule", "not signed by a trusted key"),
    "program": ((parse_rule("proc.exec:python3"),), RUN, "the policy", "there is python3"),
    "system path": ((parse_rule("fs.read:**"),), READ, "the policy", "there is **"),
    "other effect": ((parse_rule("third.x:two"),), OTHER, "the policy", "there is two"),
}
ALLOWING_TWINS: dict[str, tuple[Permit, Access]] = {
    "subject": (attrs.evolve(RULE, subject=("TASK-001",)), WRITE),
    "action": (attrs.evolve(RULE, action=("fs.write",)), WRITE),
    "resource": (attrs.evolve(RULE, resource=("$WORKSPACE/out/a.txt",)), WRITE),
    "exclude": (attrs.evolve(RULE, exclude=("$WORKSPACE/*.txt",)), WRITE),
    "expiry": (attrs.evolve(RULE, expires_at=LATER), WRITE),
    "max_bytes": (limited("max_bytes", 100), WRITE),
    "max_uses": (limited("max_uses", 1), WRITE),
    "methods": (limited("methods", ("GET", "PUT"), HTTP), PUT),
    "signature": (SIGNED, WRITE),
    "program": (parse_rule("proc.exec:git"), RUN),
    "system path": (parse_rule("fs.read:/etc/**"), READ),
    "other effect": (parse_rule("third.x:one"), OTHER),
}


@pytest.mark.parametrize("case", POLICY_DENIALS)
def test_a_denial_names_its_rule_and_its_flag_makes_the_request_pass(case: str) -> None:
    permits, access, rule, why = POLICY_DENIALS[case]
    given = Given(permits)

    denial = denied(given.decide(access))

    assert denial.rule == rule
    assert why in denial.message
    assert access.resource in denial.message
    granted(attrs.evolve(given, permits=(*permits, flag_of(denial))).decide(access))


@pytest.mark.parametrize("case", ALLOWING_TWINS)
def test_its_twin_allows(case: str) -> None:
    permit, access = ALLOWING_TWINS[case]

    [grant] = granted(Given((permit,)).decide(access))

    assert grant.base == permit
    assert grant.rule == permit.rule


@pytest.mark.parametrize("level", ["document", "queue", "task"])
@pytest.mark.parametrize(
    ("access", "asked"), [(WRITE, "fs.write:src/**"), (RUN, "proc.exec:make"), (OTHER, "third.*:two")]
)
def test_what_an_allow_refuses_passes_once_its_line_is_added(level: str, access: Access, asked: str) -> None:
    permits = (RULE, parse_rule("proc.exec:**"), parse_rule("third.x:*"))
    given = Given(permits, **{level: (parse_rule(asked),)})  # type: ignore[arg-type]  # the level is a field's name

    denial = denied(given.decide(access))

    line = {"document": 3, "queue": 7, "task": 9}[level]
    assert denial.rule.startswith("Allow of ")
    assert f"(line {line})" in denial.rule
    assert asked in denial.message
    match = re.fullmatch(r"add `(.+)` to the Allow of .+", denial.grant)
    assert match
    wider = (parse_rule(asked), parse_rule(match[1]))
    granted(attrs.evolve(given, **{level: wider}).decide(access))  # type: ignore[arg-type]  # the level is a field's name


def test_a_denial_by_the_policy_comes_before_one_by_the_plan_and_both_can_be_lifted_in_turn() -> None:
    given = Given(task=(parse_rule("fs.write:src/**"),))
    first = denied(given.decide(WRITE))

    second = denied(attrs.evolve(given, permits=(flag_of(first),)).decide(WRITE))

    assert first.rule == "the policy"
    assert second.rule.startswith("Allow of TASK-001")


@pytest.mark.parametrize(
    "access",
    [
        attrs.evolve(WRITE, resource="$WORKSPACE/a*b"),
        attrs.evolve(WRITE, resource='$WORKSPACE/it\'s "quoted" `and` more'),
        attrs.evolve(WRITE, resource="$WORKSPACE/a\u202eb"),
        attrs.evolve(WRITE, resource="$WORKSPACE/$SYSTEM/x"),
        attrs.evolve(WRITE, resource="$WORKSPACE/" + "d/" * 2000 + "x"),
        attrs.evolve(READ, resource="$SYSTEM"),
        attrs.evolve(READ, resource="$WORKSPACE"),
        *(attrs.evolve(RUN, argv=(name, "x")) for name in ("my tool", "it's", "./a*b", "**/x", "a`b", "*", "~", "-x")),
        attrs.evolve(PUT, resource="PUT https://[::1]:443/x"),
        attrs.evolve(PUT, resource="PUT http://127.0.0.1:8080/a*b"),
        attrs.evolve(OTHER, resource=""),
        attrs.evolve(OTHER, resource="\0"),
        attrs.evolve(OTHER, resource="x" * 9000),
    ],
)
def test_the_flag_survives_awkward_names(access: Access) -> None:
    granted(Given((flag_of(denied(Given().decide(access))),)).decide(access))


def test_a_protected_path_has_no_flag_and_its_neighbour_passes() -> None:
    everything = Given((Permit(("fs.*",), ("$WORKSPACE/**",)),))

    denial = denied(everything.decide(attrs.evolve(WRITE, resource="$WORKSPACE/.git/hooks/pre-commit")))

    assert (denial.grant, denial.rule) == ("", "protected path $WORKSPACE/**/.git/hooks/**")
    granted(everything.decide(attrs.evolve(WRITE, resource="$WORKSPACE/git/hooks/pre-commit")))


def test_a_flag_for_a_protected_path_still_does_not_pass() -> None:
    hook = attrs.evolve(WRITE, resource="$WORKSPACE/.git/config")

    denied(Given((parse_rule("fs.write:.git/config"),), task=(parse_rule("fs.write:.git/config"),)).decide(hook))


def test_the_first_permit_in_the_policy_s_order_that_covers_is_the_one_on_record() -> None:
    narrow, wide = attrs.evolve(RULE, rule="narrow"), parse_rule("fs.write:**", "wide")

    assert granted(Given((narrow, wide)).decide(WRITE))[0].rule == "narrow"
    assert granted(Given((wide, narrow)).decide(WRITE))[0].rule == "wide"


def test_what_is_on_record_covers_the_request_and_no_more_than_policy_and_plan_both_do() -> None:
    asked = parse_rule("fs.write:**/*.txt")
    [grant] = granted(Given((RULE,), task=(asked,)).decide(WRITE))

    subject = Subject("TASK-001", "shell", "foundation", "A")

    assert grant.permit.mismatch(WRITE, subject, NOW) is None
    for outside in ("$WORKSPACE/out/a.md", "$WORKSPACE/a.txt"):
        assert grant.permit.mismatch(attrs.evolve(WRITE, resource=outside), subject, NOW) is not None


class TestAttacks:
    """What a plan may try. Each is an instance of CWE-863, incorrect authorization."""

    @pytest.mark.parametrize("program", ["*", "**", "g?t", "./*", "'git'"])
    def test_an_own_program_with_wildcards_or_quotes_asks_for_itself_alone(self, program: str) -> None:
        given = Given((parse_rule("proc.exec:**"),), task=(parse_rule("proc.exec:make"),), steps=(Step((program,)),))

        granted(given.decide(attrs.evolve(RUN, argv=(program, "x"))))
        denied(given.decide(RUN))

    def test_an_own_program_is_not_granted_by_being_own(self) -> None:
        denied(Given((parse_rule("proc.exec:make"),), steps=(Step(("git", "status")),)).decide(RUN))

    def test_an_allow_of_a_family_that_the_policy_lacks_grants_nothing(self) -> None:
        for rule, access in (
            ("net.http:PUT https://example.org/**", PUT),
            ("fs.write:**", WRITE),
            ("third.*:*", OTHER),
        ):
            denied(Given(document=(parse_rule(rule),), task=(parse_rule(rule),)).decide(access))

    def test_a_task_cannot_ask_past_its_queue_or_document(self) -> None:
        wide, narrow = parse_rule("fs.write:**"), parse_rule("fs.write:src/**")

        denied(Given((RULE,), queue=(narrow,), task=(wide,)).decide(WRITE))
        denied(Given((RULE,), document=(narrow,), queue=(wide,), task=(wide,)).decide(WRITE))
        granted(Given((RULE,), document=(wide,), queue=(wide,), task=(wide,)).decide(WRITE))

    def test_an_allow_with_a_wildcard_action_narrows_every_effect_that_it_names(self) -> None:
        given = Given((parse_rule("third.*:*"),), task=(parse_rule("third.*:two"),))

        denied(given.decide(OTHER))
        granted(given.decide(attrs.evolve(OTHER, resource="two")))

    @pytest.mark.parametrize("task_id", ["TASK-001#2", "TASK-0011", "XTASK-001", "agent:shell", "task-001"])
    def test_a_subject_covers_the_repetitions_of_its_id_and_no_look_alikes(self, task_id: str) -> None:
        decision = Given((attrs.evolve(RULE, subject=("TASK-001",)),), task_id=task_id).decide(WRITE)

        assert isinstance(decision, tuple) == (task_id == "TASK-001#2")

    def test_a_subject_of_one_repetition_covers_that_alone(self) -> None:
        second = attrs.evolve(RULE, subject=("TASK-001#2",))

        granted(Given((second,), task_id="TASK-001#2").decide(WRITE))
        denied(Given((second,)).decide(WRITE))

    @pytest.mark.parametrize("resource", ["$WORKSPACE/out/../a", "out/a.txt", "$WORKSPACE/out//a", "/etc/x", ""])
    def test_a_path_that_is_not_canonical_is_never_covered(self, resource: str) -> None:
        denied(
            Given((parse_rule("fs.write:**"), parse_rule("fs.write:/**"))).decide(
                attrs.evolve(WRITE, resource=resource)
            )
        )

    def test_a_rule_that_reaches_into_several_families_cannot_be_written(self) -> None:
        for action in ("fs.*", "*", "f*", "fs", "proc.x", "net.h*", ""):
            with pytest.raises(ValueError, match=r".+"):
                parse_rule(f"{action}:**")

    def test_two_accesses_of_one_request_are_two_uses(self) -> None:
        source, target = attrs.evolve(WRITE, resource="$WORKSPACE/out/b"), WRITE

        denied(Given((limited("max_uses", 1),)).decide(source, target))
        granted(Given((limited("max_uses", 2),)).decide(source, target))

    def test_uses_are_counted_when_they_are_taken_and_not_by_asking(self) -> None:
        authority = Given((limited("max_uses", 1),)).authority()

        for _ in range(3):
            grants = granted(authority.decide([WRITE], NOW))
        authority.use(grants)

        assert "all used" in denied(authority.decide([WRITE], NOW)).message

    def test_uses_belong_to_a_task(self) -> None:
        plan, queue = ExecutionPlan(), Queue("Queue A — One")
        whole = Authority(Policy(preset="none", permits=(limited("max_uses", 1),)))
        first, second = (whole.for_task(plan, queue, Task(f"TASK-00{n}", "", "foundation"), "shell") for n in (1, 2))

        first.use(granted(first.decide([WRITE], NOW)))

        denied(first.decide([WRITE], NOW))
        granted(second.decide([WRITE], NOW))

    def test_max_uses_in_the_plan_s_own_allow_holds_too(self) -> None:
        authority = Given((RULE,), task=(limited("max_uses", 1),)).authority()

        authority.use(granted(authority.decide([WRITE], NOW)))

        denied(authority.decide([WRITE], NOW))

    def test_a_permit_that_is_used_up_no_longer_names_anything_for_an_effect(self) -> None:
        once, always = limited("max_uses", 1, HTTP), attrs.evolve(HTTP, resource=("* https://*",))
        authority = Given((once, always)).authority()
        first = granted(authority.decide([PUT], NOW))
        authority.use(first)
        second = granted(authority.decide([PUT], NOW))

        assert authority.covering(PUT, NOW, first) == (once, always)
        assert authority.covering(PUT, NOW, second) == (always,)

    def test_caveats_of_both_sides_hold(self) -> None:
        given = Given((limited("max_bytes", 200),), task=(limited("max_bytes", 99),))

        denied(given.decide(WRITE))
        [grant] = granted(given.decide(attrs.evolve(WRITE, bytes=50)))
        assert grant.permit.max_bytes() == 99

    def test_a_signed_permit_changed_in_any_part_authorises_nothing(self) -> None:
        for change in ({"resource": ("$WORKSPACE/**",)}, {"rule": "mine"}, {"expires_at": LATER}, {"subject": ("T*",)}):
            denied(Given((attrs.evolve(SIGNED, **change),)).decide(WRITE))
        denied(Given((SIGNED,), verifier=Verifier()).decide(WRITE))
