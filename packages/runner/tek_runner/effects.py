"""Which effects a run has: the built-in ones over this machine, and those of installed packages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tek_effects_fs import file_effects
from tek_effects_net import Trust, http_effects, open_proxy, system_resolve
from tek_effects_net.trust import SYSTEM_TRUST
from tek_effects_proc import Sandbox, process_effects
from tek_kernel import Registry, core_effects, utc_now


def make_registry(
    workspace: Path, environ: Mapping[str, str], sandbox: Sandbox | None = None, trust: Trust = SYSTEM_TRUST
) -> Registry:
    """Return every effect. Nothing is opened or imported before an effect is first applied. ``sandbox`` confines
    commands; without one they are not confined. ``trust`` is whom TLS believes.
    """
    registry = Registry(core_effects(utc_now, os.urandom, environ))
    processes = process_effects(workspace, environ, sandbox, open_proxy)
    for effect in (*file_effects(workspace), *processes, *http_effects(system_resolve, trust)):
        registry.add(effect)
    registry.add_installed()
    return registry
