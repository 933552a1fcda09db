"""Install what tek is held against, each as its users would and into an environment of its own.

They are kept in benchmarks/.peers, which no clone and no commit has, and made anew where one is missing.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.harness import HERE, Failed

_HOME = HERE / ".peers"
_PACKAGES: dict[str, tuple[str, ...]] = {
    "ninja": ("ninja",),
    "just": ("rust-just",),
    "task": ("go-task-bin",),
    "doit": ("doit",),
    "snakemake": ("snakemake",),
    "dbos": ("dbos",),
    "dask": ("distributed",),
    "prefect": ("prefect", "fastapi==0.139.*"),  # it admits later ones that it does not start with
}


def installed(name: str, program: str = "") -> str:
    """Return the path of a peer's program (its own name, if none is given), after installing it if need be.

    Raises ``Failed`` where it cannot be installed.
    """
    home = _HOME / name
    found = home / "bin" / (program or name)
    _HOME.mkdir(exist_ok=True)
    (_HOME / ".gitignore").write_text("*\n")
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _install(home, _PACKAGES[name])
    if not found.exists():
        raise Failed([str(found)], 127, f"{_PACKAGES[name][0]} brings no {found.name}")
    return str(found)


def _install(home: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    words = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise Failed(words[1:], done.returncode, " ".join(errors))
    (home / "complete").touch()


def version(name: str) -> str:
    """Return the installed version of a peer, or that there is none."""
    python = _HOME / name / "bin/python"
    if not python.exists():
        return "not installed"
    code = f"import importlib.metadata as m; print(m.version({_PACKAGES[name][0]!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or "not installed"


def versions() -> dict[str, str]:
    """Return the version of each peer, and of the programs of the system."""
    own = {name: version(name) for name in _PACKAGES}
    return own | {name: _of_system(name) for name in ("make", "xargs", "bwrap")} | {"Python": sys.version.split()[0]}


def _of_system(name: str) -> str:
    if shutil.which(name) is None:
        return "not installed"
    done = subprocess.run([name, "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0].split()[-1]
