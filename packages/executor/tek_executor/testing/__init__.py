"""The simulator for those who write agents: a world in memory, and an agent's way through it by the real kernel.

``World.run`` runs an agent once, ``World.simulate`` through faults, schedules and crashes; both check the invariants
of tek and say how to see a failure again. ``tek_executor.testing.plugin`` gives them to pytest as ``tek_world`` and
``tek_ledger``. Scripts and Hypothesis strategies, which need no kernel, are in ``tek_agents.testing``.
"""

from tek_executor.testing.ambient import Ambient
from tek_executor.testing.answers import Command, Page, page
from tek_executor.testing.faults import CALM, Deed, Fault, Faults
from tek_executor.testing.files import Files
from tek_executor.testing.invariants import Broken
from tek_executor.testing.ledger import MemoryLedger
from tek_executor.testing.run import Ran
from tek_executor.testing.simulation import Simulated, SimulationFailed
from tek_executor.testing.world import World

__all__ = [
    "CALM",
    "Ambient",
    "Broken",
    "Command",
    "Deed",
    "Fault",
    "Faults",
    "Files",
    "MemoryLedger",
    "Page",
    "Ran",
    "Simulated",
    "SimulationFailed",
    "World",
    "page",
]
