"""The planner: reads a Markdown source of truth into an execution plan, or says what is wrong and where.

Two forms: the older kit's section by its own rules, and the new grammar (docs/grammar.md). Also ``plan.json`` and
``config/hooks.json``. Pure functions over text, total and linear; it knows plain data alone.
"""

from tek_planner.codes import Explanation, explanations
from tek_planner.hooks import Hooks, attach_hooks, read_hooks
from tek_planner.plan_json import plan_from_json, plan_to_json
from tek_planner.planner import Planned, plan_bytes, plan_text
from tek_planner.tidy import is_same_plan, tidy

__all__ = [
    "Explanation",
    "Hooks",
    "Planned",
    "attach_hooks",
    "explanations",
    "is_same_plan",
    "plan_bytes",
    "plan_from_json",
    "plan_text",
    "plan_to_json",
    "read_hooks",
    "tidy",
]
