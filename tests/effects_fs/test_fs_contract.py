"""What the file effects say about a request before it is applied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tek_abi import Access, Blob, Budget, Limit, PatternError
from tek_abi.vocabulary import fs
from tek_effects_fs import file_effects
from tek_kernel.effect import Effect, SideEffect
from tests.effects_fs.workbench import open_descriptors

DATA = Blob.of(b"12345")
REQUESTS: list[Any] = [
    fs.Read("a"),
    fs.Write("a", DATA),
    fs.Append("a", DATA),
    fs.Copy("a", "b"),
    fs.Hash("a"),
    fs.List("a"),
    fs.Glob("a/*"),
    fs.Stat("a"),
    fs.Mkdir("a"),
    fs.Remove("a"),
    fs.Rename("a", "b"),
]


def effect_for(request: Any, workspace: str = "/ws") -> Effect[Any]:
    return {effect.request: effect for effect in file_effects(workspace)}[type(request)]


def resources(path: str, workspace: str = "/ws") -> str:
    [access] = effect_for(fs.Read(path), workspace).accesses(fs.Read(path))
    return access.resource


def test_making_the_effects_opens_nothing_and_needs_no_workspace() -> None:
    before = open_descriptors()
    effects = file_effects("/no/such/workspace")
    assert open_descriptors() == before
    assert {effect.request for effect in effects} == {type(request) for request in REQUESTS}


def test_the_roots_are_closed_with_the_effects(tmp_path: Path) -> None:
    before = open_descriptors()
    effects = {effect.request: effect for effect in file_effects(tmp_path)}
    effects[fs.Remove].before(fs.Remove("a"))
    assert len(open_descriptors()) == len(before) + 1
    del effects
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (fs.Read("a"), [("fs.read", "fs.read", None)]),
        (fs.Hash("a"), [("fs.hash", "fs.read", None)]),
        (fs.List("a"), [("fs.list", "fs.read", None)]),
        (fs.Glob("a/**/*.py"), [("fs.glob", "fs.read", None)]),
        (fs.Stat("a"), [("fs.stat", "fs.read", None)]),
        (fs.Write("a", DATA), [("fs.write", "fs.write", 5)]),
        (fs.Append("a", DATA), [("fs.append", "fs.write", 5)]),
        (fs.Mkdir("a"), [("fs.mkdir", "fs.write", None)]),
        (fs.Remove("a"), [("fs.remove", "fs.write", None)]),
    ],
)
def test_each_request_names_the_right_that_it_needs(request_: Any, expected: list[tuple[str, str, int | None]]) -> None:
    accesses = effect_for(request_).accesses(request_)
    assert [(a.action, a.family, a.bytes) for a in accesses] == expected
    assert {a.resource for a in accesses} == {"$WORKSPACE/a"}


def test_a_rename_reads_and_writes_its_source_and_writes_its_target() -> None:
    request = fs.Rename("a", "/ws/b")
    assert effect_for(request).accesses(request) == (
        Access("fs.rename", "fs.read", "$WORKSPACE/a"),
        Access("fs.rename", "fs.write", "$WORKSPACE/a"),
        Access("fs.rename", "fs.write", "$WORKSPACE/b"),
    )


def test_a_copy_reads_its_source_and_writes_its_target() -> None:
    request = fs.Copy("a", "/ws/b")
    assert effect_for(request).accesses(request) == (
        Access("fs.copy", "fs.read", "$WORKSPACE/a"),
        Access("fs.copy", "fs.write", "$WORKSPACE/b"),
    )


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("*.py", "$WORKSPACE"),
        ("src/**/*.py", "$WORKSPACE/src"),
        ("/ws/.git/h?oks/x", "$WORKSPACE/.git"),
        ("/etc/*", "$SYSTEM/etc"),
        ("/w?/secret/*", "$SYSTEM"),
        ("src/a", "$WORKSPACE/src/a"),
    ],
)
def test_a_glob_reads_where_its_search_begins(pattern: str, start: str) -> None:
    [access] = effect_for(fs.Glob(pattern)).accesses(fs.Glob(pattern))
    assert access.resource == start


@pytest.mark.parametrize("pattern", ["", "../*", "src/**.py", "a\0*", "*\n"])
def test_a_pattern_that_no_permit_could_have_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        effect_for(fs.Glob(pattern)).accesses(fs.Glob(pattern))


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("src/./a", "$WORKSPACE/src/a"),
        (".", "$WORKSPACE"),
        ("/etc/passwd", "$SYSTEM/etc/passwd"),
        ("/", "$SYSTEM"),
        ("/ws", "$WORKSPACE"),
        ("/ws/.git/hooks/x", "$WORKSPACE/.git/hooks/x"),
        ("//ws//./a", "$WORKSPACE/a"),
        ("$SYSTEM/ws/a", "$WORKSPACE/a"),
        ("/ws-evil/a", "$SYSTEM/ws-evil/a"),
        ("/wsx", "$SYSTEM/wsx"),
    ],
)
def test_an_absolute_path_into_the_workspace_is_judged_as_the_workspaces(path: str, resource: str) -> None:
    assert resources(path) == resource


def test_a_workspace_may_be_the_root_of_the_system() -> None:
    assert resources("/etc/passwd", workspace="/") == "$WORKSPACE/etc/passwd"
    assert resources("/", workspace="/") == "$WORKSPACE"


@pytest.mark.parametrize("path", ["", "a/../b", "..", "/ws/../etc", "a\0b", "a\nb", "caf\udce9"])
def test_a_path_that_no_permit_can_mean_is_refused_before_anything_is_opened(path: str) -> None:
    for request in (fs.Read(path), fs.Write(path, DATA), fs.Mkdir(path), fs.Rename("a", path), fs.Rename(path, "a"),
                    fs.Copy("a", path), fs.Copy(path, "a"), fs.Hash(path)):  # fmt: skip
        with pytest.raises(PatternError):
            effect_for(request).accesses(request)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, -1, 1 << 20])
def test_a_mode_beyond_the_permissions_is_refused(mode: int) -> None:
    with pytest.raises(ValueError, match="set-id"):
        effect_for(fs.Write("a", DATA)).accesses(fs.Write("a", DATA, mode))


def test_side_effects() -> None:
    kinds = {request.effect: effect_for(request).side_effect(request) for request in REQUESTS}
    assert kinds == {
        "fs.read": SideEffect.READ,
        "fs.hash": SideEffect.READ,
        "fs.list": SideEffect.READ,
        "fs.glob": SideEffect.READ,
        "fs.stat": SideEffect.READ,
        "fs.write": SideEffect.IDEMPOTENT,
        "fs.copy": SideEffect.IDEMPOTENT,
        "fs.mkdir": SideEffect.IDEMPOTENT,
        "fs.append": SideEffect.ONCE,
        "fs.remove": SideEffect.PROBE,
        "fs.rename": SideEffect.PROBE,
    }


def test_costs_are_exact_where_the_request_brings_the_bytes() -> None:
    costs = {request.effect: effect_for(request).cost(request) for request in REQUESTS}
    for name in ("fs.write", "fs.append"):
        assert costs[name].least == Budget(ms=1, io=5)
        assert costs[name].most == Limit(ms=60_000, tokens=0, io=5)
    for name in ("fs.stat", "fs.mkdir", "fs.remove", "fs.rename"):
        assert costs[name].least == Budget(ms=1)
        assert costs[name].most == Limit(ms=60_000, tokens=0, io=0)


def test_a_read_asks_for_what_can_be_had_and_a_list_for_a_bounded_part() -> None:
    for whole in (fs.Read("a"), fs.Hash("a"), fs.Copy("a", "b")):
        cost = effect_for(whole).cost(whole)
        assert (cost.least, cost.most.io) == (Budget(ms=1), None)
    for names in (fs.List(), fs.Glob("*")):
        cost = effect_for(names).cost(names)
        assert cost.least == Budget(ms=1)
        assert isinstance(cost.most.io, int)


def test_a_probe_tells_whether_it_happened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    remove, rename = effect_for(fs.Remove("a"), str(tmp_path)), effect_for(fs.Rename("a", "b"), str(tmp_path))
    baseline: Any = rename.before(fs.Rename("a", "b"))

    assert baseline["source"]["kind"] == "file"
    assert baseline["source"]["size"] == 5
    assert baseline["target"] is None
    assert rename.before(fs.Rename("a", "b")) == baseline
    os.rename(tmp_path / "a", tmp_path / "b")
    assert rename.before(fs.Rename("a", "b")) == {"source": None, "target": baseline["source"]}
    assert remove.before(fs.Remove("a")) == {"path": None}
    assert remove.before(fs.Remove("no/such/directory")) == {"path": None}
