"""What a hostile command tries: each attack prints ESCAPED or HELD with its name. It may write the tree ``out``.

The arguments are the port of a server on the host, a directory outside, a mark for a process that stays behind, and
``wide`` where the whole workspace may be written.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

port, outside, mark, width = sys.argv[1:]
secret = f"{outside}/secret"


def attempt(name: str, act: Callable[..., object], *arguments: object) -> None:
    """Try an attack; it escapes if it raises nothing."""
    try:
        act(*arguments)
        print("ESCAPED", name)
    except Exception as error:
        print("HELD", name, error)


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def append(path: str) -> None:
    with open(path, "a") as file:
        file.write("x")


def read_by_a_link() -> None:
    os.symlink(secret, "out/link")
    read("out/link")


def write_by_a_link() -> None:
    os.symlink(outside, "out/links")
    append("out/links/made")


def read_by_a_hard_link() -> None:
    os.link(secret, "out/hard")
    read("out/hard")


def reach() -> None:
    socket.create_connection(("127.0.0.1", int(port)), 3)


def reach_by_name() -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0tek-escapes-{port}")


def signal_the_runner() -> None:
    os.kill(int(read("runner.pid")), signal.SIGCONT)


def see_environments() -> None:
    found = ""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            found += read(f"/proc/{pid}/environ")
    assert "CANARY=told" in found, "no other's is to be read"


def write_the_ledger() -> None:
    ledgers = [os.path.join(at, name) for at, _, names in os.walk("runs") for name in names if name.endswith(".jsonl")]
    append(ledgers[0])


def move_the_runs() -> None:
    os.rename("runs", "out/runs")
    os.rename("out/runs", "runs")


def move_the_repository() -> None:
    os.rename(".git", "out/git")
    os.rename("out/git", ".git")


def replace_the_hooks() -> None:
    os.rename(".git/hooks", ".git/old")
    os.rename(".git/old", ".git/hooks")


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


append("out/made")
print("CONTROL", read("out/made"), read("readable"))
attempt("read outside", read, secret)
attempt("read outside by ..", read, "../outside/secret")
attempt("read by a magic link", read, "/proc/self/root" + secret)
attempt("read by a link", read_by_a_link)
attempt("read by a hard link", read_by_a_hard_link)
attempt("list outside", os.listdir, outside)
attempt("write outside", append, f"{outside}/written")
attempt("write by a link", write_by_a_link)
attempt("remove outside", os.unlink, f"{outside}/spare")
attempt("write a hook", append, ".git/hooks/post-commit")
attempt("write the repository's configuration", append, ".git/config")
attempt("replace the hooks", replace_the_hooks)
attempt("move the repository", move_the_repository)
attempt("write the manifest", append, "config/manifest.json")
attempt("write the ledger", write_the_ledger)
attempt("move the runs", move_the_runs)
attempt("reach a server", reach)
attempt("reach an abstract socket", reach_by_name)
attempt("signal the runner", signal_the_runner)
attempt("see another's environment", see_environments)
if width == "narrow":
    attempt("write beside", append, "beside")
attempt("have what the operator keeps", lambda: os.environ["CANARY"])
attempt("read password hashes", read, "/etc/shadow")
attempt("become root", os.setuid, 0)
attempt("mount", run, "mount", "-t", "tmpfs", "x", "out")
subprocess.Popen(["setsid", "sleep", mark], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
