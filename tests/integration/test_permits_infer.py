"""``tek-runner permits infer``: what a run needed is enough to run again, and nothing of it can be left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import pytest

from tek_abi.pattern import match_argv
from tests.integration.cli import Answer, plan, queue, task, tek
from tests.integration.example import copy, install, served
from tests.size import NIGHTLY

EXAMPLES = ("quickstart", "legacy", "denied", "agent_plugin", "python_release", "nightly_data", "code_review")


@attrs.frozen
class Example:
    """A copy of an example that was run once, and the manifest that was inferred from it."""

    source: Path
    env: Mapping[str, str]
    run: Answer
    manifest: Any

    def again(self, place: Path, manifest: Any) -> Answer:
        """Run it in a fresh copy under a manifest."""
        shutil.copytree(self.source, place)
        (place / "config").mkdir(exist_ok=True)
        (place / "config/manifest.json").write_text(json.dumps(manifest))
        return tek("run", "sot.md", "--json", cwd=place, env=self.env)


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    place = tmp_path_factory.mktemp(request.param)
    source = copy(request.param, place / "source")
    with served(source) if (source / "server").exists() else nullcontext():
        shutil.copytree(source, place / "first")
        about = source / "pyproject.toml"
        env = install(source, place / "site") if about.exists() and "tek.agents" in about.read_text() else {}
        run = tek("run", "sot.md", "--json", cwd=place / "first", env=env)
        inferred = tek("permits", "infer", "last", "--json", cwd=place / "first", env=env)
        assert inferred.code == 0, inferred
        yield Example(source, env, run, inferred.json["manifest"])


def _ends(answer: Answer) -> dict[str, tuple[str, list[int | None], bool]]:
    """Return how each task ended: its status, its commands' exit codes, and whether a permit refused it something."""
    return {
        one["task"]: (
            one["status"],
            [command.get("rc") for command in one.get("commands", [])],
            "refused by" in one["message"],
        )
        for one in answer.json["results"]
    }


def _left_out(permits: list[Any]) -> Iterator[list[Any]]:
    """Yield the permits without one of them; without each in turn in a night, else without the first of each kind."""
    seen: set[str] = set()
    for index, permit in enumerate(permits):
        if NIGHTLY or permit["action"] not in seen:
            yield permits[:index] + permits[index + 1 :]
        seen.add(permit["action"])


def test_under_what_was_inferred_every_example_goes_as_it_went(example: Example, tmp_path: Path) -> None:
    again = example.again(tmp_path / "again", example.manifest)
    assert (again.code, _ends(again)) == (example.run.code, _ends(example.run)), again


def test_without_any_one_permit_no_example_goes_as_it_went(example: Example, tmp_path: Path) -> None:
    for index, fewer in enumerate(_left_out(example.manifest["permits"])):
        again = example.again(tmp_path / str(index), {**example.manifest, "permits": fewer})
        assert again.code in (1, 3)
        assert _ends(again) != _ends(example.run), (fewer, again)


def test_a_request_is_granted_by_its_own_words_and_a_denied_one_is_not(tmp_path: Path) -> None:
    text = queue(task(1, "echo 'a*b'"), task(2, "echo no"))
    plan(tmp_path, text, manifest={"permits": [], "preset": "workspace-write"})
    assert tek("run", cwd=tmp_path).code == 0
    first = tek("permits", "infer", "last", "--json", cwd=tmp_path).json["manifest"]["permits"]
    assert {"action": "proc.exec", "resource": "sh -eu -c 'echo no?'", "subject": "TASK-002"} in first
    assert not any(permit["action"] == "fs.write" for permit in first), "nothing has been written"
    plan(tmp_path, text, manifest={"permits": [{"action": "fs.read", "resource": ["/usr/**", "/bin/**", "/lib/**"]},
                                               {"action": "fs.read", "resource": ["/lib64/**", "/etc/ld.so.cache"]},
                                               {"action": "proc.exec", "resource": "sh", "subject": "TASK-001"}],
                                   "preset": "none"})  # fmt: skip
    assert tek("run", cwd=tmp_path).code == 3
    second = tek("permits", "infer", "last", "--json", cwd=tmp_path).json["manifest"]["permits"]
    (program,) = [permit for permit in second if permit["action"] == "proc.exec"]
    assert match_argv(program["resource"], ("sh", "-eu", "-c", "echo 'a*b'\n"))
    assert not match_argv(program["resource"], ("sh", "-eu", "-c", "echo 'a**b'\n"))
    assert second[0]["resource"] == "/usr/**" or "/usr/**" in second[0]["resource"]


_PRINT = "### `TASK-001` Print\n\n```argv\n{}\n```\n"
_TREES = {"action": "fs.read", "resource": ["/usr/**", "/lib/**", "/lib64/**", "/bin/**"]}


def test_a_limit_of_uses_does_not_grow_with_the_words_it_was_used_for(tmp_path: Path) -> None:
    rule = {"action": "proc.exec", "resource": "printf", "caveats": {"max_uses": 3}}
    plan(tmp_path, queue(_PRINT.format("printf a\nprintf a\nprintf b")), {"preset": "none", "permits": [rule, _TREES]})
    assert tek("run", cwd=tmp_path).code == 0
    inferred = tek("permits", "infer", "last", "--json", cwd=tmp_path).json["manifest"]
    uses = {one["resource"]: one["caveats"]["max_uses"] for one in inferred["permits"] if one["action"] == "proc.exec"}
    assert uses == {"printf a": 2, "printf b": 1}
    plan(tmp_path, queue(_PRINT.format("printf b\nprintf b")), inferred)
    assert tek("run", cwd=tmp_path).code == 3


def test_words_that_no_pattern_holds_are_granted_by_the_rule_that_did(tmp_path: Path) -> None:
    rule = {"action": "proc.exec", "resource": "echo **"}
    plan(tmp_path, queue(_PRINT.format("echo " + "x" * 20_000)), {"preset": "none", "permits": [rule, _TREES]})
    assert tek("run", cwd=tmp_path).code == 0
    inferred = tek("permits", "infer", "last", "--json", cwd=tmp_path).json["manifest"]
    assert [one["resource"] for one in inferred["permits"] if one["action"] == "proc.exec"] == ["echo **"]


def test_it_is_written_to_a_new_file_alone(tmp_path: Path) -> None:
    plan(tmp_path / "ws", queue(task(1, "true")))
    assert tek("run", cwd=tmp_path / "ws").code == 0
    assert tek("permits", "infer", "last", "--out", "../new.json", cwd=tmp_path / "ws").code == 0
    written = json.loads((tmp_path / "new.json").read_text())
    assert written == json.loads(tek("permits", "infer", "last", cwd=tmp_path / "ws").out)
    refused = tek("permits", "infer", "last", "--out", "../new.json", cwd=tmp_path / "ws")
    assert refused.code == 2
    assert "is there already" in refused.err


def test_a_ledger_that_was_changed_says_nothing(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "true")))
    assert tek("run", cwd=tmp_path).code == 0
    (ledger,) = tmp_path.glob("runs/*/ledger.jsonl")
    ledger.write_bytes(ledger.read_bytes().replace(b"workspace-write", b"workspace-writf"))
    answer = tek("permits", "infer", ledger, cwd=tmp_path)
    assert (answer.code, answer.out) == (4, "")
