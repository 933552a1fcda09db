"""AgentRegistry: agents by name, from the entry points of installed distributions. They are trusted code."""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Any, Final

import attrs

from tek_abi import TekError
from tek_agents.agent import Agent

ENTRY_POINTS: Final = "tek.agents"
"""The entry point group in which a distribution names its agents: classes without arguments, or instances."""

DISTRIBUTION: Final = "tek"
BUILT_IN: Final = frozenset({"noop", "shell"})
"""Names that only tek's own distribution may provide: a plan that names no agent gets one of them."""


@attrs.define(str=False)
class UnknownAgent(TekError, LookupError):
    """No installed distribution provides an agent of that name."""

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        close = difflib.get_close_matches(self.name, self.known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        return f"no agent is called {self.name!r}{hint} installed are {', '.join(self.known) or 'none'}"


@attrs.define(str=False)
class BrokenAgent(TekError, ImportError):
    """An agent's distribution is installed, but gives no agent. ``problem`` says why."""

    name: str
    distribution: str
    problem: str

    def __str__(self) -> str:
        return f"agent {self.name!r} of the distribution {self.distribution} cannot be used: {self.problem}"


@attrs.define(str=False)
class AgentConflict(TekError, ValueError):
    """A name that is claimed twice, or a built-in name that is claimed by another distribution than tek."""

    name: str
    distributions: tuple[str, ...]

    def __str__(self) -> str:
        claimed = f"agent {self.name!r} is claimed by {' and '.join(self.distributions)}"
        return f"{claimed}, but is tek's own" if self.name in BUILT_IN else f"{claimed}; uninstall all but one"


@attrs.frozen
class LoadedAgent:
    """An agent, and the distribution and version that it came from, as they stand in the ledger."""

    name: str
    agent: Agent
    distribution: str
    version: str


class AgentRegistry:
    """The installed agents, or those of the given entry points. Imports an agent only when it is loaded."""

    def __init__(self, entry_points: Iterable[EntryPoint] | None = None) -> None:
        self._given = entry_points

    @cached_property
    def _points(self) -> tuple[EntryPoint, ...]:
        if self._given is None:
            return tuple(importlib.metadata.entry_points(group=ENTRY_POINTS))
        return tuple(self._given)

    def names(self) -> tuple[str, ...]:
        """Return the names of all installed agents, sorted. Imports none."""
        return tuple(sorted({point.name for point in self._points}))

    def load(self, name: str) -> LoadedAgent:
        """Import one agent. Raises ``UnknownAgent``, ``AgentConflict`` or ``BrokenAgent``."""
        claims = [point for point in self._points if point.name == name]
        if not claims:
            raise UnknownAgent(name, self.names())
        owners = sorted({_owner(point) for point in claims})
        if len(owners) > 1 or (name in BUILT_IN and owners != [DISTRIBUTION]):
            raise AgentConflict(name, tuple(owners))
        owner, point = owners[0], claims[0]
        if len({claim.value for claim in claims}) > 1:
            raise BrokenAgent(name, owner, "its distribution names two of them")
        if point.dist is None:
            raise BrokenAgent(name, owner, "its version is unknown, and has to stand in the ledger")
        return LoadedAgent(name, _agent(point, owner), owner, point.dist.version)


def _owner(point: EntryPoint) -> str:
    """Return the normalised name of the distribution that an entry point stands in."""
    return "(unknown)" if point.dist is None else re.sub(r"[-_.]+", "-", point.dist.name).lower()


def _agent(point: EntryPoint, owner: str) -> Agent:
    try:
        found: Any = point.load()
        agent: Agent = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:
        raise BrokenAgent(point.name, owner, f"{type(error).__name__}: {error}") from error
    if not callable(getattr(agent, "run", None)):
        raise BrokenAgent(point.name, owner, f"{point.value} is neither a class nor an instance with a method run")
    return agent
