"""proc.exec: run a program and wait for it."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Mapping
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any, ClassVar, NoReturn

import attrs

from tek_abi import Access, Blob, Budget, BudgetExhausted, Dimension, Limit, TekError, Value
from tek_abi.quantity import show_duration, show_size
from tek_abi.vocabulary.proc import Exec, Exit
from tek_effects_proc.child import Usage, start
from tek_effects_proc.command import check_command
from tek_effects_proc.confining import Confining, refused
from tek_effects_proc.deadline import Deadline, deadline
from tek_effects_proc.environment import allowed, child_environment, secret_names
from tek_effects_proc.known import Known
from tek_effects_proc.layout import Ground
from tek_effects_proc.network import Serve
from tek_effects_proc.output import Output
from tek_effects_proc.program import SEARCH, find_program
from tek_effects_proc.sandbox import Sandbox
from tek_effects_proc.spawn import NotConfined
from tek_effects_proc.tree import Undying
from tek_effects_proc.watch import Running, Stop, Wake, drain, watch
from tek_effects_proc.workspace import Workspace, listing
from tek_kernel.effect import (
    Applied,
    Context,
    Cost,
    Effect,
    EffectCancelled,
    EffectError,
    Held,
    SideEffect,
    secret_access,
)

_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command, for its own exit code, sh(1p)."""


def process_effects(
    workspace: str | os.PathLike[str],
    environ: Mapping[str, str],
    sandbox: Sandbox | None = None,
    serve: Serve | None = None,
) -> tuple[Effect[Any], ...]:
    """Return the effects that run programs in ``workspace``.

    ``environ`` is the operator's environment, of which a child sees what ``tek_abi.policy.ENVIRONMENT`` names; its
    ``TMPDIR`` (else /var/tmp) takes output that is too long for memory. ``workspace`` must be a real path: aliases
    of it by a symlink are other paths to permits. Without a ``sandbox`` commands have all rights of the runner.
    ``serve`` is what a confined command reaches of the network; without it that is nothing.
    """
    root = os.path.abspath(os.fspath(workspace))
    spill = environ.get("TMPDIR") or "/var/tmp"  # noqa: S108  # nameless files
    ground = Ground(root, environ.get("HOME", ""))
    return (ExecEffect(Workspace(root), allowed(environ), spill, ground, sandbox, serve),)


@attrs.frozen
class ExecEffect(Effect[Exec]):
    """Run a program and wait for it. When it ends, so does every process that it started.

    ``environ`` is what each child sees; ``spill`` is a directory for nameless files; ``sandbox`` holds each command
    to the permits of its task; ``serve`` leads out of its network namespace.
    """

    request: ClassVar[type[Any]] = Exec
    workspace: Workspace
    environ: Mapping[str, str]
    spill: str
    ground: Ground
    sandbox: Sandbox | None = None
    serve: Serve | None = None
    _known: Known = attrs.field(factory=Known, init=False, eq=False, repr=False)

    def side_effect(self, request: Exec) -> SideEffect:
        """Nobody knows what a command did."""
        return SideEffect.ONCE

    def presumed(self, request: Exec) -> Exit:
        """A command that somebody saw end well, whose output is lost."""
        return Exit(0, Blob.of(b""), Blob.of(b""))

    def accesses(self, request: Exec) -> tuple[Access, ...]:
        """The program with its arguments, a directory that is not the workspace itself, and secrets by name."""
        check_command(request)
        argv = (self.workspace.program(request.argv[0], request.cwd), *request.argv[1:])
        program = Access("proc.exec", "proc", shlex.join(argv), argv)
        secrets = tuple(secret_access(name) for name in secret_names(request.env))
        directory = self.workspace.directory(request.cwd)
        listed = () if directory == self.workspace.canonical(".") else (listing(directory),)
        return (program, *listed, *secrets)

    def cost(self, request: Exec) -> Cost:
        """Any time up to the timeout, and any output."""
        return Cost(Budget(ms=1), Limit(ms=request.timeout, tokens=0, io=None))

    def apply(self, request: Exec, context: Context) -> Applied:
        """Run it within the reservation."""
        if context.cancel.cancelled:
            raise EffectCancelled()
        try:
            return self._apply(request, context)
        except TekError:
            raise
        except OSError as error:
            raise EffectError("io", f"cannot run {request.argv[0]!r}: {error.strerror or error}") from error

    def _apply(self, request: Exec, context: Context) -> Applied:
        given = context.held() if self.sandbox is not None else Held()
        permits = chain(context.permits, given.reads, given.writes, given.net)
        until = deadline(min(context.limits.ms, request.timeout or context.limits.ms), permits)
        environment = child_environment(self.environ, request.env, context.secret)
        with ExitStack() as held:
            cwd = self.workspace.open(request.cwd, context)
            held.callback(os.close, cwd)
            wake = held.enter_context(closing(Wake(context.cancel)))
            output = held.enter_context(closing(Output(context.limits.io, self.spill, environment.secrets)))
            # What the request asks for as PATH is for the command's own children: a permit for git means the
            # operator's git.
            search = self.environ.get("PATH", SEARCH)
            if self.sandbox is None:
                program = find_program(request.argv[0], search, cwd)
                child = held.enter_context(closing(start(program, request.argv, environment.variables, cwd)))
                stop, usage = _run(child, output, until.at, wake.fd)
                return _answer(request, context, child, output, (stop, until), usage, {})
            confined = Confining(self.ground, self.sandbox, context, given, self._known, self.serve)
            started = confined.start(request.argv, search, cwd, environment.variables)
            try:
                with closing(started), confined.connected(started, output, wake):
                    stop, usage = _run(started, output, until.at, wake.fd)
            finally:
                escaped = confined.check()
            if escaped is not None:
                raise attrs.evolve(escaped, usage=Budget(io=output.taken), obs=confined.observed())
            return _answer(request, context, started, output, (stop, until), usage, confined.observed())


