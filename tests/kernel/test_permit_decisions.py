"""Where exactly each part of a permit denies, and its twin allows; each denial names its rule and what would grant."""

from __future__ import annotations

import shlex

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tek_abi import Access, Allow, Caveat, Denial, ExecutionPlan, Permit, Policy, Queue, Step, Task, parse_rule
from tek_kernel import Authority, Grant, TaskAuthority, Verifier, sign

AT = "2026-06-01T00:00:00.000000Z"
WRITE = Access("fs.write", "fs.write", "$WORKSPACE/out/a.txt", bytes=100)
GIT = Access("proc.exec", "proc", "git status", ("git", "status"))
GET = Access("net.http", "net", "GET https://example.org:443/data", method="GET")
BASE = Permit(("fs.write",), ("$WORKSPACE/out/**",), rule="the rule")


def authority(
    *permits: Permit,
    task: Task | None = None,
    document: tuple[Permit, ...] = (),
    queue: tuple[Permit, ...] = (),
    agent: str = "shell",
    verifier: Verifier | None = None,
    protected: tuple[str, ...] = (),
) -> TaskAuthority:
    task = task or Task("TASK-001", "t", "foundation")
    policy = Policy(preset="none", permits=permits)
    whole = Authority(policy, protected, verifier or Verifier())
    plan = ExecutionPlan(allow=(Allow(document, 3),) if document else ())
    own_queue = Queue("Queue A — One", (task,), allow=(Allow(queue, 7),) if queue else ())
    return whole.for_task(plan, own_queue, task, agent)


def denied(decision: tuple[Grant, ...] | Denial) -> Denial:
    assert isinstance(decision, Denial), decision
    return decision


@pytest.mark.parametrize(
    ("refusing", "allowing", "access"),
    [
        ({"subject": ("TASK-002",)}, {"subject": ("TASK-0*",)}, WRITE),
        ({"subject": ("agent:noop",)}, {"subject": ("agent:shell",)}, WRITE),
        ({"subject": ("layer:services",)}, {"subject": ("layer:foundation",)}, WRITE),
        ({"subject": ("queue:B",)}, {"subject": ("queue:A",)}, WRITE),
        ({"action": ("fs.read",)}, {"action": ("fs.*",)}, WRITE),
        ({"resource": ("$WORKSPACE/src/**",)}, {"resource": ("$WORKSPACE/*/a.txt",)}, WRITE),
        ({"resource": ("$WORKSPACE/out/**", "$SYSTEM/**")}, {"resource": ("$WORKSPACE/**", "$WORKSPACE/out/*")}, WRITE),
        ({"exclude": ("$WORKSPACE/out/*.txt",)}, {"exclude": ("$WORKSPACE/out/*.md",)}, WRITE),
        ({"expires_at": AT}, {"expires_at": "2026-06-01T00:00:00.000001Z"}, WRITE),
        ({"caveats": (Caveat("max_bytes", 99),)}, {"caveats": (Caveat("max_bytes", 100),)}, WRITE),
        ({"caveats": (Caveat("max_uses", 0),)}, {"caveats": (Caveat("max_uses", 1),)}, WRITE),
        ({"caveats": (Caveat("unheard-of", 1),)}, {"caveats": ()}, WRITE),
        (
            {"action": ("net",), "resource": ("* https://example.org",), "caveats": (Caveat("methods", ("PUT",)),)},
            {"action": ("net",), "resource": ("* https://example.org",), "caveats": (Caveat("methods", ("GET",)),)},
            GET,
        ),
        ({"action": ("proc",), "resource": ("git log",)}, {"action": ("proc",), "resource": ("git st*",)}, GIT),
    ],
)  # fmt: skip
def test_each_part_of_a_permit_denies_alone(
    refusing: dict[str, object], allowing: dict[str, object], access: Access
) -> None:
    no = authority(attrs.evolve(BASE, **refusing)).decide([access], AT)  # type: ignore[arg-type]  # the tables name fields
    yes = authority(attrs.evolve(BASE, **allowing)).decide([access], AT)  # type: ignore[arg-type]  # as above

    assert isinstance(yes, tuple)
    assert yes[0].rule == "the rule"
    assert denied(no).code == "permit"
    assert denied(no).rule in ("the rule", "the policy")
    assert access.resource in denied(no).message


@pytest.mark.parametrize(
    "access", [WRITE, GIT, GET, Access("env.get", "env.get", "TOKEN"), Access("third.x", "third.x", "r")]
)
def test_the_flag_that_a_denial_prints_grants_it(access: Access) -> None:
    denial = denied(authority().decide([access], AT))

    flag, rule = shlex.split(denial.grant)

    assert flag == "--allow"
    assert isinstance(authority(parse_rule(rule)).decide([access], AT), tuple)


