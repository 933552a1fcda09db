"""``tek-runner fmt``: tidy a source of truth without changing its plan."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from difflib import unified_diff
from pathlib import Path

import click
import orjson

from tek_abi import InvalidInput
from tek_kernel import StorageFailed
from tek_planner import is_same_plan, plan_bytes, tidy
from tek_runner.console import printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.inputs import UnreadableInput, read_input

_STDIN = "-"


@click.command(
    epilog=examples(
        """
        tek-runner fmt
        tek-runner fmt plans/*.md
        tek-runner fmt sot.md --check --diff       in CI: change nothing, and say what would change
        tek-runner fmt - <sot.md >tidy.md
        """
    )
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[SOT]...")
@click.option("--check", is_flag=True, help="Change nothing; end with 1 if a file is not tidy.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(files: tuple[Path, ...], check: bool, diff: bool, as_json: bool) -> int:
    """Tidy each SOT (sot.md where none is named; - from stdin to stdout): line ends, blank lines, headings, fields.

    The plan stays the same, which is looked at before anything is written; no prose and no block is touched. A file
    that is no valid plan is not changed, and told as tek-runner check does; this then ends with 2.

    """
    untidy: list[str] = []
    for path in files or (Path("sot.md"),):
        if path.suffix == ".json":
            raise click.UsageError(f"{path} is no source of truth; tek-runner plan writes plan.json anew")
        name = "<stdin>" if str(path) == _STDIN else str(path)
        before = sys.stdin.buffer.read() if name == "<stdin>" else read_input(path, "source of truth")
        after = tidied(before, name)
        if after != before:
            untidy.append(name)
        if diff:
            for line in _diff(before, after, name):
                click.echo(printable(line))
        elif name == "<stdin>" and not check:
            sys.stdout.buffer.write(after)
            sys.stdout.flush()
        elif after != before and not check:
            _write(path, after)
    return _tell(untidy, changed=not (check or diff), check=check, as_json=as_json, of=max(1, len(files)))


def tidied(data: bytes, name: str) -> bytes:
    """Return a file's bytes as they are to be. Raises ``InvalidInput`` for what is no valid plan."""
    planned = plan_bytes(data, name)
    if planned.plan is None:
        raise InvalidInput(planned.diagnostics)
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    after = mark + tidy(data.decode("utf-8-sig")).encode()
    if not is_same_plan(planned.plan, plan_bytes(after, name).plan):
        raise UnreadableInput(name, "would be another plan when tidied, and is left as it is: this is a defect of tek")
    return after


def _write(path: Path, data: bytes) -> None:
    """Put the tidied text in the place of a file, or of what a symbolic link leads to; mode and owner are kept."""
    place = path.resolve()
    try:
        status = place.stat()
        draft = place.with_name(f".{place.name}.tidy-{os.getpid()}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                if os.geteuid() == 0:
                    os.fchown(fd, status.st_uid, status.st_gid)
                os.fchmod(fd, stat.S_IMODE(status.st_mode))
                os.fsync(fd)
            draft.replace(place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        error.filename = error.filename or str(place)
        raise StorageFailed(error) from None


def _diff(before: bytes, after: bytes, name: str) -> list[str]:
    old, new = (data.decode("utf-8-sig").replace("\r\n", "␍\n").split("\n") for data in (before, after))
    return list(unified_diff(old, new, name, f"{name} (tidy)", lineterm=""))


def _tell(untidy: list[str], changed: bool, check: bool, as_json: bool, of: int) -> int:
    if as_json:
        click.echo(orjson.dumps({"untidy": untidy, "changed": changed, "files": of}))
    else:
        word = "tidied" if changed else "would tidy"
        for name in untidy:
            click.echo(printable(f"{word}  {name}"), err=True)
        if not untidy:
            click.echo("already tidy", err=True)
    return Exit.FAILED if check and untidy else Exit.OK
