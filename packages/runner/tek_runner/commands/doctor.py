"""``tek-runner doctor``: what this machine can run and enforce."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version

import attrs
import click
import orjson

from tek_abi import TekError
from tek_agents.registry import AgentRegistry
from tek_effects_proc import AUTO, LEVELS, WEAKER, SandboxUnavailable, open_sandbox
from tek_kernel.openat2 import BENEATH, openat2, supported
from tek_runner.examples import examples
from tek_runner.exits import Exit


@attrs.frozen
class _Check:
    """One thing that was tried. ``remedy`` says what to do where it does not hold; ``needed`` if runs depend on it."""

    name: str
    holds: bool
    detail: str
    remedy: str = ""
    needed: bool = True


@click.command(
    epilog=examples(
        """
        tek-runner doctor
        tek-runner doctor --json
        """
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Say what this machine can run and enforce, and what is missing."""
    checks = [_system(), _python(), _resolution(), _durability(), _shell(), _agents(), *_confinement()]
    if as_json:
        click.echo(orjson.dumps([attrs.asdict(check) for check in checks], option=orjson.OPT_INDENT_2))
    else:
        for check in checks:
            mark = "ok" if check.holds else "MISSING" if check.needed else "absent"
            click.echo(f"{mark:<8} {check.name:<16} {check.detail}")
            if check.remedy and not check.holds:
                click.echo(f"{'':<25} {check.remedy}")
    confined = any(check.holds for check in checks if check.name in [_LEVEL + level for level in AUTO])
    return Exit.OK if confined and all(check.holds or not check.needed for check in checks) else Exit.SANDBOX


def _system() -> _Check:
    holds = sys.platform == "linux"
    return _Check(
        "system", holds, f"{platform.system()} {platform.release()} {platform.machine()}", "tek runs on Linux"
    )


def _python() -> _Check:
    detail = f"Python {platform.python_version()}, tek {version('tek')}"
    return _Check("python", sys.version_info >= (3, 11), detail, "install Python 3.11 or newer")


def _resolution() -> _Check:
    """Try that a path which leads out of its directory is refused, and say by whom."""
    with tempfile.TemporaryDirectory() as directory:
        root = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            os.close(openat2(root, "..", os.O_PATH, 0, BENEATH))
        except OSError as error:
            if error.errno != errno.EXDEV:
                return _Check("paths", False, f"a path cannot be resolved: {error.strerror}", "use Linux 5.6 or newer")
            if supported():
                return _Check("paths", True, "openat2 refuses paths that lead out of the workspace")
            return _Check("paths", True, "without openat2, paths are walked by descriptors, name by name")
        finally:
            os.close(root)
    return _Check("paths", False, "openat2 let a path out of its directory", "do not run tek on this kernel")


def _durability() -> _Check:
    with tempfile.TemporaryFile() as file:
        try:
            file.write(b"tek")
            file.flush()
            os.fdatasync(file.fileno())
        except OSError as error:
            return _Check("durability", False, f"fdatasync fails: {error.strerror}", "use another file system")
    return _Check("durability", True, "fdatasync works")


def _shell() -> _Check:
    found = [name for name in ("sh", "bash") if shutil.which(name)]
    return _Check("shells", "sh" in found, ", ".join(found) or "none", "install a POSIX shell for sh blocks")


def _agents() -> _Check:
    registry = AgentRegistry()
    broken = []
    for name in registry.names():
        try:
            registry.load(name)
        except TekError as error:
            broken.append(str(error))
    detail = "; ".join(broken) or ", ".join(registry.names())
    return _Check("agents", not broken, detail, "reinstall or uninstall it", needed=False)


_LEVEL = "level "
_SETTINGS = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0", "AppArmor keeps user namespaces from programs"),
    ("kernel/unprivileged_userns_clone", "0", "1", "the system keeps user namespaces from ordinary users"),
    ("user/max_user_namespaces", "0", "15000", "the system allows no user namespaces"),
)
"""Below /proc/sys: what keeps user namespaces away, the value that does, the one that would not, and its meaning."""


def _confinement() -> list[_Check]:
    """Prove each level by its self-test."""
    return [_level(level) for level in LEVELS]


def _level(level: str) -> _Check:
    try:
        open_sandbox(level).close()
    except SandboxUnavailable as error:
        ((_, reason),) = error.reasons
        return _Check(_LEVEL + level, False, reason, _remedy(level), needed=False)
    detail = "its self-test passed: no way out was open"
    return _Check(_LEVEL + level, True, f"{detail}; {WEAKER[level]}" if level in WEAKER else detail, needed=False)


def _remedy(level: str) -> str:
    if (os.getuid() == 0) != (level == "root-idmap"):
        return "" if os.getuid() == 0 else "start tek-runner as root for it, or use the level userns"
    remedies = [remedy for remedy in (_setting(level), _filter(level)) if remedy]
    return "; ".join(remedies) or _NEEDS[level]


_NEEDS = {
    "root-idmap": "it needs Linux 5.13 with Landlock, CAP_SYS_ADMIN and an unmasked /proc; in a container, start that "
    "with --privileged, or start tek-runner there as an ordinary user",
    "userns": "it needs Linux 5.13 with user namespaces and Landlock",
    "bwrap": "install bubblewrap 0.11 or newer (on Debian: apt-get install bubblewrap)",
    "landlock": "it needs Linux 6.12, with landlock among the names in /sys/kernel/security/lsm",
}


def _setting(level: str) -> str:
    """Return the switch of the system that keeps a level away, and how an administrator turns it."""
    if level not in ("userns", "bwrap"):
        return ""
    for name, closed, opened, meaning in _SETTINGS:
        with suppress(OSError), open(f"/proc/sys/{name}") as file:
            if file.read().strip() == closed:
                return f"{meaning}: an administrator can allow them with sysctl {name.replace('/', '.')}={opened}"
    return ""


def _filter(level: str) -> str:
    """Tell whether a filter of system calls, as containers have one, may be in the way."""
    with suppress(OSError), open("/proc/self/status") as file:
        if level != "landlock" and "Seccomp:\t2" in file.read():
            return (
                "a filter of system calls is in force here, as in a container, and may refuse what it needs: "
                "start the container with --security-opt seccomp=unconfined"
            )
    return ""
