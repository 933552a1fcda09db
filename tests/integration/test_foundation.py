"""What stands around the code: the Makefile, the licence, the CI script, and the examples as plans."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tek_abi import ExecutionPlan
from tek_planner import attach_hooks, plan_bytes, read_hooks

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def make(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/env", "make", *arguments],
        cwd=folder, env=BARE if env is None else env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def planned(name: str) -> ExecutionPlan:
    result = plan_bytes((EXAMPLES / name / "sot.md").read_bytes(), f"examples/{name}/sot.md")
    assert [diagnostic.render() for diagnostic in (*result.diagnostics, *result.warnings)] == []
    assert result.plan is not None
    return result.plan


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that holds what setting up reads, and no environment yet. Its name has a blank."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def python_that(folder: Path, *refuses: str) -> Path:
    """A Python that fails where its arguments start with one of ``refuses``, as Debian's does in parts."""
    script = folder / "python"
    cases = "".join(f'    "{start}"*) exit 1 ;;\n' for start in refuses)
    script.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


class TestMakefile:
    def test_without_a_target_it_lists_its_commands_even_in_an_empty_environment(self) -> None:
        listed = make(ROOT, env={})
        assert listed.returncode == 0
        assert re.findall(r"make ([\w-]+)", listed.stdout)[:5] == ["help", "run", "test", "test-nightly", "check"]

    def test_a_python_that_is_too_old_or_missing_is_named_as_the_reason(self, clone: Path) -> None:
        refused = make(clone, "run", "PYTHON=/bin/false")
        assert refused.returncode != 0
        assert "No Python of 3.11 or newer" in refused.stderr
        assert not (clone / ".venv").exists()

    def test_a_python_without_venv_and_pip_names_the_package_to_install_and_leaves_nothing_behind(
        self, clone: Path, tmp_path: Path
    ) -> None:
        refused = make(clone, "run", f"PYTHON={python_that(tmp_path, '-m venv', '-m pip')}")
        assert refused.returncode != 0
        assert "apt-get install python3-venv" in refused.stderr
        assert not (clone / ".venv").exists()

    def test_an_environment_of_another_folder_is_not_used(self, clone: Path) -> None:
        (clone / ".venv/bin").mkdir(parents=True)
        (clone / ".venv/bin/python").symlink_to(sys.executable)
        (clone / ".venv/root").write_text("/somewhere/else\n")
        (clone / ".venv/run.stamp").touch()
        assert "No Python" in make(clone, "run", "PYTHON=/bin/false").stderr

    def test_an_environment_that_is_up_to_date_is_used_as_it_is(self, clone: Path) -> None:
        (clone / ".venv/bin").mkdir(parents=True)
        (clone / ".venv/bin/python").symlink_to(sys.executable)
        runner = clone / ".venv/bin/tek-runner"
        runner.write_text('#!/bin/sh\necho "tek-runner $*"\n')
        runner.chmod(0o755)
        (clone / ".venv/root").write_text(f"{clone}\n")
        (clone / ".venv/run.stamp").touch()
        ran = make(clone, "run", "ARGS=--max-workers 2", "PYTHON=/bin/false")
        assert (ran.stdout, ran.stderr) == ("tek-runner run examples/quickstart/sot.md --max-workers 2\n", "")


class TestLegalAndCi:
    def test_the_licence_is_the_one_that_the_package_names_in_full(self) -> None:
        text = (ROOT / "LICENSE").read_text()
        assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
        assert "Apache License\n                           Version 2.0" in text
        assert "END OF TERMS AND CONDITIONS" in text

    def test_the_ci_script_can_be_run_and_is_sound(self) -> None:
        script = ROOT / ".ci/run"
        assert os.access(script, os.X_OK)
        assert subprocess.run(["bash", "-n", script], check=False, timeout=10).returncode == 0


class TestExamples:
    @pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/sot.md")))
    def test_every_example_plans_without_a_remark_and_has_a_page_of_its_own(self, name: str) -> None:
        assert list(planned(name).tasks())
        assert (EXAMPLES / name / "README.md").read_text().startswith("# ")

    def test_the_quickstart_gives_the_same_answers_and_files_wherever_and_however_often_it_runs(
        self, tmp_path: Path
    ) -> None:
        plan = planned("quickstart")
        seen = []
        for folder in (tmp_path / "here", tmp_path / "over there"):
            shutil.copytree(EXAMPLES / "quickstart", folder, ignore=shutil.ignore_patterns("out", "runs"))
            before = dict(files(folder))
            for _ in range(2):
                answers = list(carry_out(plan, folder))
                assert [answer for answer in answers if answer[1] != 0] == []
                assert {path: data for path, data in files(folder) if not path.startswith("out/")} == before
                seen.append((answers, dict(files(folder / "out"))))
        assert all(each == seen[0] for each in seen)

    def test_the_denied_example_has_a_row_for_each_task_beyond_the_policy_or_the_budget(self) -> None:
        beyond = [task.id for queue, task in planned("denied").tasks() if queue.letter in ("B", "C")]
        rows = re.findall(r"^\| `(TASK-\d+)`", (EXAMPLES / "denied/README.md").read_text(), re.MULTILINE)
        assert rows == beyond
        assert json.loads((EXAMPLES / "denied/config/manifest.json").read_bytes())["preset"] == "none"

    def test_the_legacy_example_holds_its_section_and_nothing_else(self) -> None:
        plan = planned("legacy")
        assert {queue.name: [task.id for task in queue.tasks] for queue in plan.queues} == {
            "Queue A — Prepare the sites": ["TASK-001", "TASK-002", "TASK-022"],
            "Queue B — Move the records": ["TASK-030", "TASK-042", "TASK-043"],
            "Queue C — Watch and close": ["TASK-054", "TASK-062"],
        }

    def test_the_hooks_of_the_legacy_example_override_those_of_their_queues(self) -> None:
        path = EXAMPLES / "legacy/config/hooks.json"
        hooked, warnings = attach_hooks(planned("legacy"), read_hooks(path.read_bytes(), str(path)))
        assert warnings == ()
        steps = {task.id: [step.argv[0] for step in task.steps] for _, task in hooked.tasks()}
        assert steps == {
            "TASK-001": ["printf"], "TASK-002": ["ls", "grep"], "TASK-022": ["printf"],
            "TASK-030": ["python3"], "TASK-042": ["python3"], "TASK-043": ["python3"],
            "TASK-054": [], "TASK-062": ["printf"],
        }  # fmt: skip


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def carry_out(plan: ExecutionPlan, folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Do the plan's steps in the order of the page, without tek, and yield what each answers."""
    for _, task in plan.tasks():
        for step in task.steps:
            done = subprocess.run(
                step.argv, cwd=folder / (step.cwd or task.cwd or "."), env={**BARE, **dict(task.env)},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
            )  # fmt: skip
            yield task.id, done.returncode, done.stdout
