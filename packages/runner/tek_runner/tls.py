"""``tls`` of the manifest: the files by which servers are verified, and by which tek shows who asks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tek_effects_net.trust import SYSTEM_TRUST, Trust
from tek_runner.manifest_error import ManifestError

_FIELDS: Final = ("ca_file", "client_cert", "client_key")
_HELP: Final = 'write {"ca_file": "/etc/tek/ca.pem", "client_cert": "/etc/tek/me.pem", "client_key": "/etc/tek/me.key"}'


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
    return Trust(paths.get("ca_file"), pair)


def check_key_is_apart(trust: Trust, workspace: Path) -> None:
    """Refuse a private key in the workspace, where tasks may read it. Raises ``ManifestError``."""
    if trust.client_cert is not None and Path(trust.client_cert[1]).is_relative_to(workspace.resolve()):
        help_ = "keep it outside, where no permit leads, such as /etc/tek"
        raise ManifestError("tls.client_key", f"{trust.client_cert[1]} lies in the workspace of tasks", help_)


def _file(text: Any, where: str, directory: Path) -> str:
    if not isinstance(text, str) or not text or "\0" in text:
        raise ManifestError(where, "is not the name of a file", _HELP)
    path = (directory / text).resolve()
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ManifestError(where, f"{path} is not a file that can be read", _HELP)
    return str(path)
