"""Changing ``config/manifest.json`` on somebody's word: permits that are granted for always, and revoked again.

The file is read strictly before and after each change, written whole and atomically, with two spaces an indent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tek_kernel import Approval, StorageFailed, write_atomically
from tek_runner.config import read_manifest
from tek_runner.inputs import read_input


def grant(path: Path, approvals: Sequence[Approval]) -> tuple[str, ...]:
    """Add a permit for each rule that was approved for always and does not stand there yet; make the file where there
    is none. Returns the rules that were added, each with its task.

    Raises ``InvalidInput``, ``UnreadableInput`` or ``StorageFailed``.
    """
    kept = [(approval.task, rule) for approval in approvals if approval.answer == "always" for rule in approval.rules]
    if not kept:
        return ()
    manifest = _read(path) if path.exists() else {}
    permits = manifest.setdefault("permits", [])
    added: list[str] = []
    for task, rule in kept:
        action, _, resource = rule.partition(":")
        entry = {"action": action, "resource": resource, "subject": task}
        if entry not in permits:
            permits.append(entry)
            added.append(f"{rule} for {task}")
    _write(path, manifest)
    return tuple(added)


def revoke(path: Path, rule: str, task: str | None) -> tuple[dict[str, Any], ...]:
    """Remove the entries that grant exactly ``rule``, for ``task`` alone where it is given; return them.

    Raises ``InvalidInput``, ``UnreadableInput`` or ``StorageFailed``.
    """
    manifest = _read(path)
    action, _, resource = rule.partition(":")
    permits = manifest.get("permits", [])
    gone = [entry for entry in permits if _is(entry, action, resource, task)]
    if gone:
        manifest["permits"] = [entry for entry in permits if entry not in gone]
        _write(path, manifest)
    return tuple(gone)


def _is(entry: dict[str, Any], action: str, resource: str, task: str | None) -> bool:
    same = all(_one(entry.get(name)) == value for name, value in (("action", action), ("resource", resource)))
    return same and task in (None, _one(entry.get("subject", "*")))


def _one(value: Any) -> Any:
    """Return the one text of a field that may stand with or without its list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _read(path: Path) -> dict[str, Any]:
    data = read_input(path, "configuration file")
    read_manifest(data, str(path))
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def _write(path: Path, manifest: dict[str, Any]) -> None:
    data = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    read_manifest(data, str(path))
    real = path.resolve()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        write_atomically(real, data, mode)
    except OSError as error:
        raise StorageFailed(error) from None
