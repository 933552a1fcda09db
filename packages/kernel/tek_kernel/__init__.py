"""The kernel: decides, applies, records, replays.

Effects and their registry, the permit check, budget accounts, the broker, the hash-chained ledger with its verifier,
the replay hash, and the re-drive of a recorded run. Time, randomness, storage, agents and effects come in as
arguments, so that everything here can be tested without a disk, a process or a clock.
"""

from tek_kernel.account import Account, Busy, Exhausted, Reservation
from tek_kernel.authority import Authority, Grant, TaskAuthority
from tek_kernel.broker import Broker, Result, Settled
from tek_kernel.clock import Stopwatch, utc_now
from tek_kernel.core_effects import core_effects
from tek_kernel.decide import Admitted, Decider, Refused, Scope, Scopes
from tek_kernel.effect import (
    Applied,
    Cancel,
    Context,
    Cost,
    Effect,
    EffectCancelled,
    EffectError,
    EffectRefused,
    SideEffect,
)
from tek_kernel.ledger import DirectSink, GroupCommit, Ledger, Sink, Storage, StorageFailed
from tek_kernel.lines import LedgerInvalid, Line, read_lines
from tek_kernel.plain_text import said, short
from tek_kernel.redrive import AgentHost, left_in_doubt, redrive, shares, timed_out
from tek_kernel.registry import DuplicateEffect, Registry, UnknownEffect
from tek_kernel.replay_hash import ReplayHash, TaskRecord, plan_digest, policy_digest
from tek_kernel.signature import Verifier, sign
from tek_kernel.storage import DiskBlobs, LedgerFile
from tek_kernel.verify import Checker, ReplayMismatch, Verification, verify

__all__ = [
    "Account",
    "Admitted",
    "AgentHost",
    "Applied",
    "Authority",
    "Broker",
    "Busy",
    "Cancel",
    "Checker",
    "Context",
    "Cost",
    "Decider",
    "DirectSink",
    "DiskBlobs",
    "DuplicateEffect",
    "Effect",
    "EffectCancelled",
    "EffectError",
    "EffectRefused",
    "Exhausted",
    "Grant",
    "GroupCommit",
    "Ledger",
    "LedgerFile",
    "LedgerInvalid",
    "Line",
    "Refused",
    "Registry",
    "ReplayHash",
    "ReplayMismatch",
    "Reservation",
    "Result",
    "Scope",
    "Scopes",
    "Settled",
    "SideEffect",
    "Sink",
    "Stopwatch",
    "Storage",
    "StorageFailed",
    "TaskAuthority",
    "TaskRecord",
    "UnknownEffect",
    "Verification",
    "Verifier",
    "core_effects",
    "left_in_doubt",
    "plan_digest",
    "policy_digest",
    "read_lines",
    "redrive",
    "said",
    "shares",
    "short",
    "sign",
    "timed_out",
    "utc_now",
    "verify",
]
