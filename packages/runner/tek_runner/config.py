"""Configuration: ``config/manifest.json`` (the policy) and ``config/hooks.json`` (DESIGN sections 4 and 7).

Fields that are not known are refused: one that was meant to narrow and is misspelt would otherwise grant.
"""

from __future__ import annotations

import itertools
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from tek_abi import (
    CODEC,
    LAYERS,
    Caveat,
    DecodeError,
    Diagnostic,
    ExecutionPlan,
    InvalidInput,
    Limit,
    PatternError,
    Permit,
    Policy,
    QuantityError,
    Value,
    parse_limit,
    place_in_json,
    preset_permits,
    sha256_hex,
)
from tek_abi.budget import UNLIMITED, parse_bound
from tek_abi.permit import canonical_pattern, parse_instant
from tek_abi.policy import DEFAULT_PRESET, DEFAULT_TASK_LIMIT, PRESETS
from tek_effects_net.trust import SYSTEM_TRUST, Trust
from tek_planner import Hooks, read_hooks
from tek_runner.inputs import UnreadableInput, read_input
from tek_runner.manifest_error import ManifestError
from tek_runner.signing import check_is_apart, key_path
from tek_runner.tls import check_key_is_apart, read_trust

NO_PRESET = "none"
_LETTERS = re.compile(r"[A-Z]+")


@attrs.frozen
class Config:
    """What the operator says: policy, hooks, and the digest over the files that say it."""

    policy: Policy = Policy()
    hooks: Hooks | None = None
    digest: str = ""
    place: Path | None = None
    """Where it was looked for, found or not."""
    directory: Path | None = None
    """Where it stands; ``None`` where nothing was found."""
    trusted_keys: tuple[bytes, ...] = ()
    trust: Trust = SYSTEM_TRUST
    checkpoint_key: Path | None = None


@attrs.frozen
class _Permit:
    """One permit as it stands in a manifest; a single pattern may stand without its list."""

    action: Any
    resource: Any
    subject: Any = ("*",)
    exclude: Any = ()
    expires_at: str | None = None
    caveats: Any = attrs.field(factory=dict)
    sig: str | None = None


@attrs.frozen
class _Budgets:
    task: Any = None
    run: Any = None
    queues: Any = attrs.field(factory=dict)


@attrs.frozen
class _Layer:
    agent: str | None = None
    permits: tuple[_Permit, ...] = ()


@attrs.frozen
class _Manifest:
    preset: str = DEFAULT_PRESET
    permits: tuple[_Permit, ...] = ()
    budgets: _Budgets = _Budgets()
    layers: Any = attrs.field(factory=dict)
    keys: tuple[str, ...] = ()
    tls: Any = attrs.field(factory=dict)
    checkpoint_key: str | None = None


def load_config(directory: Path | None, required: bool) -> Config:
    """Read a configuration directory; files that are missing are empty, a ``required`` directory must be there.

    Raises ``UnreadableInput`` or ``InvalidInput``.
    """
    if directory is not None and required and not directory.is_dir():
        raise UnreadableInput(str(directory), "there is no such configuration directory")
    manifest = _optional(directory, "manifest.json")
    hooks = _optional(directory, "hooks.json")
    return attrs.evolve(
        Config() if manifest is None else read_manifest(*manifest),
        hooks=None if hooks is None else read_hooks(hooks[0], hooks[1]),
        digest=sha256_hex(b"\0".join(part[0] if part else b"" for part in (manifest, hooks))),
        place=directory,
        directory=directory if manifest or hooks else None,
    )


def _optional(directory: Path | None, name: str) -> tuple[bytes, str] | None:
    if directory is None or not (directory / name).exists():
        return None
    return read_input(directory / name, "configuration file"), str(directory / name)


def read_manifest(data: bytes, path: str) -> Config:
    """Read a manifest's bytes; ``path`` is its file's. Raises ``InvalidInput``."""
    try:
        _check_keys(data)
        manifest = CODEC.loads(data, _Manifest)
        keys = tuple(_key(key, f"keys[{i}]") for i, key in enumerate(manifest.keys))
        trust = read_trust(manifest.tls, Path(path).parent)
        key = None if manifest.checkpoint_key is None else key_path(manifest.checkpoint_key, Path(path).parent)
        return Config(_read(manifest), trusted_keys=keys, trust=trust, checkpoint_key=key)
    except DecodeError as error:
        problem, where, help_ = error.problem, error.where, "see docs/manifest.md for every field"
    except ManifestError as error:
        problem, where, help_ = error.problem, error.where, error.help
    raise _invalid(path, data, ManifestError(where, problem, help_))


def _invalid(path: str, data: bytes, error: ManifestError, code: str = "TEK801") -> InvalidInput:
    line, column, text = place_in_json(data, error.where)
    message = str(error) if error.where else error.problem
    return InvalidInput((Diagnostic(path, line, column, message, error.help, text, code),))


