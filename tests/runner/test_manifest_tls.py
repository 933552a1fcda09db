"""``tls`` of the manifest: files that are there and can be used, and a key that no task can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tek_abi import InvalidInput, Permit
from tek_runner.config import load_config
from tek_runner.manifest_error import ManifestError
from tek_runner.tls import check_key_is_apart, read_trust
from tests.effects_net.pki import make_pki
from tests.integration.cli import plan, tek

PAIR = {"client_cert": "cert.pem", "client_key": "key.pem"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration with a certificate, its key, another's key, one under a passphrase, and what is none of these."""
    (tmp_path / "other").mkdir()
    make_pki(tmp_path)
    make_pki(tmp_path / "other")
    key = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    passphrase = serialization.BestAvailableEncryption(b"known to nobody")
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, passphrase
    (tmp_path / "locked.pem").write_bytes(key.private_bytes(*form))
    (tmp_path / "text.pem").write_text("no certificate")
    return tmp_path


def test_paths_start_at_the_configuration(directory: Path) -> None:
    trust = read_trust({"ca_file": "cert.pem", **PAIR}, directory)
    assert trust.ca_file == str(directory / "cert.pem")
    assert trust.client_cert == (str(directory / "cert.pem"), str(directory / "key.pem"))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "tls"),
        ({"cafile": "cert.pem"}, "tls.cafile"),
        ({"verify": False}, "tls.verify"),
        ({"ca_file": "none.pem"}, "tls.ca_file"),
        ({"ca_file": "."}, "tls.ca_file"),
        ({"ca_file": 1}, "tls.ca_file"),
        ({"ca_file": ""}, "tls.ca_file"),
        ({"ca_file": "text.pem"}, "tls.ca_file"),
        ({"ca_file": "key.pem"}, "tls.ca_file"),
        ({"client_cert": "cert.pem"}, "tls"),
        ({"client_key": "key.pem"}, "tls"),
        ({**PAIR, "client_cert": "text.pem"}, "tls.client_cert"),
        ({**PAIR, "client_key": "text.pem"}, "tls.client_cert"),
        ({**PAIR, "client_key": "other/key.pem"}, "tls.client_cert"),
        ({**PAIR, "client_key": "locked.pem"}, "tls.client_cert"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(directory: Path, value: Any, where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_trust(value, directory)
    assert caught.value.where == where
    assert caught.value.help
    assert "PRIVATE" not in str(caught.value)


def test_a_refusal_points_at_the_line(directory: Path) -> None:
    (directory / "manifest.json").write_text('{\n  "tls": {\n    "ca_file": "text.pem"\n  }\n}\n')
    with pytest.raises(InvalidInput) as caught:
        load_config(directory, required=True)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.path, diagnostic.line) == (str(directory / "manifest.json"), 3)


class TestWhereTheKeyLies:
    def test_in_the_workspace_it_is_refused(self, directory: Path) -> None:
        trust = read_trust(PAIR, directory)
        with pytest.raises(ManifestError, match="lies in the workspace"):
            check_key_is_apart(trust, (), directory)
        (directory / "inner").mkdir()
        check_key_is_apart(trust, (), directory / "inner")

    def test_behind_a_link_that_tasks_could_replace_it_is_refused(self, directory: Path) -> None:
        work = directory / "work"
        work.mkdir()
        for link, target in ((work / "key.pem", directory / PAIR["client_key"]), (work / "keys", directory)):
            link.symlink_to(target)
            path = link if link.name == "key.pem" else link / PAIR["client_key"]
            trust = read_trust({**PAIR, "client_key": str(path)}, directory)
            with pytest.raises(ManifestError, match=f"{link} lies in the workspace"):
                check_key_is_apart(trust, (), work)

    def test_where_a_permit_leads_it_is_refused(self, directory: Path) -> None:
        trust = read_trust(PAIR, directory)
        with pytest.raises(ManifestError, match="can be reached by tasks") as caught:
            check_key_is_apart(trust, [Permit(("fs.read",), (f"{directory}/**",))], directory / "inner")
        assert caught.value.where == "tls.client_key"
        check_key_is_apart(trust, [Permit(("fs.read",), (f"{directory}/other/**",))], directory / "inner")

    def test_a_permit_of_the_command_line_counts(self, directory: Path) -> None:
        work = directory / "work"
        tls = {name: str(directory / file) for name, file in PAIR.items()}
        plan(work, "## Queue A — One\n\n### `TASK-001` First\n\n```argv\ntrue\n```\n", {"tls": tls})
        answer = tek("run", "--allow", f"fs.read:{directory}/**", cwd=work)
        assert answer.code == 2
        assert "config/manifest.json:1:" in answer.err
        assert "--allow" in answer.err
        assert not list(work.glob("runs/*/ledger.jsonl"))


def test_the_key_does_not_reach_the_run(directory: Path) -> None:
    work = directory / "work"
    tls = {name: str(directory / file) for name, file in PAIR.items()}
    plan(work, "## Queue A — One\n\n### `TASK-001` First\n\n```argv\ntrue\n```\n", {"tls": tls})
    answer = tek("run", "--json", cwd=work)
    assert answer.code == 0, answer
    written = [path for path in Path(answer.json["run_dir"]).rglob("*") if path.is_file()]
    assert any(path.name == "ledger.jsonl" for path in written)
    key = (directory / "key.pem").read_text().splitlines()[1]
    assert not any(key in path.read_text(errors="replace") for path in written)
