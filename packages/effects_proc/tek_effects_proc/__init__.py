"""The effect that runs programs: ``proc.exec``.

A command gets its words and no shell, a directory beneath the workspace, an allow-listed environment, an empty
stdin and a session of its own. Its output is captured within the reserved bytes and rid of secrets; when it ends,
by itself or not, every process that it started ends with it. Confinement by the operating system is a layer below
this one and not part of it yet: until then a command has the rights of the user who runs tek.
"""

from tek_effects_proc.command import BadCommand
from tek_effects_proc.effect import ExecEffect, process_effects

__all__ = ["BadCommand", "ExecEffect", "process_effects"]
