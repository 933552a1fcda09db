"""Findings as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tek_review.rules import Finding


def page(findings: Sequence[Finding], files: int) -> str:
    """Return the page, file by file. ``files`` is how many were looked at."""
    parts = ["# Review\n", f"{len(findings)} findings in {files} files.\n"]
    for path, group in groupby(findings, key=lambda finding: finding.path):
        lines = [f"- `{path}:{one.line}` **{one.rule}**: {one.message}\n" for one in group]
        parts.append(f"## {path}\n\n" + "".join(lines))
    return "\n".join(parts)
