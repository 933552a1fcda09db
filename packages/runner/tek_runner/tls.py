"""``tls`` of the manifest: the files by which servers are verified, and by which tek shows who asks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tek_abi import Permit
from tek_effects_net.trust import SYSTEM_TRUST, Trust, client_tls
from tek_kernel.effect import EffectError
from tek_runner.manifest_error import ManifestError
from tek_runner.signing import check_is_apart

_FIELDS: Final = ("ca_file", "client_cert", "client_key")
_HELP: Final = 'write {"ca_file": "/etc/tek/ca.pem", "client_cert": "/etc/tek/me.pem", "client_key": "/etc/tek/me.key"}'
_HELP_PEM: Final = (
    "name PEM files: authorities in ca_file; a certificate with its chain, and its key without a passphrase"
)
_HELP_APART: Final = "keep it outside, where no permit leads, such as /etc/tek/me.key"


def read_trust(value: Any, directory: Path) -> Trust:
    """Return whom TLS trusts. Relative paths start at the configuration's ``directory``. Raises ``ManifestError``."""
    if not isinstance(value, dict):
        raise ManifestError("tls", "is not an object", _HELP)
    unknown = sorted(value.keys() - set(_FIELDS))
    if unknown:
        raise ManifestError(f"tls.{unknown[0]}", f"there is no field {unknown[0]!r}", _HELP)
    if not value:
        return SYSTEM_TRUST
    if ("client_cert" in value) != ("client_key" in value):
        raise ManifestError("tls", "a client's certificate and its key stand together", _HELP)
    paths = {name: _file(text, f"tls.{name}", directory) for name, text in value.items()}
    pair = (paths["client_cert"], paths["client_key"]) if "client_cert" in paths else None
    trust = Trust(paths.get("ca_file"), pair)
    for where, part in (("tls.ca_file", Trust(trust.ca_file)), ("tls.client_cert", trust)):
        _try(part, where if where.removeprefix("tls.") in value else "tls")
    return trust


def check_key_is_apart(trust: Trust, permits: Sequence[Permit], workspace: Path) -> None:
    """Refuse a private key that a task may read: in the workspace, or where any permit for files leads.

    Raises ``ManifestError``.
    """
    if trust.client_cert is not None:
        check_is_apart(Path(trust.client_cert[1]), permits, workspace, "tls.client_key", _HELP_APART)


def _try(trust: Trust, where: str) -> None:
    try:
        client_tls(trust)
    except EffectError as error:
        raise ManifestError(where, error.message, _HELP_PEM) from None


def _file(text: Any, where: str, directory: Path) -> str:
    if not isinstance(text, str) or not text or "\0" in text:
        raise ManifestError(where, "is not the name of a file", _HELP)
    path = (directory / text).absolute()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ManifestError(where, f"{path} is not a file that can be read", _HELP)
    return str(path)
