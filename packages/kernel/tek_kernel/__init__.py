"""The kernel: decides, applies, records, replays.

Effects and their registry, the permit check, budget accounts, the broker, the hash-chained ledger with its verifier,
the replay hash, and the re-drive of a recorded run. Time, randomness, storage, agents and effects come in as
arguments, so that everything here can be tested without a disk, a process or a clock.
"""

from tek_kernel.account import Account, Busy, Exhausted, Reservation
from tek_kernel.approval import Approval, Lack, beyond, lacks
from tek_kernel.authority import Authority, Grant, TaskAuthority
from tek_kernel.broker import Broker, Result, Settled
from tek_kernel.certainty import Doubt
from tek_kernel.checkpoint import Checkpoint, LedgerTree, open_checkpoint, origin_of
from tek_kernel.clock import Stopwatch, file_clock_grain_ns, utc_now
from tek_kernel.core_effects import core_effects
from tek_kernel.decide import Admitted, Decider, Refused, Scope, Scopes
from tek_kernel.drift import Drift, drifts
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
from tek_kernel.judge import Judgement, Rules, Verdict, judge
from tek_kernel.ledger import DirectSink, GroupCommit, Ledger, Sink, Storage, StorageFailed
from tek_kernel.lines import LedgerInvalid, Line, chained_lines, read_lines
from tek_kernel.merkle import leaf_hash
from tek_kernel.needs import Asked, Need, Needs, needs
from tek_kernel.note import KeyInvalid, SigningKey, Unproven, VerifierKey
from tek_kernel.plain_text import said, short
from tek_kernel.proof import InclusionProof
from tek_kernel.recovery import Tail, find_tail, keep_cut
from tek_kernel.redaction import RecordedBlobs, Redacted, Tombstone, TombstoneInvalid
from tek_kernel.redrive import AgentHost, Driven, Redrive, left_in_doubt, redrive, shares, timed_out
from tek_kernel.registry import DuplicateEffect, Registry, UnknownEffect
from tek_kernel.replay_hash import ReplayHash, TaskRecord, plan_digest, policy_digest
from tek_kernel.signature import SignaturesUnavailable, Verifier, sign
from tek_kernel.storage import DiskBlobs, LedgerBusy, LedgerFile, write_atomically
from tek_kernel.trace import Trace
from tek_kernel.verify import Checker, ReplayMismatch, Verification, verify

__all__ = [
    "Account",
    "Admitted",
    "AgentHost",
    "Applied",
    "Approval",
    "Asked",
    "Authority",
    "Broker",
    "Busy",
    "Cancel",
    "Checker",
    "Checkpoint",
    "Context",
    "Cost",
    "Decider",
    "DirectSink",
    "DiskBlobs",
    "Doubt",
    "Drift",
    "Driven",
    "DuplicateEffect",
    "Effect",
    "EffectCancelled",
    "EffectError",
    "EffectRefused",
    "Exhausted",
    "Grant",
    "GroupCommit",
    "InclusionProof",
    "Judgement",
    "KeyInvalid",
    "Lack",
    "Ledger",
    "LedgerBusy",
    "LedgerFile",
    "LedgerInvalid",
    "LedgerTree",
    "Line",
    "Need",
    "Needs",
    "RecordedBlobs",
    "Redacted",
    "Redrive",
    "Refused",
    "Registry",
    "ReplayHash",
    "ReplayMismatch",
    "Reservation",
    "Result",
    "Rules",
    "Scope",
    "Scopes",
    "Settled",
    "SideEffect",
    "SignaturesUnavailable",
    "SigningKey",
    "Sink",
    "Stopwatch",
    "Storage",
    "StorageFailed",
    "Tail",
    "TaskAuthority",
    "TaskRecord",
    "Tombstone",
    "TombstoneInvalid",
    "Trace",
    "UnknownEffect",
    "Unproven",
    "Verdict",
    "Verification",
    "Verifier",
    "VerifierKey",
    "beyond",
    "chained_lines",
    "core_effects",
    "drifts",
    "file_clock_grain_ns",
    "find_tail",
    "judge",
    "keep_cut",
    "lacks",
    "leaf_hash",
    "left_in_doubt",
    "needs",
    "open_checkpoint",
    "origin_of",
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
    "write_atomically",
]
