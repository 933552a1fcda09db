"""Everyday tools do their work inside a confinement, under the default policy, without a change to the plan.

A tool that this machine does not have is named as the reason of a skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.integration.cli import Answer, plan, tek

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def needs(*programs: str) -> None:
    """Skip where a tool is not installed in the system's own directories."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def run(work: Path, script: str, *options: str, fields: str = "") -> Answer:
    """Run a script as the only task of a plan in ``work``."""
    plan(work, f"## Queue A — Tools\n\n### `TASK-001` Use it\n\n{fields}\n```bash\n{script}\n```\n")
    return tek("run", *options, cwd=work, env={"PATH": PATH})


def log(work: Path) -> str:
    (path,) = work.glob("runs/*/logs/TASK-001_cmd1.log")
    return path.read_text()


def check(work: Path, answer: Answer, *expected: str) -> None:
    assert answer.code == 0, answer.out + answer.err + log(work)
    assert "are confined by the OS" in answer.out
    for text in expected:
        assert text in log(work)


def test_sh_with_pipes_and_temporary_files(tmp_path: Path) -> None:
    script = "t=$(mktemp); printf 'b\\na\\n' | sort | tee $t; mkdir -p out/x; cp $t out/x/; find out -type f | wc -l"
    check(tmp_path, run(tmp_path, script), "a\nb\n1\n")


class TestGit:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        needs("git")
        author = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        (tmp_path / "file").write_text("one\n")
        for words in (["init", "-q", "-b", "main"], ["add", "file"], [*author, "commit", "-q", "-m", "First"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True, env={"PATH": PATH, "HOME": str(tmp_path)})
        return tmp_path

    def test_a_repository_can_be_looked_at(self, repository: Path) -> None:
        script = "echo two >>file; git status --short; git log --oneline; git diff --stat; git rev-parse HEAD"
        check(repository, run(repository, script), " M file", "First", "1 file changed")

    @pytest.mark.parametrize("grant", ["fs.write:**", "fs.write:.git/**"])
    def test_a_commit_is_made_where_git_is_granted_and_hooks_stay_closed(self, repository: Path, grant: str) -> None:
        script = """
export GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@example.org
echo two >>file
git add file
git commit -q -m Second
git log --oneline
if echo x >.git/hooks/post-commit; then echo ESC''APED; fi
if git config core.fsmonitor ./evil; then echo ESC''APED; fi
"""
        answer = run(repository, script, "--allow", grant)
        check(repository, answer, "Second")
        assert "ESCAPED" not in log(repository)

    def test_a_commit_is_refused_without_such_a_grant(self, repository: Path) -> None:
        answer = run(repository, "echo two >>file; git -c user.name=T -c user.email=t@x commit -qam Second")
        assert answer.code == 1
        head = subprocess.run(
            ["git", "log", "--oneline"], cwd=repository, check=True, capture_output=True, text=True, env={"PATH": PATH}
        )
        assert "Second" not in head.stdout

    def test_a_new_repository_in_a_granted_tree_fails_for_its_hooks_and_configuration(self, tmp_path: Path) -> None:
        needs("git")
        answer = run(tmp_path, "git init -q new", "--allow", "fs.write:new/**")
        assert answer.code == 1
        assert not (tmp_path / "new" / ".git" / "config").exists()


class TestPython:
    def test_a_virtual_environment_is_made_and_a_wheel_installed_offline(self, tmp_path: Path) -> None:
        needs("python3")
        if subprocess.run(["/usr/bin/env", "-i", "/usr/bin/python3", "-c", "import ensurepip"], check=False).returncode:
            pytest.skip("python3-venv is not installed")
        _wheel(tmp_path / "wheels")
        script = """
/usr/bin/python3 -m venv env
env/bin/pip --version
env/bin/pip install --quiet --no-index --find-links wheels hello
env/bin/python -c 'import hello; print(hello.word)'
"""
        check(tmp_path, run(tmp_path, script), "pip ", "installed offline")

    def test_tests_run(self, tmp_path: Path) -> None:
        (tmp_path / "test_it.py").write_text("import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n")
        check(tmp_path, run(tmp_path, "python3 -m unittest -v 2>&1"), "OK")


def _wheel(directory: Path) -> None:
    """Make a wheel by hand: a wheel is a zip file with three records."""
    directory.mkdir()
    info = "hello-1.dist-info"
    files = {
        "hello.py": "word = 'installed offline'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: hello\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(directory / "hello-1-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")))


def test_make_builds_in_parallel(tmp_path: Path) -> None:
    needs("make")
    (tmp_path / "Makefile").write_text("all: a b\na b:\n\techo made $@ >$@\n")
    check(tmp_path, run(tmp_path, "make -j2; cat a b"), "made a\nmade b\n")


def test_gcc_compiles_and_what_it_made_runs(tmp_path: Path) -> None:
    needs("gcc")
    (tmp_path / "it.c").write_text('#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n')
    check(tmp_path, run(tmp_path, "gcc -O1 -o it it.c && ./it"), "compiled")


def test_node_and_npm_run_scripts(tmp_path: Path) -> None:
    needs("node", "npm")
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1.0.0", "scripts": {"build": "node build.js"}}')
    (tmp_path / "build.js").write_text("require('fs').writeFileSync('built', 'by node'); console.log('node is here')")
    script = "node -e 'console.log(6*7)'; npm run --silent build; cat built"
    check(tmp_path, run(tmp_path, script), "42", "node is here", "by node")


def test_cargo_builds_offline(tmp_path: Path) -> None:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    home = Path(os.environ.get("CARGO_HOME", Path(cargo).resolve().parents[1]))
    tools = Path(os.environ.get("RUSTUP_HOME", Path.home() / ".rustup"))
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "it"\nversion = "1.0.0"\nedition = "2021"\n')
    (tmp_path / "src" / "main.rs").write_text('fn main() { println!("oxidised"); }\n')
    toolchain = subprocess.run([cargo, "--version"], capture_output=True, check=False)
    if toolchain.returncode:
        pytest.skip("cargo has no toolchain")
    binary = _of_toolchain(tools, "cargo") or Path(cargo)
    granted = [word for tree in (home, tools) if tree.is_dir() for word in ("--allow", f"fs.read:{tree}/**")]
    script = f"export PATH={binary.parent}:$PATH CARGO_HOME=$PWD/.cargo; cargo run --quiet --offline"
    check(tmp_path, run(tmp_path, script, *granted), "oxidised")


def _of_toolchain(tools: Path, name: str) -> Path | None:
    return next(iter(sorted(tools.glob(f"toolchains/*/bin/{name}"))), None)


def test_the_interpreter_of_these_tests_starts_where_it_is_granted(tmp_path: Path) -> None:
    prefix = os.path.realpath(sys.base_prefix)
    answer = run(tmp_path, f"{os.path.realpath(sys.executable)} -c 'print(1+1)'", "--allow", f"fs.read:{prefix}/**")
    check(tmp_path, answer, "2")
