"""Confining one command: from its task's permits to a started process, and the look afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import attrs

from tek_abi import Access, Value
from tek_effects_proc.child import not_executed
from tek_effects_proc.confinement import Confinement, Unenforceable
from tek_effects_proc.known import Known
from tek_effects_proc.layout import Ground, Layout, TooManyMatches
from tek_effects_proc.levels import Unheld
from tek_effects_proc.marked import find_marked
from tek_effects_proc.network import VARIABLES, Serve
from tek_effects_proc.output import Output
from tek_effects_proc.program import find_program
from tek_effects_proc.sandbox import Command, Sandbox, confined_to
from tek_effects_proc.spawn import Confined, NotConfined
from tek_effects_proc.straight import rename_away
from tek_effects_proc.watch import Wake
from tek_kernel.effect import Context, EffectError, EffectRefused, Held


@attrs.define
class Confining:
    """The confinement of one command. ``held`` is all that its task may do with files and the network."""

    _ground: Ground
    _sandbox: Sandbox
    _context: Context
    _held: Held
    _known: Known
    _serve: Serve | None = None
    _confinement: Confinement = attrs.field(factory=Confinement, init=False)
    _layout: Layout | None = attrs.field(default=None, init=False)
    _connections: Value = attrs.field(default=None, init=False)

    def start(self, argv: Sequence[str], search: str, cwd: int, environment: Mapping[bytes, bytes]) -> Confined:
        """Start a command in the directory ``cwd``, a descriptor. Raises ``EffectError`` or ``EffectRefused``."""
        try:
            self._confinement = confined_to(self._held)
            trees = (self._ground.real(region.path) for region in self._confinement.writes if region.is_tree)
            layout, planted = self._known.begin(lambda: self._ground.layout(self._confinement), trees)
            self._layout = layout
        except (Unenforceable, TooManyMatches) as error:
            raise EffectRefused(Access("proc.exec", "proc", argv[0], tuple(argv)), str(error)) from None
        try:
            return self._start(layout, planted, argv, search, cwd, environment)
        except BaseException:
            self._known.end()
            raise

    def _start(
        self,
        layout: Layout,
        planted: Mapping[str, object],
        argv: Sequence[str],
        search: str,
        cwd: int,
        environment: Mapping[bytes, bytes],
    ) -> Confined:
        if planted:
            shown = ", ".join(self._ground.shown(path) for path in planted)
            message = (
                f"{shown}, which no permit lets commands write, was made while another command ran; start it again"
            )
            raise EffectError("escapes", message)
        directory = os.readlink(f"/proc/self/fd/{cwd}")
        program = find_program(argv[0], search, cwd, layout.sees)
        absolute = program if program.startswith("/") else os.path.normpath(f"{directory}/{program}")
        network = self._confinement.network and self._serve is not None
        environment = {**VARIABLES, **environment} if network else environment
        command = Command(absolute, tuple(argv), environment, directory, self._context.limits.io, network)
        try:
            return self._sandbox.start(self._ground, layout, command)
        except Unheld as error:
            raise EffectRefused(Access("proc.exec", "proc", argv[0], tuple(argv)), str(error)) from None
        except NotConfined as error:
            raise refused(error) from error

    @contextmanager
    def connected(self, started: Confined, output: Output, wake: Wake) -> Iterator[None]:
        """Serve the command's listener, if it has one. Bytes that its budget does not cover end the command."""
        if started.listener is None or self._serve is None:
            yield
            return

        def take(count: int) -> int:
            covered = output.spend(count)
            if covered < count:
                wake.ring()
            return covered

        serving = self._serve(started.listener, self._context, take)
        try:
            yield
        finally:
            self._connections = serving.close()

    def check(self) -> EffectError | None:
        """Look whether the command made or replaced what no write may touch, where there was nothing to hold on to.

        Such a thing is renamed, so that nothing runs it. Called once, when a command that was started has ended,
        however it did. Returns the error that names it.
        """
        try:
            found = self._known.untrusted(find_marked(self._ground, self._confinement))
        finally:
            self._known.end()
        if not found:
            return None
        for path in sorted(found, key=len, reverse=True):
            with suppress(OSError):
                rename_away(path, found[path], f"{os.path.basename(path)}.refused-{os.urandom(4).hex()}")
        shown = ", ".join(self._ground.shown(path) for path in found)
        who = "the command, or one that ran beside it,"
        message = f"{who} made {shown}, which no permit lets it write; it was renamed to .refused-*"
        return EffectError("escapes", message)

    def observed(self) -> dict[str, Value]:
        """Return what is worth knowing about the confinement: its level, trees that were made, grants without use."""
        if self._layout is None:
            return {}
        result: dict[str, Value] = {"level": self._sandbox.level}
        if self._connections:
            result["connections"] = self._connections
        if self._layout.made:
            result["made"] = [self._ground.shown(path) for path in self._layout.made]
        return result


def refused(error: NotConfined) -> EffectError:
    """Return what it means for a command that it could not be started."""
    if error.step == "program":
        name, _, problem = error.problem.partition(": ")
        return not_executed(error.code, name, problem)
    if error.step == "directory":
        return EffectError("not-permitted", f"the command's directory cannot be entered: {error.problem}")
    return EffectError("unsupported", f"the command cannot be confined: {error}; tek-runner doctor says more")
