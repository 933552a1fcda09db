from __future__ import annotations

from pathlib import Path

import pytest

from tests.effects_proc.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    workspace = tmp_path / "ws"
    workspace.mkdir()
    return Commands(workspace)
