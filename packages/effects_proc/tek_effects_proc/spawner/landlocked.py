"""The level ``landlock``: a command in the host's own namespaces, held by Landlock and the filter alone.

What it cannot do is hide: names, kinds, sizes and dates of files outside can still be asked for. The command has no
/proc, and a directory of its own in place of /tmp and its home.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from typing import Any, NoReturn

from tek_effects_proc.spawner import keeper, seccomp, system
from tek_effects_proc.spawner.landlock import READ, WRITE, Ruleset, scope
from tek_effects_proc.spawner.mounts import DEVICES, root_from
from tek_effects_proc.spawner.probe import attempt_all

_OWN = "/var/tmp"  # noqa: S108  # where a directory of its own is made, closed to others


class Landlocked:
    """One command under Landlock."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._own = ""

    def hold(self) -> tuple[int, ...]:
        """Make its own directory, and be in a scope that nothing outside can be signalled from."""
        self._own = tempfile.mkdtemp(prefix=f"tek-{os.getppid()}-", dir=_OWN)
        system.no_new_privileges()
        scope()
        return ()

    def enter(self, stdout: int) -> NoReturn:
        """Give up every right that the command shall not have, and become it."""
        request = self._request
        program, argv, environment = keeper.words(request)
        own = os.fsencode(self._own)
        environment |= {b"TMPDIR": own, b"HOME": own}
        keeper.bound(request["rlimits"])
        rules = self._rules()
        os.chdir(request["cwd"])
        system.drop_capabilities()
        rules.restrict()
        system.install_filter(seccomp.program(network=False, shared=True))
        if "probe" in request:
            attempt_all(request["probe"] | {"own": self._own})
        os.execve(program, argv, environment)  # noqa: S606  # no shell reads these words

    def end(self, command: int) -> None:
        """Kill all that may be signalled from here: the scope holds the command's processes and no others. New ones
        cannot be missed, for the system starts none while it goes through the list.
        """
        with suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)

    def finish(self) -> str:
        """Remove what was its own; a command that was not started has said so itself."""
        shutil.rmtree(self._own, ignore_errors=True)
        return ""

    def _rules(self) -> Ruleset:
        rules = Ruleset()
        root = root_from(self._request["root"])
        for bind in root.binds:
            fd = system.open_path(bind.path)
            rules.allow(fd, (READ if bind.read else 0) | (WRITE if bind.write else 0))
            os.close(fd)
        for name in DEVICES:
            rules.allow(system.open_path(f"/dev/{name}"), READ | WRITE)
        rules.allow(system.open_path(self._own), READ | WRITE)
        return rules
