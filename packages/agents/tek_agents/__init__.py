"""What an agent is written against: the effects it may ask for, its protocol, its errors, and the built-in agents.

Awaiting is asking: ``text = await fs.read_text("README.md")`` hands a request to whoever drives the agent, who checks
it, records it and does it. There is no event loop. ``tek_agents.testing`` runs an agent against a script of outcomes,
with no kernel at all.
"""

from tek_abi import Assignment, TaskReport
from tek_agents import clock, env, fs, net, proc, random
from tek_agents.agent import Agent
from tek_agents.errors import (
    AlreadyExists,
    BudgetDenied,
    CommandFailed,
    EffectDenied,
    EffectFailed,
    NotFound,
    TaskCancelled,
    TimedOut,
    UnexpectedStatus,
    exception_for,
)
from tek_agents.flow import bounded, gather, race
from tek_agents.noop import NoopAgent
from tek_agents.notes import note
from tek_agents.registry import AgentConflict, AgentRegistry, BrokenAgent, LoadedAgent, UnknownAgent
from tek_agents.shell import ShellAgent

__all__ = [
    "Agent",
    "AgentConflict",
    "AgentRegistry",
    "AlreadyExists",
    "Assignment",
    "BrokenAgent",
    "BudgetDenied",
    "CommandFailed",
    "EffectDenied",
    "EffectFailed",
    "LoadedAgent",
    "NoopAgent",
    "NotFound",
    "ShellAgent",
    "TaskCancelled",
    "TaskReport",
    "TimedOut",
    "UnexpectedStatus",
    "UnknownAgent",
    "bounded",
    "clock",
    "env",
    "exception_for",
    "fs",
    "gather",
    "net",
    "note",
    "proc",
    "race",
    "random",
]
