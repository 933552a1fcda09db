"""``tls`` of the manifest: files that must be there, and a key that no task can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tek_runner.manifest_error import ManifestError
from tek_runner.tls import check_key_is_apart, read_trust


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_paths_start_at_the_configuration(directory: Path) -> None:
    trust = read_trust({"ca_file": "ca.pem", "client_cert": "me.pem", "client_key": "me.key"}, directory)
    assert trust.ca_file == str(directory / "ca.pem")
    assert trust.client_cert == (str(directory / "me.pem"), str(directory / "me.key"))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "tls"),
        ({"cafile": "ca.pem"}, "tls.cafile"),
        ({"verify": False}, "tls.verify"),
        ({"ca_file": "none.pem"}, "tls.ca_file"),
        ({"ca_file": "."}, "tls.ca_file"),
        ({"ca_file": 1}, "tls.ca_file"),
        ({"ca_file": ""}, "tls.ca_file"),
        ({"client_cert": "me.pem"}, "tls"),
        ({"client_key": "me.key"}, "tls"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(directory: Path, value: Any, where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_trust(value, directory)
    assert caught.value.where == where
    assert caught.value.help


def test_a_key_in_the_workspace_is_refused(directory: Path) -> None:
    trust = read_trust({"client_cert": "me.pem", "client_key": "me.key"}, directory)
    with pytest.raises(ManifestError, match="lies in the workspace"):
        check_key_is_apart(trust, directory)
    (directory / "inner").mkdir()
    check_key_is_apart(trust, directory / "inner")