def test_max_uses_counts_a_tasks_uses() -> None:
    task = authority(attrs.evolve(BASE, caveats=(Caveat("max_uses", 2),)))

    for _ in range(2):
        grants = task.decide([WRITE], AT)
        assert isinstance(grants, tuple)
        task.use(grants)

    assert "max_uses=2" in denied(task.decide([WRITE], AT)).message


@pytest.mark.parametrize("level", ["document", "queue", "task"])
def test_an_allow_at_any_level_narrows_its_family_and_no_other(level: str) -> None:
    rule = parse_rule("fs.write:out/b.txt", "the Allow")
    granted = (BASE, Permit(("proc",), ("**",)))
    if level == "task":
        asked = authority(*granted, task=Task("TASK-001", "t", "foundation", allow=(Allow((rule,), 12),)))
    elif level == "queue":
        asked = authority(*granted, queue=(rule,))
    else:
        asked = authority(*granted, document=(rule,))

    denial = denied(asked.decide([WRITE], AT))

    assert "Allow of" in denial.rule
    assert "fs.write:out/a.txt" in denial.grant
    assert isinstance(asked.decide([attrs.evolve(WRITE, resource="$WORKSPACE/out/b.txt")], AT), tuple)
    assert isinstance(asked.decide([GIT], AT), tuple)


def test_an_allow_grants_nothing_by_itself() -> None:
    rule = parse_rule("fs.write:**")

    assert isinstance(
        authority(task=Task("TASK-001", "t", "foundation", allow=(Allow((rule,)),))).decide([WRITE], AT), Denial
    )


def test_a_block_asks_for_its_own_program_by_itself() -> None:
    allow = (Allow((parse_rule("proc.exec:python3"),)),)
    task = Task("TASK-001", "t", "foundation", allow=allow, steps=(Step(("git", "status")),))
    granted = Permit(("proc",), ("**",))

    assert isinstance(authority(granted, task=task).decide([GIT], AT), tuple)
    assert isinstance(authority(task=task).decide([GIT], AT), Denial), "asking is not granting"
    assert isinstance(authority(granted, task=attrs.evolve(task, steps=())).decide([GIT], AT), Denial)


@pytest.mark.parametrize(
    "path", [".git/hooks/pre-commit", "sub/.git/config", "config/manifest.json", "runs/1/ledger.jsonl"]
)
def test_no_grant_includes_a_protected_path(path: str) -> None:
    everything = Permit(("fs.*",), ("$WORKSPACE/**",))
    whole = authority(everything, protected=("$WORKSPACE/runs/1/**",))

    denial = denied(whole.decide([attrs.evolve(WRITE, resource=f"$WORKSPACE/{path}")], AT))

    assert "protected path" in denial.rule
    assert denial.grant == ""
    assert isinstance(whole.decide([Access("fs.read", "fs.read", f"$WORKSPACE/{path}")], AT), tuple)


@pytest.mark.parametrize("path", [".git", "config", ".git/hooks", "runs/1", "runs"])
def test_what_holds_a_protected_path_cannot_be_moved_away(path: str) -> None:
    whole = authority(Permit(("fs.*",), ("$WORKSPACE/**",)), protected=("$WORKSPACE/runs/1/**",))

    assert isinstance(whole.decide([Access("fs.rename", "fs.write", f"$WORKSPACE/{path}")], AT), Denial)


def test_a_signature_must_be_good_and_its_key_trusted() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signed = sign(BASE, key.private_bytes_raw())
    trusted = Verifier((other.public_key().public_bytes_raw(), key.public_key().public_bytes_raw()))

    assert isinstance(authority(signed, verifier=trusted).decide([WRITE], AT), tuple)
    for bad, verifier in (
        (signed, Verifier()),
        (signed, Verifier((other.public_key().public_bytes_raw(),))),
        (attrs.evolve(signed, resource=("$WORKSPACE/**",)), trusted),
        (attrs.evolve(signed, sig="00" * 64), trusted),
        (attrs.evolve(signed, sig="no hex"), trusted),
    ):
        assert "not signed by a trusted key" in denied(authority(bad, verifier=verifier).decide([WRITE], AT)).message


def test_every_access_of_a_request_must_be_granted() -> None:
    assert isinstance(authority(BASE).decide([WRITE, GIT], AT), Denial)
