"""What is wrong with a manifest, by the path of the value at fault."""

from __future__ import annotations

import attrs

from tek_abi import TekError


@attrs.define(str=False)
class ManifestError(TekError, ValueError):
    """A manifest's value at ``where`` is refused."""

    where: str
    problem: str
    help: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"
