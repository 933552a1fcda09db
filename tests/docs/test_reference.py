"""The reference is generated from the code, committed, and never stale."""

from __future__ import annotations

import re
import shutil
import subprocess
from difflib import unified_diff

import pytest

from tek_planner import explanations
from tek_runner.effects import make_registry
from tek_runner.main import _COMMANDS
from tests.integration.cli import REPOSITORY
from tools.reference.files import ROOT, generated, stale


def test_every_generated_file_is_what_the_code_says() -> None:
    for name in stale():
        written = (ROOT / name).read_text().splitlines() if (ROOT / name).exists() else []
        differing = unified_diff(written, generated()[name].splitlines(), name, n=0)
        pytest.fail("say make reference\n" + "\n".join(differing))


def test_no_file_stands_among_them_that_nothing_generates() -> None:
    folders = ("docs/reference", "schemas", "man")
    found = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert found == set(generated())


def test_every_command_has_its_section_with_examples() -> None:
    page = generated()["docs/reference/cli.md"]
    for name in _COMMANDS:
        section = re.search(rf"^## tek-runner {name}$(.*?)(?=^## tek-runner (?!{name} )|\Z)", page, re.M | re.S)
        assert section is not None, name
        assert f"tek-runner {name}" in section[1].partition("```sh")[2], f"{name} --help shows no example"


def test_every_diagnostic_and_effect_has_its_section() -> None:
    pages = generated()
    assert all(f"\n## {code} " in pages["docs/reference/diagnostics.md"] for code in explanations())
    for name, _ in make_registry(REPOSITORY, {}).names():
        assert f"\n## {name}\n" in pages["docs/reference/effects.md"]


def test_every_diagnostic_with_an_example_shows_how_it_is_told() -> None:
    page = generated()["docs/reference/diagnostics.md"]
    shown = [code for code, one in explanations().items() if one.wrong]
    for code in shown:
        section = page.partition(f"\n## {code} ")[2].partition("\n## TEK")[0]
        assert re.search(rf"^[\w./]+:\d+:\d+: {code} .+\n +\d+ \| .*\n +\| +\^\n  help: ", section, re.M), code


def test_anchors_of_the_list_of_diagnostics_lead_to_their_sections() -> None:
    page = generated()["docs/reference/diagnostics.md"]
    headings = re.findall(r"^## (TEK.+)$", page, re.M)
    anchors = re.findall(r"\]\(#([^)]+)\)", page)
    assert anchors == ["-".join(re.sub(r"[^\w\s-]", "", heading.lower()).split()) for heading in headings]


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_rendered_without_a_warning() -> None:
    page = REPOSITORY / "man" / "tek-runner.1"
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=100n", str(page)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    words = " ".join(done.stdout.replace("‐", "-").split())
    assert "tek-runner replay last --live /tmp/copy" in words
    for code, text in (("130", "interrupted"), ("4", "ledger invalid or replay mismatch")):
        assert f"{code} {text}" in words


def test_the_man_page_has_the_sections_that_man_pages_have() -> None:
    page = generated()["man/tek-runner.1"]
    sections = re.findall(r"^\.SH (.+)$", page, re.M)
    assert page.startswith(".TH TEK-RUNNER 1 ")
    assert sections[:4] == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    assert {"EXIT STATUS", "FILES", "EXAMPLES"} <= set(sections)
    known = r"\.(TH|SH|SS|PP|TP|B|RS|RE|nf|fi)( |$)"
    assert [line for line in page.split("\n") if line[:1] in (".", "'") and not re.match(known, line)] == []
