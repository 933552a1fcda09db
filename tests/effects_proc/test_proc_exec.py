"""What a command gets and how its end is told."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path

import pytest

from tek_abi import Access
from tek_abi.vocabulary.proc import Exec
from tek_kernel.effect import EffectError, EffectRefused
from tests.effects_proc.commands import OPERATOR, Commands, children, observed, open_descriptors


def failure(commands: Commands, *argv: str, cwd: str = ".") -> EffectError:
    with pytest.raises(EffectError) as raised:
        commands.apply(Exec(argv, cwd))
    return raised.value


def test_output_and_exit_code_are_told(commands: Commands) -> None:
    exit_ = commands.sh("echo out; echo err >&2; exit 7")
    assert (exit_.code, exit_.signal) == (7, None)
    assert (exit_.stdout.read(), exit_.stderr.read()) == (b"out\n", b"err\n")


def test_a_signal_is_told_instead_of_a_code(commands: Commands) -> None:
    exit_ = commands.sh("kill -SEGV $$")
    assert (exit_.code, exit_.signal) == (None, signal.SIGSEGV)


def test_usage_counts_the_bytes_of_both_streams_and_observations_name_the_process(commands: Commands) -> None:
    applied = commands.apply(Exec(("sh", "-c", "echo $$; echo four >&2")))
    pid = int(applied.value.stdout.text())
    assert applied.usage.io == applied.value.stdout.size + 5
    assert observed(applied)["pid"] == pid
    assert observed(applied)["cpu_ms"] >= 0


def test_words_reach_the_program_as_they_are(commands: Commands) -> None:
    words = ("a b", "", "$HOME", "*", "'", "ümläut", "x\ny", "-n")
    assert commands.run("printf", "%s|", *words).stdout.text() == "|".join(words) + "|"


def test_bytes_that_are_no_text_are_kept(commands: Commands) -> None:
    assert commands.run("printf", r"\377\000\200").stdout.read() == b"\xff\x00\x80"


def test_the_environment_is_what_is_allowed_and_asked_for(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEK_TEST_LEAK", "from the runner")
    lines = commands.run("env", env=(("ASKED", "yes"), ("HOME", "/elsewhere"))).stdout.text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert len(found.pop("TEK_EFFECT")) == 32
    assert found == {"PATH": OPERATOR["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/elsewhere", "ASKED": "yes"}


def test_stdin_is_empty(commands: Commands) -> None:
    assert commands.run("wc", "-c").stdout.text().strip() == "0"


def test_no_descriptor_of_the_runner_reaches_a_command(commands: Commands) -> None:
    with open("/etc/passwd", "rb") as file:
        os.set_inheritable(file.fileno(), True)
        listing = commands.sh("ls /proc/$$/fd").stdout.text().split()
    assert listing == ["0", "1", "2"]


def test_a_command_leads_a_session_of_its_own(commands: Commands) -> None:
    fields = commands.sh("cat /proc/$$/stat").stdout.text().rpartition(")")[2].split()
    pid = commands.sh("echo $$").stdout.text().strip()
    assert fields[2] == fields[3] != str(os.getsid(0))
    assert pid.isdecimal()


def test_signals_are_at_their_defaults(commands: Commands) -> None:
    # CPython ignores SIGPIPE; a child that did so too would not stop writing into a closed pipe. Signals 32 and 33 are
    # the C library's own: posix_spawn leaves them ignored in all that make starts, this process among them.
    ignored = int(commands.run("sh", "-c", "grep SigIgn /proc/$$/status").stdout.text().split()[1], 16)
    background = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]  # nohup(1), and sh(1p) for what it starts with &
    ours = [number for number in background if signal.getsignal(number) is signal.SIG_IGN]
    assert ignored & ~(0b11 << 31) == sum(1 << number - 1 for number in ours)


def test_a_command_runs_in_the_workspace_or_beneath(commands: Commands) -> None:
    (commands.workspace / "a" / "b").mkdir(parents=True)
    assert commands.run("pwd").stdout.text() == f"{commands.workspace}\n"
    assert commands.run("pwd", cwd="a/b").stdout.text() == f"{commands.workspace}/a/b\n"
    assert commands.run("pwd", cwd=f"{commands.workspace}/a").stdout.text() == f"{commands.workspace}/a\n"


@pytest.mark.parametrize("target", ["/etc", "../../outside", "/proc/self/root/etc"])
def test_a_directory_that_leads_out_by_a_link_is_refused(commands: Commands, tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (commands.workspace / "sub").mkdir()
    (commands.workspace / "sub" / "link").symlink_to(target)
    assert failure(commands, "true", cwd="sub/link").code == "escapes"


def test_a_link_within_the_workspace_needs_a_permit_for_where_it_leads(commands: Commands) -> None:
    (commands.workspace / "real").mkdir()
    (commands.workspace / "link").symlink_to("real")
    asked: list[Access] = []

    def covers(access: Access) -> bool:
        asked.append(access)
        return len(asked) > 1

    before = open_descriptors()
    with pytest.raises(EffectRefused):
        commands.apply(Exec(("pwd",), "link"), covers=covers)
    assert open_descriptors() == before
    assert commands.apply(Exec(("pwd", "-P"), "link"), covers=covers).value.stdout.text().endswith("/real\n")
    assert set(asked) == {Access("fs.list", "fs.read", "$WORKSPACE/real")}


def test_a_directory_that_is_not_there_or_none_is_told(commands: Commands) -> None:
    (commands.workspace / "file").touch()
    assert failure(commands, "true", cwd="nowhere").code == "not-found"
    assert failure(commands, "true", cwd="file").code == "wrong-kind"


def test_a_program_in_the_directory_is_not_found_by_its_name(commands: Commands) -> None:
    commands.script("surely-not-on-path", "#!/bin/sh\necho evil\n")
    error = failure(commands, "surely-not-on-path")
    assert error.code == "not-found"
    assert "no program 'surely-not-on-path' on PATH" in error.message


@pytest.mark.parametrize("path", ["", ".", ":/usr/bin:", "bin", "./bin:/usr/bin"])
def test_an_empty_or_relative_entry_of_path_is_no_place_to_search(commands: Commands, path: str) -> None:
    commands.script("tool", "#!/bin/sh\necho evil\n")
    commands.script("bin/tool", "#!/bin/sh\necho evil\n")
    there = Commands(commands.workspace, {"PATH": path})
    assert failure(there, "tool").code == "not-found"


def test_a_path_that_is_asked_for_does_not_change_which_program_a_permit_names(commands: Commands) -> None:
    evil = commands.script("bin/id", "#!/bin/sh\necho evil\n").parent
    path = (("PATH", f"{evil}:/usr/bin:/bin"),)
    assert commands.run("id", env=path).stdout.text() != "evil\n"
    assert commands.sh("id", env=path).stdout.text() == "evil\n"


def test_a_program_of_the_workspace_is_named_from_the_directory(commands: Commands) -> None:
    commands.script("tools/hello", '#!/bin/sh\necho "$0 in $(pwd)"\n')
    assert commands.run("tools/hello").stdout.text() == f"tools/hello in {commands.workspace}\n"
    assert commands.run("./hello", cwd="tools").stdout.text() == f"./hello in {commands.workspace}/tools\n"
    assert failure(commands, "tools/hello", cwd="tools").code == "not-found"


def test_what_cannot_be_executed_is_told_with_its_reason(commands: Commands) -> None:
    commands.script("plain", "#!/bin/sh\n", mode=0o644)
    commands.script("no-shebang", "echo hello\n")
    commands.script("lost", "#!/no/such/interpreter\n")
    (commands.workspace / "dir").mkdir()
    os.mkfifo(commands.workspace / "fifo", 0o755)
    assert failure(commands, "./plain").code == "not-permitted"
    assert failure(commands, "./dir").code == "wrong-kind"
    assert failure(commands, "./fifo").code == "wrong-kind"
    error = failure(commands, "./no-shebang")
    assert (error.code, "#!" in error.message) == ("wrong-kind", True)
    error = failure(commands, "./lost")
    assert (error.code, "interpreter" in error.message) == ("not-found", True)


def test_two_hundred_commands_leave_nothing_behind(commands: Commands) -> None:
    commands.run("true")
    before = open_descriptors(), threading.active_count(), children()
    for _ in range(200):
        commands.run("true")
    gc.collect()
    assert (open_descriptors(), threading.active_count(), children()) == before


def test_commands_that_cannot_start_leave_nothing_behind(commands: Commands) -> None:
    commands.script("no-shebang", "echo hello\n")
    failure(commands, "./no-shebang")
    before = open_descriptors()
    for _ in range(20):
        failure(commands, "./no-shebang")
        failure(commands, "nothing-of-that-name")
    assert open_descriptors() == before


def test_workers_run_commands_side_by_side(commands: Commands) -> None:
    results: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(10):
            results[number] = commands.sh(f"echo {number}").stdout.text()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {number: f"{number}\n" for number in range(4)}


def test_a_script_that_somebody_just_wrote_runs(commands: Commands) -> None:
    # Given a worker that still holds the script open for writing for a moment
    path = commands.script("busy", "#!/bin/sh\necho ran\n")
    handle = open(path, "a")  # noqa: SIM115  # closed by the timer
    timer = threading.Timer(0.02, handle.close)
    timer.start()
    # Then the command waits for it instead of failing with "text file busy"
    assert commands.run("./busy").stdout.text() == "ran\n"
    timer.join()
