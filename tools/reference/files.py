"""Which file is generated from what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tools.reference.effects import effects_page
from tools.reference.formats import schemas
from tools.reference.man import man_page
from tools.reference.pages import cli_page, diagnostics_page, formats_page

ROOT: Final = Path(__file__).resolve().parents[2]


def generated() -> dict[str, str]:
    """Return the text of every generated file, by its path in the repository."""
    formats = schemas()
    return {
        "docs/reference/cli.md": cli_page(),
        "docs/reference/diagnostics.md": diagnostics_page(),
        "docs/reference/effects.md": effects_page(),
        "docs/reference/formats.md": formats_page(formats),
        "man/tek-runner.1": man_page(),
        **{f"schemas/{name}": json.dumps(schema, indent=2) + "\n" for name, schema in formats.items()},
    }


def stale() -> list[str]:
    """Return the generated files that are missing or are not what the code says now."""
    return [name for name, text in generated().items() if _read(name) != text]


def _read(name: str) -> str | None:
    try:
        return (ROOT / name).read_text("utf-8")
    except FileNotFoundError:
        return None


def write() -> list[str]:
    """Write the files that are stale, and return their names."""
    texts, names = generated(), stale()
    for name in names:
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[name], "utf-8")
    return names