def _check_keys(data: bytes) -> None:
    """Refuse an object that names a key twice: readers differ on which one counts."""

    def once(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ManifestError("", f"the key {key!r} stands twice in one object", "keep one of the two")
            seen.add(key)

    with suppress(
        json.JSONDecodeError, UnicodeDecodeError, RecursionError
    ):  # what is no JSON at all is told by the codec, with its place
        json.loads(data, object_pairs_hook=once)


def _read(manifest: _Manifest) -> Policy:
    if manifest.preset not in (*PRESETS, NO_PRESET):
        raise ManifestError("preset", f"there is no preset {manifest.preset!r}", f"use {', '.join(PRESETS)} or none")
    permits = [] if manifest.preset == NO_PRESET else list(preset_permits(manifest.preset))
    for i, spec in enumerate(manifest.permits):
        permits += _permits(spec, f"permits[{i}]")
    agents: list[tuple[str, str]] = []
    for name, value in _object(manifest.layers, "layers").items():
        where = f"layers.{name}"
        if name not in LAYERS:
            raise ManifestError(where, f"there is no layer {name!r}", f"layers are {', '.join(LAYERS)}")
        layer = CODEC.decode({"agent": value} if isinstance(value, str) else value, _Layer, where)
        if layer.agent is not None:
            agents.append((name, layer.agent))
        for i, spec in enumerate(layer.permits):
            for permit in _permits(spec, f"{where}.permits[{i}]"):
                permits.append(attrs.evolve(permit, subject=(*permit.subject, f"layer:{name}")))
    task = _limit(manifest.budgets.task, "budgets.task")
    queues = _object(manifest.budgets.queues, "budgets.queues")
    for letter in queues:
        if not _LETTERS.fullmatch(letter):
            help_ = "name a queue by its capital letters, as in Queue A"
            raise ManifestError(f"budgets.queues.{letter}", "is not a queue's letter", help_)
    return Policy(
        preset=manifest.preset,
        permits=tuple(permits),
        task=task.inherit(DEFAULT_TASK_LIMIT),
        task_max=task,
        run=_limit(manifest.budgets.run, "budgets.run").inherit(Limit.unlimited()),
        queues=tuple((letter, _limit(value, f"budgets.queues.{letter}")) for letter, value in queues.items()),
        agents=tuple(agents),
    )


def check_against(config: Config, plan: ExecutionPlan, workspace: Path) -> None:
    """Refuse what would bound nothing, as a ceiling for a queue that the plan does not have, or protect nothing, as a
    private key in the workspace. Raises ``InvalidInput``.
    """
    if config.directory is None:
        return
    try:
        check_key_is_apart(config.trust, config.policy.permits, workspace)
        if config.checkpoint_key is not None:
            check_is_apart(config.checkpoint_key, config.policy.permits, workspace)
        letters = dict.fromkeys(queue.letter for queue in plan.queues)
        for letter, _ in config.policy.queues:
            if letter not in letters:
                help_ = f"its queues are {', '.join(letters)}" if letters else "it has no queues at all"
                raise ManifestError(f"budgets.queues.{letter}", f"the plan has no Queue {letter}", help_)
    except ManifestError as error:
        code = "TEK802" if error.where.startswith("budgets") else "TEK801"
        path = config.directory / "manifest.json"
        raise _invalid(str(path), read_input(path, "configuration file"), error, code) from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(where, "is not an object")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item for item in items):
        raise ManifestError(where, "is neither text nor a list of texts")
    return tuple(items)


def _permits(spec: _Permit, where: str) -> list[Permit]:
    """Return the permits of one entry: a list of actions, resources or subjects means any of them."""
    actions, resources, subjects = (
        _some(value, f"{where}.{name}")
        for name, value in (("action", spec.action), ("resource", spec.resource), ("subject", spec.subject))
    )
    caveats = tuple(_caveat(n, v, where) for n, v in _object(spec.caveats, f"{where}.caveats").items())
    try:
        return [
            Permit(
                action=(action,),
                resource=(canonical_pattern(action, resource),),
                subject=(subject,),
                exclude=tuple(canonical_pattern(action, text) for text in _texts(spec.exclude, f"{where}.exclude")),
                expires_at=None if spec.expires_at is None else parse_instant(spec.expires_at),
                caveats=caveats,
                rule=f"config/manifest.json {where}",
                sig=spec.sig,
            )
            for action, resource, subject in itertools.product(actions, resources, subjects)
        ]
    except (PatternError, DecodeError) as error:
        raise ManifestError(where, str(error), "a permit is an action, a resource, and what narrows them") from None


def _some(value: Any, where: str) -> tuple[str, ...]:
    texts = _texts(value, where)
    if not texts:
        raise ManifestError(where, "names nothing", "an empty list would grant nothing; remove the entry")
    return texts


def _caveat(name: str, value: Value, where: str) -> Caveat:
    if name in ("max_bytes", "max_uses") and type(value) is int and value >= 0:
        return Caveat(name, value)
    if name == "methods" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return Caveat(name, tuple(str(item).upper() for item in value))
    raise ManifestError(
        f"{where}.caveats.{name}",
        "is not a caveat that can be enforced",
        "caveats are max_bytes (bytes), max_uses (a task), methods (a list)",
    )


def _limit(value: Any, where: str) -> Limit:
    if value is None:
        return Limit()
    try:
        if isinstance(value, str):
            return parse_limit(value)
        bounds = {
            name: parse_bound(name, amount) if isinstance(amount, str) else amount
            for name, amount in _object(value, where).items()
        }
        return CODEC.decode(bounds, Limit, where)
    except (QuantityError, KeyError, ValueError) as error:
        if isinstance(error, ManifestError | DecodeError):
            raise
        help_ = f'write {{"ms": "90s", "io": "64MiB", "tokens": 0}}, or "{UNLIMITED}" for a dimension'
        raise ManifestError(where, str(error), help_) from None


def _key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ManifestError(where, "is not an Ed25519 public key", "write its 32 bytes as 64 hex digits")
    return key
