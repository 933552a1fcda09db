from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tek_abi.vocabulary import fs
from tests.effects_fs.workbench import EVERYTHING, Workbench, open_descriptors


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A workspace with an excluded tree, beside a directory that is none of its business. Nothing may leak."""
    workspace = tmp_path / "ws"
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / "secret").mkdir()
    (workspace / "secret" / "key").write_bytes(b"a secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"outside")
    workbench = Workbench(workspace)
    workbench.ask(fs.Stat("."), permits=EVERYTHING)
    workbench.ask(fs.Stat("/"), permits=EVERYTHING)  # from here on both roots are open
    before = Counter(open_descriptors().values())
    yield workbench
    if Counter(open_descriptors().values()) - before:
        gc.collect()  # the traceback of an expected error may hold a second workbench
    assert not Counter(open_descriptors().values()) - before
