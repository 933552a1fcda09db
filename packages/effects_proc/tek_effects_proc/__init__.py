"""The effect that runs programs: ``proc.exec``.

A command gets its words and no shell, a directory beneath the workspace, an allow-listed environment, an empty
stdin and a session of its own. Its output is captured within the reserved bytes and rid of secrets; when it ends,
by itself or not, every process that it started ends with it. ``confinement`` says what a task's permits come to for
a child, ``layout`` where that stands on this machine, ``sandbox`` has the operating system hold the command to it.
"""

from tek_effects_proc.command import BadCommand
from tek_effects_proc.confinement import Confinement, Unenforceable, confinement
from tek_effects_proc.effect import ExecEffect, process_effects
from tek_effects_proc.levels import AUTO, LEVELS, WEAKER
from tek_effects_proc.sandbox import Sandbox, SandboxUnavailable, open_sandbox

__all__ = [
    "AUTO", "LEVELS", "WEAKER", "BadCommand", "Confinement", "ExecEffect", "Sandbox", "SandboxUnavailable",
    "Unenforceable", "confinement", "open_sandbox", "process_effects",
]  # fmt: skip
