"""``tek-runner explain``: what a diagnostic's code means, with an example and its remedy."""

from __future__ import annotations

import difflib

import attrs
import click
import orjson

from tek_planner import Explanation, explanations
from tek_runner.examples import examples


@click.command(
    epilog=examples(
        """
        tek-runner explain TEK302
        tek-runner explain
        tek-runner explain TEK302 --json
        """
    )
)
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Say more about the diagnostic CODE, or list all codes."""
    pages = explanations()
    if code is None:
        _list(list(pages.values()), as_json)
        return
    page = pages.get(code.upper())
    if page is None:
        close = difflib.get_close_matches(code.upper(), pages, 2)
        raise click.UsageError(f"there is no code {code!r}; did you mean {' or '.join(close) or 'another'}?")
    if as_json:
        click.echo(orjson.dumps(attrs.asdict(page), option=orjson.OPT_INDENT_2))
        return
    click.echo(f"{page.code} {page.title}\n\n{page.text}")


def _list(pages: list[Explanation], as_json: bool) -> None:
    if as_json:
        rows = [{"code": page.code, "title": page.title} for page in pages]
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for page in pages:
        click.echo(f"{page.code}  {page.title}")
