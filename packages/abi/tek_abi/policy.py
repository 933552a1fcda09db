"""Policy: what the operator grants (DESIGN section 4), and the presets that it starts from."""

from __future__ import annotations

from typing import Final

import attrs

from tek_abi.budget import UNLIMITED, Limit
from tek_abi.permit import Permit

DEFAULT_PRESET: Final = "workspace-write"
PRESETS: Final = ("read-only", DEFAULT_PRESET, "unconfined")
DEFAULT_TASK_LIMIT: Final = Limit(ms=600_000, tokens=0, io=2**30)

PROTECTED: Final = (
    "$WORKSPACE/**/.git/hooks/**",
    "$WORKSPACE/**/.git/config",
    "$WORKSPACE/**/.git/config.worktree",
    "$WORKSPACE/**/.git/worktrees/*/config.worktree",
    "$WORKSPACE/**/.git/commondir",
    "$WORKSPACE/**/.git/modules/**",
    "$WORKSPACE/config/manifest.json",
    "$WORKSPACE/config/hooks.json",
)
"""Paths that run code later or steer tek itself. No grant to write includes them."""

ENVIRONMENT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TERM")
"""The variables of the operator that a child or an agent sees without asking."""

_SYSTEM_TREES: Final = (
    "usr",
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "opt",
    "etc/alternatives",
    "etc/ssl/certs",
)
_SYSTEM_FILES: Final = ("etc/passwd", "etc/group", "etc/hosts", "etc/localtime", "etc/nsswitch.conf", "etc/ld.so.cache")


def _permit(action: str, resource: str, rule: str, exclude: tuple[str, ...] = ()) -> Permit:
    return Permit(action=(action,), resource=(resource,), exclude=exclude, rule=rule)


def preset_permits(preset: str) -> tuple[Permit, ...]:
    """Return the permits of a preset. Raises ``KeyError`` for an unknown name.

    ``read-only``: read the workspace and the system's tools, start any program.
    ``workspace-write``: also write inside the workspace except ``.git``, ``config/`` and ``runs/``.
    ``unconfined``: every effect on every resource but the protected paths.
    """
    rule = f"preset {preset}"
    core = [_permit(action, "*", rule) for action in ("clock.now", "random.bytes", "note")]
    core += [_permit("env.get", name, rule) for name in ENVIRONMENT]
    reads = [_permit("fs.read", "$WORKSPACE/**", rule)]
    reads += [_permit("fs.read", f"$SYSTEM/{tree}/**", rule) for tree in _SYSTEM_TREES]
    reads += [_permit("fs.read", f"$SYSTEM/{name}", rule) for name in _SYSTEM_FILES]
    programs = [_permit("proc", "**", rule)]
    if preset == "read-only":
        return tuple(core + reads + programs)
    if preset == "workspace-write":
        own = ("$WORKSPACE/**/.git/**", "$WORKSPACE/config/**", "$WORKSPACE/runs/**")
        return tuple(core + reads + [_permit("fs.write", "$WORKSPACE/**", rule, own)] + programs)
    if preset == "unconfined":
        paths = [
            _permit(f"fs.{right}", f"{root}/**", rule)
            for right in ("read", "write")
            for root in ("$WORKSPACE", "$SYSTEM")
        ]
        net = [_permit("net", f"* {scheme}://*:*/**", rule) for scheme in ("http", "https")]
        return (*core, _permit("env.get", "*", rule), *paths, *net, *programs)
    raise KeyError(preset)


@attrs.frozen
class Policy:
    """The operator's grants, limits and defaults. ``permits`` hold the preset's, the manifest's and ``--allow``.

    ``task`` is the limit of a task that names none, ``task_max`` what no task can ask past; ``run`` and ``queues``
    (by letter) are shared ceilings.
    ``agents`` are pairs of a layer and the agent that its tasks get where they name none.
    """

    preset: str = DEFAULT_PRESET
    permits: tuple[Permit, ...] = attrs.field()
    task: Limit = DEFAULT_TASK_LIMIT
    task_max: Limit = Limit()
    run: Limit = Limit(UNLIMITED, UNLIMITED, UNLIMITED)
    queues: tuple[tuple[str, Limit], ...] = ()
    agents: tuple[tuple[str, str], ...] = ()

    @permits.default
    def _preset_permits(self) -> tuple[Permit, ...]:
        return preset_permits(self.preset)

    def queue_limit(self, letter: str) -> Limit:
        """Return the ceiling that the operator sets for a queue; inherits everywhere where none is set."""
        return dict(self.queues).get(letter, Limit())
