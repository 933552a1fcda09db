"""The kit for those who write agents: a script to run one against, and Hypothesis strategies for every type of tek.

``from tek_agents.testing import script`` needs nothing but tek. ``tek_agents.testing.strategies`` needs the extra
``tek[testing]``, as does the simulator in ``tek_executor.testing``, which runs an agent through the real kernel.
"""

from tek_agents.testing.scripting import Script, ScriptMismatch, exited, improvise, script, task

__all__ = ["Script", "ScriptMismatch", "exited", "improvise", "script", "task"]
