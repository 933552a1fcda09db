"""A recorded run's side of this machine: its effects' pure parts, the keys that it trusted, where it worked."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

import attrs

from tek_abi import CODEC, Budget, Codec, EffectOutcome, Limit
from tek_kernel import Checker, DiskBlobs, Registry, Trace, Verification, Verifier, read_lines
from tek_runner.effects import make_registry

NO_CONFIG: Final = "config_missing"
"""What ``run.opened`` observes instead of ``config`` where no configuration stood: where it was looked for."""

DIRECTORY: Final = "directory"
"""What ``run.opened`` observes of where the run's directory stood."""

BUDGET: Final = "budget"
"""What ``run.opened`` observes of a ``--budget``."""


def recorded_effects(checker: Checker) -> Registry:
    """Return the effects over the recorded workspace: their pure parts alone are used, which read nothing of it."""
    return make_registry(Path(of_machine(checker, "workspace") or "/nonexistent"), {})


def recorded_keys(checker: Checker) -> Verifier:
    """Return what checks permits by the keys that the run trusted."""
    return Verifier(tuple(bytes.fromhex(key) for key in checker.plan_entry.keys))


def of_machine(checker: Checker, name: str) -> str | None:
    """Return one of the places that ``run.opened`` observed: ``workspace``, ``source`` or ``config``."""
    obs = checker.opened.obs if checker.opened is not None else None
    value = obs.get(name) if isinstance(obs, dict) else None
    return value if isinstance(value, str) else None


def recorded_budget(checker: Checker) -> Limit:
    """Return the ``--budget`` that a run was started with. Raises ``DecodeError``."""
    obs = checker.opened.obs if checker.opened is not None else None
    return CODEC.decode(obs.get(BUDGET, {}), Limit, BUDGET) if isinstance(obs, dict) else Limit()


@attrs.frozen
class Record:
    """A recorded run that was verified, with what its tasks did and used."""

    checker: Checker
    verification: Verification
    trace: Trace
    codec: Codec
    used: dict[str, Budget]

    @classmethod
    def read(cls, file: BinaryIO, blobs: DiskBlobs) -> Record:
        """Verify a ledger from its start. Raises ``LedgerInvalid``."""
        codec = Codec(blobs)
        checker, trace, used = Checker(codec), Trace(), dict[str, Budget]()
        for line in read_lines(file, codec):
            checker.take(line)
            trace.take(line)
            if isinstance(line.entry, EffectOutcome):
                task = line.entry.position.task
                used[task] = used.get(task, Budget()) + line.entry.usage
        return cls(checker, checker.finish(), trace, codec, used)