def _run(child: Running, output: Output, deadline: float, wake: int) -> tuple[Stop, Usage]:
    try:
        try:
            stop = watch(child, output, deadline, wake)
        finally:
            usage = child.reap()
        drain(child, output)
    except NotConfined as error:
        raise refused(error) from error
    except Undying as error:
        raise EffectError("not-permitted", str(error), Budget(io=output.taken)) from error
    except OSError as error:
        message = f"the output could not be kept in {output.spill}: {error.strerror or error}"
        raise EffectError("io", message, Budget(io=output.taken)) from error
    return (Stop.OUTPUT if output.exceeded else stop), usage


def _answer(
    request: Exec,
    context: Context,
    child: Running,
    output: Output,
    ended: tuple[Stop, Deadline],
    usage: Usage,
    observed: Mapping[str, Value],
) -> Applied:
    stop, until = ended
    spent = Budget(io=output.taken)
    stdout, stderr = output.stdout.keep(context.blobs), output.stderr.keep(context.blobs)
    obs: dict[str, Value] = {"pid": child.pid, "cpu_ms": usage.cpu_ms, "peak_bytes": usage.peak, **observed}
    if stop is not Stop.ENDED:
        captured: Value = {**obs, "stdout": _reference(stdout), "stderr": _reference(stderr)}
        if stop is Stop.CANCELLED:
            raise EffectCancelled(spent, captured)
        if stop is Stop.DEADLINE and until.permit is not None:
            message = f"{request.argv[0]!r} was ended when {until.permit} expired ({until.permit.expires_at})"
            raise EffectError("not-permitted", message, spent, obs=captured)
        _stopped(request, context.limits, stop, spent, captured)
    if "level" in observed and signal.SIGXFSZ in (usage.signal, (usage.code or 0) - _BY_SIGNAL):
        limit = show_size(context.limits.io)
        message = f"{request.argv[0]!r} let a file grow to the {limit} that its budget left (SIGXFSZ), and was ended"
        captured = {**obs, "stdout": _reference(stdout), "stderr": _reference(stderr)}
        raise EffectError("budget-exhausted", message, spent, _used_up("io", context.limits.io), captured)
    return Applied(Exit(usage.code, stdout, stderr, usage.signal), spent, obs)


def _stopped(request: Exec, limits: Budget, stop: Stop, spent: Budget, obs: Value) -> NoReturn:
    name = request.argv[0]
    if stop is Stop.OUTPUT:
        message = f"{name!r} wrote more than the {show_size(limits.io)} that its budget left, and was ended"
        raise EffectError("budget-exhausted", message, spent, _used_up("io", limits.io), obs)
    if request.timeout is not None and request.timeout <= limits.ms:
        message = f"{name!r} ran longer than its timeout of {show_duration(request.timeout)}, and was ended"
        raise EffectError("timeout", message, spent, obs=obs)
    message = f"{name!r} ran longer than the {show_duration(limits.ms)} that its budget left, and was ended"
    raise EffectError("budget-exhausted", message, spent, _used_up("ms", limits.ms), obs)


def _used_up(dimension: Dimension, limit: int) -> BudgetExhausted:
    return BudgetExhausted(dimension, limit, spent=limit, reserved=0, requested=1)


def _reference(blob: Blob) -> Value:
    return {"$blob": {"sha256": blob.sha256, "size": blob.size}}
