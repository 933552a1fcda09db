"""The codes of diagnostics and what each means: the sections of ``diagnostics.md``."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

import attrs

_SECTION: Final = re.compile(r"^## (TEK\d{3}) (.+)$", re.MULTILINE)
_EXAMPLE: Final = re.compile(r"^(Wrong|Right):\n\n(`{5,})(\w+)\n(.*?)^\2$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Explanation:
    """One code: its title, why it is a problem, and the same text wrong and right where that can be shown.

    ``language`` is that of the examples: markdown or json.
    """

    code: str
    title: str
    text: str
    language: str = ""
    wrong: str = ""
    right: str = ""


@lru_cache(maxsize=1)
def explanations() -> dict[str, Explanation]:
    """Return every code with its explanation, in order."""
    document = files("tek_planner").joinpath("diagnostics.md").read_text("utf-8")
    found = list(_SECTION.finditer(document))
    ends = [*(match.start() for match in found[1:]), len(document)]
    return {match[1]: _section(match, document[match.end() : end]) for match, end in zip(found, ends, strict=True)}


def _section(heading: re.Match[str], body: str) -> Explanation:
    examples = {match[1]: match for match in _EXAMPLE.finditer(body)}
    if not examples:
        return Explanation(heading[1], heading[2], body.strip())
    wrong, right = examples["Wrong"], examples["Right"]
    return Explanation(heading[1], heading[2], body.strip(), wrong[3], wrong[4], right[4])
