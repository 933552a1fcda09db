"""Projections of the ledger: ``run.json``, logs and evidence as the older kit wrote them (DESIGN section 7).

They are made from entries alone, so they can be made again from any ledger; they are no effects and not synced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import orjson

from tek_abi import (
    BlobStore,
    Codec,
    EffectIntent,
    EffectOutcome,
    Entry,
    ExecutionPlan,
    Failed,
    Instant,
    Ok,
    PlanEntry,
    Queue,
    Task,
    TaskEnded,
    TaskStarted,
)
from tek_abi import Path as Place
from tek_abi.vocabulary.proc import Exec, Exit
from tek_kernel import DiskBlobs, StorageFailed
from tek_runner.excerpt import Excerpt, excerpt
from tek_runner.run_directory import BLOBS

_STATUS = {"ok": "ok", "noop": "noop"}


@attrs.define
class Command:
    """One command of a task: what was started, and how it ended. ``error`` says why it has no exit."""

    request: Exec
    exit: Exit | None = None
    error: str = ""
    obs: Any = None

    def outputs(self) -> dict[str, str]:
        """Return the digest of what it wrote, by stream, where that is anything."""
        if self.exit is not None:
            streams = {"stdout": self.exit.stdout, "stderr": self.exit.stderr}
            return {name: blob.sha256 for name, blob in streams.items() if blob.size}
        known = self.obs if isinstance(self.obs, dict) else {}
        blobs = {name: known[name]["$blob"] for name in ("stdout", "stderr") if known.get(name)}
        return {name: blob["sha256"] for name, blob in blobs.items() if blob["size"]}


@attrs.define
class _Open:
    agent: str
    commands: dict[Place, Command] = attrs.field(factory=dict)


class Projection:
    """Writes logs and evidence as tasks end, and ``run.json`` when the run does."""

    def __init__(self, plan: ExecutionPlan, directory: Path, codec: Codec, blobs: BlobStore) -> None:
        self._plan = plan
        self._directory = directory
        self._logs = str(directory / "logs")
        self._codec = codec
        self._blobs = blobs
        self._tasks: dict[str, tuple[Queue, Task]] = {task.id: (queue, task) for queue, task in plan.tasks()}
        self._selected: frozenset[str] = frozenset()
        self._open: dict[str, _Open] = {}
        self._results: dict[str, tuple[str, str, Any]] = {}
        self._latest: tuple[str, list[Command]] = ("", [])
        self._bad: dict[str, list[Command]] = {}

    def take(self, entry: Entry, at: Instant) -> None:
        """Follow one entry of the ledger."""
        match entry:
            case PlanEntry():
                self._selected = frozenset(entry.selected)
            case TaskStarted(task, agent):
                self._open.setdefault(task, _Open(agent))
            case EffectIntent() if entry.envelope.effect == Exec.effect and entry.allow:
                request = self._codec.decode(self._codec.unseal(entry.envelope.args), Exec)
                self._open[entry.position.task].commands[entry.position.path] = Command(request)
            case EffectOutcome():
                self._outcome(entry)
            case TaskEnded():
                self._ended(entry, at)
            case _:
                pass

    def output(self, task: str, lines: int) -> Excerpt:
        """Return the last lines that the commands of a task wrote that has just ended, or has not ended well."""
        commands = self._latest[1] if self._latest[0] == task else self._bad.get(task, [])
        stored = DiskBlobs(self._directory / BLOBS)
        files = [stored.path(sha256) for command in commands for sha256 in command.outputs().values()]
        return excerpt(files, lines)

    def _outcome(self, entry: EffectOutcome) -> None:
        command = self._open[entry.position.task].commands.get(entry.position.path)
        if command is None:
            return
        command.obs = entry.obs
        if isinstance(entry.outcome, Ok):
            command.exit = self._codec.decode(self._codec.unseal(entry.outcome.value), Exit)
        else:
            command.error = entry.outcome.error.message if isinstance(entry.outcome, Failed) else "not finished"

    def _ended(self, entry: TaskEnded, at: Instant) -> None:
        open_ = self._open.pop(entry.task, None)
        commands = [] if open_ is None else [command for _, command in sorted(open_.commands.items())]
        self._latest = entry.task, commands
        if entry.status not in _STATUS and commands:
            self._bad[entry.task] = commands
        if open_ is None:
            self._results[entry.task] = (entry.status, "", None)
        elif open_.commands:
            self._results[entry.task] = (entry.status, open_.agent, self._write_logs(entry.task, open_.commands))
        else:
            evidence = self._write_evidence(entry.task, at) if entry.status == "noop" else None
            self._results[entry.task] = (entry.status, open_.agent, evidence)

    def _write_evidence(self, task: str, at: Instant) -> str:
        """Write the older kit's evidence file; return the time in its name, from which its path follows."""
        stamp = f"{at[:4]}{at[5:7]}{at[8:10]}_{at[11:13]}{at[14:16]}{at[17:19]}Z"
        text = f"NOOP: {task} in {self._tasks[task][0].name} at {stamp}\n"
        _write(f"{self._logs}/{task}_noop_{stamp}.txt", text.encode())
        return stamp

    def _write_logs(self, task: str, commands: dict[Place, Command]) -> list[dict[str, Any]]:
        steps = self._tasks[task][1].steps
        written: list[dict[str, Any]] = []
        for count, (place, command) in enumerate(sorted(commands.items()), 1):
            step = steps[place[0]] if len(place) == 1 and place[0] < len(steps) else None
            number = step.line if step is not None and step.source == "hook" and step.line else count
            if step is not None and step.source == "block":
                number = place[0] + 1
            log = f"{self._logs}/{task}_cmd{number}.log"
            _write(log, b"".join(self._log_text(command)))
            request, cwd = command.request, step.cwd if step is not None else command.request.cwd
            summary: dict[str, Any] = {"cmd": list(request.argv), "cwd": cwd, "log": log}
            if command.exit is None:
                summary["error"] = command.error or "not finished"
            else:
                summary["rc"] = -command.exit.signal if command.exit.signal else command.exit.code
            written.append(summary)
        return written

    def _log_text(self, command: Command) -> Iterator[bytes]:
        yield b"$ " + " ".join(command.request.argv).encode("utf-8", "replace") + b"\n"
        outputs = command.outputs()
        for name, heading in (("stdout", b""), ("stderr", b"\n[stderr]\n")):
            data = self._blobs.get(outputs[name]) if name in outputs else b""
            if data:
                yield heading
                yield data
        if command.error:
            yield f"\n[tek] {command.error}\n".encode("utf-8", "replace")

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield each task's result in plan order, as ``run.json`` has it."""
        for queue, task in self._plan.tasks():
            if self._selected and task.id not in self._selected:
                continue
            # What never ended was cut short by an interrupt.
            status, agent, detail = self._results.get(task.id, ("cancelled", self._started_by(task.id), None))
            result: dict[str, Any] = {"task": task.id, "queue": queue.name, "agent": agent}
            result["status"] = _STATUS.get(status, "error")
            if isinstance(detail, str):
                result["evidence"] = f"{self._logs}/{task.id}_noop_{detail}.txt"
            elif detail is not None:
                result["commands"] = detail
            if status not in _STATUS:
                result["detail"] = status
            yield result

    def _started_by(self, task: str) -> str:
        return self._open[task].agent if task in self._open else ""

    def finish(self, ok: bool, started: Instant, ended: Instant) -> None:
        """Write ``run.json``."""
        path = self._directory / "run.json"
        with open(path, "wb") as file:
            head = {"status": "ok" if ok else "error", "started": started, "ended": ended}
            file.write(orjson.dumps(head, option=orjson.OPT_INDENT_2)[:-2] + b',\n  "results": [')
            _write_items(file, self.results())
            file.write(b"]\n}\n")


def _write_items(file: BinaryIO, items: Iterator[dict[str, Any]]) -> None:
    separator = b"\n    "
    for item in items:
        file.write(separator + orjson.dumps(item))
        separator = b",\n    "
    if separator.startswith(b","):
        file.write(b"\n  ")


def _write(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
    except OSError as error:
        raise StorageFailed(error) from None
