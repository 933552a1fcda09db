"""``tek-runner report``: a recorded run as one page, as a trace, as spans."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import orjson

from tek_kernel import StorageFailed, VerifierKey, write_atomically
from tek_runner.console import counted, printable
from tek_runner.examples import examples
from tek_runner.exits import Exit
from tek_runner.history import RunHistory
from tek_runner.proving import CHECKPOINT
from tek_runner.run_directory import BLOBS, find_ledger
from tek_runner.signing import read_verifier_key

REPORT: Final = "report.html"


@click.command(
    epilog=examples(
        """
        tek-runner report last
        tek-runner report runs/20260131_101500Z --out /tmp/report.html
        tek-runner report last --key ledger.key.pub
        tek-runner report last --trace trace.json
        tek-runner report last --otlp http://127.0.0.1:4318
        """
    )
)
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the page.  [default: report.html in RUN]")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a trace for Perfetto, and no page unless --out names one.",
)
@click.option(
    "--otlp",
    metavar="URL",
    help="Send spans to an OpenTelemetry collector, and write no page unless --out names one.",
)
@click.option("--key", help="The verifier key that you trust, or its file: the checkpoint must be signed by it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: str, out: Path | None, trace: Path | None, otlp: str | None, key: str | None, as_json: bool) -> int:
    """Write what happened in RUN, a run's directory, its ledger, or last, as one page of HTML.

    The page stands alone: no script, nothing loaded from elsewhere. It says first how the run ended and what of its
    ledger was checked; tek-runner replay proves the rest. A run that is under way or was cut off is told up to there,
    and so is a damaged one, which ends with 4.
    """
    path = find_ledger(run)
    for target in (out, trace):
        _refuse_record(target, path)
    with _uncollected():
        return _report(path, None if key is None else read_verifier_key(key), out, trace, otlp, as_json)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare the search for cycles among a history's million objects, which hold none: a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _report(
    path: Path, key: VerifierKey | None, out: Path | None, trace: Path | None, otlp: str | None, as_json: bool
) -> int:
    history = RunHistory.read(path, key)
    answer: dict[str, Any] = {"status": history.state, "ledger": str(path), "report": None, "bytes": None}
    holds = history.state != "damaged"
    if out is not None or (trace is None and otlp is None):
        from tek_runner.reporting.page import Report, render

        report = Report.of(history)
        holds = report.verdict.holds
        page, target = render(report), out or path.parent / REPORT
        _write(target, page)
        answer |= {"status": report.verdict.status, "report": str(target), "bytes": len(page)}
    if trace is not None:
        from tek_runner.reporting.trace import trace_of

        data = orjson.dumps({"displayTimeUnit": "ms", "traceEvents": list(trace_of(history))})
        _write(trace, data)
        answer |= {"trace": str(trace), "trace_bytes": len(data)}
    if otlp is not None:
        from tek_runner.reporting.otel import send

        answer |= {"otlp": otlp, "spans": send(history, otlp)}
    problem = history.problem
    answer["problem"] = None if problem is None else {"line": problem.line, "problem": problem.problem}
    if as_json:
        click.echo(orjson.dumps(answer))
    else:
        _say(answer)
    return Exit.OK if holds else Exit.LEDGER


def _refuse_record(target: Path | None, ledger: Path) -> None:
    """Keep the record itself from being written over. Raises ``click.UsageError``."""
    if target is None:
        return
    place, run = target.resolve(), ledger.resolve().parent
    if place in (ledger.resolve(), run / CHECKPOINT) or place.is_relative_to(run / BLOBS):
        raise click.UsageError(f"{target} is part of the run's record; name another file")


def _write(target: Path, data: bytes) -> None:
    """Put a file in its place at once; what stands there is replaced, a symlink itself and not what it leads to."""
    try:
        write_atomically(target, data)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise StorageFailed(error) from None


def _say(answer: dict[str, Any]) -> None:
    problem = answer["problem"]
    if problem is not None:
        click.echo(printable(f"{answer['status']}: line {problem['line']}: {problem['problem']}"), err=True)
    if answer["report"] is not None:
        click.echo(printable(f"report  {answer['report']}  ({answer['status']}, {answer['bytes']:,} bytes)"))
    if "trace" in answer:
        click.echo(printable(f"trace   {answer['trace']}  (open it at ui.perfetto.dev)"))
    if "otlp" in answer:
        click.echo(printable(f"sent    {counted(answer['spans'], 'span')} to {answer['otlp']}"))
