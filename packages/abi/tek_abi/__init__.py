"""The plain data of tek and the pure algebra over it.

Budgets, permits, requests, outcomes, positions, plans, ledger entries, one codec, canonical JSON, and the stepper
of agents' coroutines. Nothing here touches a file, a process, a clock or a thread, and it imports no other package
of tek: every other package speaks in these types.
"""

from tek_abi.blob import Blob, BlobStore, MemoryBlobs
from tek_abi.budget import DIMENSIONS, UNLIMITED, Budget, Dimension, Limit, parse_limit
from tek_abi.canonical import Value, canonical, check_value, digest, sha256_hex
from tek_abi.codec import CODEC, INLINE_LIMIT, Codec
from tek_abi.diagnostic import Diagnostic, InvalidInput
from tek_abi.drive import AgentExited, Asked, Drive, Event, ForeignAwait, Path, Won
from tek_abi.entry import (
    FRAME,
    KINDS,
    Decision,
    EffectIntent,
    EffectOutcome,
    Entry,
    PlanEntry,
    Recovered,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    TaskEnded,
    TaskStarted,
)
from tek_abi.envelope import EffectEnvelope, idempotence_key
from tek_abi.errors import DecodeError, PatternError, QuantityError, TekError, ValueNotAllowed
from tek_abi.json_place import place_in_json
from tek_abi.outcome import (
    BudgetExhausted,
    Cancelled,
    Denial,
    Denied,
    Failed,
    Failure,
    Ok,
    Outcome,
    status_of,
)
from tek_abi.permit import Access, Caveat, Instant, Mismatch, Permit, Subject, parse_rule
from tek_abi.policy import Policy, preset_permits
from tek_abi.position import Position
from tek_abi.report import TASK_STATUSES, RunSummary, TaskReport, TaskResult, TaskStatus
from tek_abi.request import Bound, Gather, Race, Request, Trap
from tek_abi.task import LAYERS, Allow, Assignment, ExecutionPlan, Queue, Step, Task, layer_of

__all__ = [
    "CODEC",
    "DIMENSIONS",
    "FRAME",
    "INLINE_LIMIT",
    "KINDS",
    "LAYERS",
    "TASK_STATUSES",
    "UNLIMITED",
    "Access",
    "AgentExited",
    "Allow",
    "Asked",
    "Assignment",
    "Blob",
    "BlobStore",
    "Bound",
    "Budget",
    "BudgetExhausted",
    "Cancelled",
    "Caveat",
    "Codec",
    "Decision",
    "DecodeError",
    "Denial",
    "Denied",
    "Diagnostic",
    "Dimension",
    "Drive",
    "EffectEnvelope",
    "EffectIntent",
    "EffectOutcome",
    "Entry",
    "Event",
    "ExecutionPlan",
    "Failed",
    "Failure",
    "ForeignAwait",
    "Gather",
    "Instant",
    "InvalidInput",
    "Limit",
    "MemoryBlobs",
    "Mismatch",
    "Ok",
    "Outcome",
    "Path",
    "PatternError",
    "Permit",
    "PlanEntry",
    "Policy",
    "Position",
    "QuantityError",
    "Queue",
    "Race",
    "Recovered",
    "Request",
    "RunClosed",
    "RunOpened",
    "RunPaused",
    "RunResumed",
    "RunSummary",
    "Step",
    "Subject",
    "Task",
    "TaskEnded",
    "TaskReport",
    "TaskResult",
    "TaskStarted",
    "TaskStatus",
    "TekError",
    "Trap",
    "Value",
    "ValueNotAllowed",
    "Won",
    "canonical",
    "check_value",
    "digest",
    "idempotence_key",
    "layer_of",
    "parse_limit",
    "parse_rule",
    "place_in_json",
    "preset_permits",
    "sha256_hex",
    "status_of",
]
