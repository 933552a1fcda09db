"""Nothing that a user can type or hand over shows a traceback (``tek`` asserts it for every call here)."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.cli import TEK_RUNNER, plan, queue, task, tek


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    (tmp_path / "random.md").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "random.json").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "cut.json").write_text('{"version": 1, "queues": [')
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo.md")
    with open(tmp_path / "long.md", "wb") as file:
        file.truncate(200 * 2**20)
    return tmp_path


INPUTS = [
    "random.md",
    "random.json",
    "cut.json",
    "deep.json",
    "empty.json",
    "directory",
    "fifo.md",
    "missing.md",
    "long.md",
    "/dev/zero",
    "/proc/self/mem",
    "\udcff.md",
]


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_cannot_be_read_ends_with_one_clear_message(hostile: Path, name: str) -> None:
    for command in ("plan", "run", "list"):
        answer = tek(command, name, cwd=hostile)
        assert answer.code == 2, (command, answer)
        assert answer.err.startswith("tek-runner: ")
    replay = tek("replay", name, cwd=hostile)
    assert replay.code in (2, 4)
    assert replay.err


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"],
        ["run", "--bogus"],
        ["run", "--workers", "0"],
        ["run", "--workers", "many"],
        ["run", "--budget", "lots"],
        ["run", "--budget", ""],
        ["run", "empty.md", "--allow", "x"],
        ["run", "empty.md", "--allow", "fs.read:../x"],
        ["run", "empty.md", "--allow", "fs.*:x"],
        ["run", "empty.md", "--only", "TASK-001"],
        ["run", "empty.md", "--config", "nope"],
        ["run", "empty.md", "--workspace", "nope"],
        ["run", "empty.md", "--run-dir", "directory/../random.md"],
        ["replay"],
        ["replay", "last"],
        ["plan", "empty.md", "--out", "/proc/none/plan.json"],
        ["plan", "empty.md", "--out", "directory"],
    ],
)
def test_wrong_usage_ends_with_a_message(hostile: Path, words: list[str]) -> None:
    answer = tek(*words, cwd=hostile)

    assert answer.code in (2, 7)
    assert answer.err.strip()


def test_a_reader_that_has_gone_and_a_full_device_are_no_defects(hostile: Path) -> None:
    for words in (["list", "--effects"], ["plan", "empty.md"], ["run", "empty.md"], ["doctor", "--json"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TEK_RUNNER, *words], cwd=hostile, stdout=full, stderr=subprocess.PIPE, check=False)
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 7)
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([TEK_RUNNER, *words], cwd=hostile, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
        assert b"Traceback" not in done.stderr
        assert b"Exception" not in done.stderr


def test_a_run_goes_on_when_its_reader_has_gone(tmp_path: Path) -> None:
    plan(tmp_path, queue(*(task(number, f"echo x > made-{number}") for number in range(1, 9))))
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run([TEK_RUNNER, "run"], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, check=False)

    os.close(write)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("made-*"))) == 8
    assert tek("replay", "last", cwd=tmp_path).code == 0


def test_a_full_disk_ends_with_7_and_what_is_on_record_holds(tmp_path: Path) -> None:
    plan(tmp_path, queue(*(task(number, "echo x") for number in range(1, 60))))

    done = subprocess.run(
        [TEK_RUNNER, "run", "--run-dir", "run"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )

    assert done.returncode == 7, done
    assert b"Traceback" not in done.stderr
    assert b"cannot be written" in done.stderr


def test_a_read_only_place_for_runs_is_said(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x")))
    (tmp_path / "runs").write_text("a file where the directory should be")

    assert tek("run", cwd=tmp_path).code == 7


MANIFEST: dict[str, Any] = {
    "preset": "workspace-write",
    "permits": [
        {
            "action": "fs.write",
            "resource": ["a/**"],
            "subject": "TASK-001",
            "exclude": [],
            "caveats": {"max_bytes": 1},
            "expires_at": "2030-01-01T00:00:00Z",
        }
    ],
    "budgets": {"task": {"ms": "1s", "io": 5}, "run": "ms=1s", "queues": {"A": {"tokens": "unlimited"}}},
    "layers": {"services": {"agent": "shell", "permits": []}, "platform": "noop"},
    "keys": ["00" * 32],
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in _paths(item, (*path, key)))]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(_paths(MANIFEST)),
    st.sampled_from([None, 1, -1, 2**70, 1.5, True, "", "x", [], {}, [[]], {"extra": 1}, "a" * 9000, "\0"]),
)
def test_a_manifest_with_any_value_anywhere_is_accepted_or_pointed_at(
    tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    manifest = json.loads(json.dumps(MANIFEST))
    if path:
        inner = manifest
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    else:
        manifest = value
    plan(tmp_path, "# Nothing\n\n## Queue A — Nothing\n", manifest=json.dumps(manifest))

    answer = tek("run", "--dry-run", cwd=tmp_path)

    assert answer.code in (0, 2), answer
    if answer.code == 2:
        assert "manifest.json:1:" in answer.err or "agent" in answer.err, answer.err


MISTAKEN = '{\n  "preset": "workspace-write",\n  "permits": [{"action": "fs.raed", "resource": "x"}]\n}\n'


def test_a_manifests_mistake_is_shown_with_its_line(tmp_path: Path) -> None:
    plan(
        tmp_path,
        "# Nothing\n",
        manifest='{\n  "preset": "workspace-write",\n  "permits": [{"action": "fs.raed", "resource": "x"}]\n}\n',
    )

    answer = tek("run", cwd=tmp_path)

    assert answer.code == 2
    assert "config/manifest.json:3:15: TEK801 permits[0]" in answer.err
    assert '3 |   "permits": [{"action": "fs.raed", "resource": "x"}]' in answer.err


def test_unconfined_must_be_meant(tmp_path: Path) -> None:
    plan(tmp_path, queue(task(1, "echo x")), manifest={"preset": "unconfined"})

    assert tek("run", cwd=tmp_path).code == 2
    assert tek("run", "--sandbox=off", cwd=tmp_path).code == 0


@pytest.mark.parametrize("words", ["plan", "list", "check", "doctor", "explain", "--help", "--version", "run"])
def test_a_closed_output_is_no_defect(tmp_path: Path, words: str) -> None:
    plan(tmp_path, "## Queue A — One\n\n### `TASK-001` First\n\n```argv\ntrue\n```\n")
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        done = subprocess.run(
            ["sh", "-c", f"exec {TEK_RUNNER} {words} {closed}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (closed, done)
        assert "Traceback" not in done.stderr
