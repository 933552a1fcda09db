"""Keys of the operator: the signing key of checkpoints and tombstones, and the verifier keys that check them.

A signing key is worth what keeps it from the tasks: it lies where no permit leads, and is used only in runs whose
commands the OS holds to their permits.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tek_abi import PatternError, Permit, Policy
from tek_abi.pattern import WORKSPACE, match_path, path_pattern, static_prefix
from tek_kernel import KeyInvalid, SigningKey, VerifierKey
from tek_runner.inputs import open_input
from tek_runner.manifest_error import ManifestError

_MAX_KEY: Final = 4096
_MAX_LINKS: Final = 40
"""As path_resolution(7) has it."""

_HELP: Final = "keep it outside, where no permit leads, such as /etc/tek/ledger.key"


def read_signing_key(path: Path) -> SigningKey:
    """Read the file that ``tek-runner keygen`` wrote. Raises ``UnreadableInput`` or ``KeyInvalid``."""
    with open_input(path, "signing key") as file:
        found = os.fstat(file.fileno())
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyInvalid("signing key", f"{path} is open to others; say chmod 600 {path}")
        if found.st_nlink > 1:
            raise KeyInvalid("signing key", f"{path} has a second name somewhere, by which it may be read")
        data = file.read(_MAX_KEY)
    try:
        return SigningKey.parse(data.decode())
    except UnicodeDecodeError:
        raise KeyInvalid("signing key", f"{path} is not text; tek-runner keygen makes one") from None


def read_verifier_key(text: str) -> VerifierKey:
    """Return the verifier key that a user means: the key itself, or a file that holds it.

    Raises ``UnreadableInput`` or ``KeyInvalid``.
    """
    try:
        return VerifierKey.parse(text)
    except KeyInvalid as error:
        if "+" in text and not Path(text).exists():
            raise error from None
    with open_input(text, "verifier key") as file:
        data = file.read(_MAX_KEY)
    try:
        return VerifierKey.parse(data.decode())
    except UnicodeDecodeError:
        raise KeyInvalid("verifier key", f"{text} is not text") from None


def key_path(text: str, directory: Path) -> Path:
    """Return where ``checkpoint_key`` of a manifest in ``directory`` leads. Raises ``ManifestError``."""
    if not text or "\0" in text:
        raise ManifestError("checkpoint_key", "is not the name of a file", _HELP)
    return (directory / text).absolute()


def check_is_apart(
    key: Path, permits: Sequence[Permit], workspace: Path, where: str = "checkpoint_key", help_: str = _HELP
) -> None:
    """Refuse a private key that a task may reach: in the workspace, or where any permit for files leads.

    Raises ``ManifestError`` at ``where``. Subjects, exclusions and expiries are not looked at: whoever sees a key once
    has it.
    """
    reached = _reached(key, permits, workspace.resolve())
    if reached is not None:
        raise ManifestError(where, reached, help_)


def signing_key(key: Path | None, policy: Policy, workspace: Path, confined: bool) -> SigningKey | None:
    """Return the key that a run under ``policy`` signs with, or ``None`` where none is configured.

    Raises ``UnreadableInput`` or ``KeyInvalid``. ``confined`` says that no command of the run has all rights of
    whoever started it.
    """
    if key is None:
        return None
    if not confined:
        help_ = "run without checkpoint_key, and sign the ledger elsewhere with tek-runner checkpoint"
        raise KeyInvalid("signing key", f"{key} can be read by every command under --sandbox=off; {help_}")
    reached = _reached(key, policy.permits, workspace.resolve())
    if reached is not None:
        raise KeyInvalid("signing key", f"{reached}; {_HELP}")
    return read_signing_key(key)


def _reached(key: Path, permits: Sequence[Permit], workspace: Path) -> str | None:
    """Say how a task may reach a key, or put another in its place by a symbolic link on its way, if one may."""
    for place in _on_the_way(key):
        if place.is_relative_to(workspace):
            return f"{place} lies in the workspace of tasks"
        needed = "fs.write" if place.is_symlink() else "fs"
        for permit in permits:
            files = all(action.startswith((needed, "*")) for action in permit.action)
            if files and all(_leads_to(place, pattern, workspace) for pattern in permit.resource):
                return f"{place} can be reached by tasks: {permit.rule or permit} leads there"
    return None


def _on_the_way(path: Path) -> Iterator[Path]:
    """Yield each symbolic link by which a name leads to its file, and then that. Raises ``KeyInvalid`` for too many."""
    pending, place, links = [*reversed(path.absolute().parts[1:])], Path("/"), 0
    while pending:
        part = pending.pop()
        below = place.parent if part == ".." else place / part
        if not below.is_symlink():
            place = below
            continue
        yield below
        links += 1
        if links > _MAX_LINKS:
            raise KeyInvalid("signing key", f"{path} stands behind too many symbolic links")
        target = Path(os.readlink(below))
        place = Path("/") if target.is_absolute() else place
        pending += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    yield place


def _leads_to(key: Path, pattern: str, workspace: Path) -> bool:
    """Whether a path pattern matches ``key``, by whatever symbolic links its fixed part goes."""
    try:
        pattern = path_pattern(pattern)
    except PatternError:
        return False  # of another namespace than paths
    prefix = static_prefix(pattern)
    root, _, rest = prefix.partition("/")
    base = ((workspace if root == WORKSPACE else Path("/")) / rest).resolve()
    return key.is_relative_to(base) and match_path(pattern, "/".join((prefix, *key.relative_to(base).parts)))
