"""Diagnostics as people, editors and CI systems read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final, Literal

import attrs
import orjson

from tek_abi import Diagnostic

Severity = Literal["error", "warning"]


@attrs.frozen
class Finding:
    """A diagnostic with how much it matters: an error stops a run, a warning does not."""

    severity: Severity
    diagnostic: Diagnostic


def full(findings: Sequence[Finding]) -> str:
    """Return each finding with its line, a caret and the help, and a last line that counts."""
    blocks = [_headed(finding) for finding in findings]
    errors = sum(finding.severity == "error" for finding in findings)
    counts = [
        f"{number} {noun}{'' if number == 1 else 's'}"
        for number, noun in ((errors, "error"), (len(findings) - errors, "warning"))
        if number
    ]
    return "\n\n".join(
        [*blocks, f"{' and '.join(counts)}; tek-runner explain CODE says more" if counts else "no problem"]
    )


def _headed(finding: Finding) -> str:
    text = finding.diagnostic.render()
    return text if finding.severity == "error" else f"warning: {text}"


def concise(findings: Sequence[Finding]) -> str:
    """Return one line a finding, as compilers write them."""
    return "\n".join(_headed(finding).partition("\n")[0] for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return a JSON list of objects with code, severity, path, line, column, message, help and text."""
    rows = [{"severity": finding.severity, **attrs.asdict(finding.diagnostic)} for finding in findings]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


def github(findings: Sequence[Finding]) -> str:
    """Return workflow commands by which GitHub Actions puts findings beside the lines of a change."""
    return "\n".join(_command(finding.severity, finding.diagnostic) for finding in findings)


def _command(severity: Severity, found: Diagnostic) -> str:
    place = f"file={_property(found.path)},line={found.line},col={found.column},title={_property(found.code or 'tek')}"
    text = found.message + (f" (help: {found.help})" if found.help else "")
    return f"::{severity} {place}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(findings: Sequence[Finding]) -> str:
    """Return a SARIF 2.1.0 log, which code hosts and editors import."""
    from tek_planner import explanations

    rules = [
        {"id": page.code, "shortDescription": {"text": page.title}, "fullDescription": {"text": page.text}}
        for page in explanations().values()
    ]
    driver = {"name": "tek-runner", "version": version("tek"), "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(finding) for finding in findings]}],
    }
    return orjson.dumps(log, option=orjson.OPT_INDENT_2).decode()


def _result(finding: Finding) -> dict[str, Any]:
    found = finding.diagnostic
    region = {"startLine": found.line, "startColumn": found.column}
    place = {"physicalLocation": {"artifactLocation": {"uri": found.path}, "region": region}}
    text = found.message + (f"; {found.help}" if found.help else "")
    return {"ruleId": found.code, "level": finding.severity, "message": {"text": text}, "locations": [place]}


FORMATS: Final[dict[str, Callable[[Sequence[Finding]], str]]] = {
    "full": full,
    "concise": concise,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}
"""Output formats by the names that ``--output-format`` takes."""
