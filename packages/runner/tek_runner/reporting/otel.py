"""A run as OpenTelemetry spans, one a task and one an effect, sent to a collector by OTLP over HTTP.

Ids are made from the run's, so that a run sent twice is one trace.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from tek_abi import Budget, Instant, TekError
from tek_runner.console import printable
from tek_runner.history import EffectHistory, RunHistory, TaskHistory
from tek_runner.reporting.wording import MESSAGE, cut

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

_BATCH: Final = 512
_SECONDS: Final = 10
_GOOD: Final = ("ok", "noop", "closed")


@attrs.define(str=False)
class CannotSend(TekError, ValueError):
    """Spans cannot be sent to ``url``. ``problem`` says why and what to do."""

    url: str
    problem: str

    def __str__(self) -> str:
        return f"--otlp {self.url}: {self.problem}"


def send(history: RunHistory, url: str) -> int:
    """Send a run's spans to a collector, such as ``http://127.0.0.1:4318``; return how many.

    Raises ``CannotSend``. Headers and certificates are taken from the variables ``OTEL_EXPORTER_OTLP_...``.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise CannotSend(url, "is no address of a collector; write it as http://127.0.0.1:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ImportError as error:
        raise CannotSend(url, f"needs the extra otel: pip install 'tek[otel]' ({error.name} is missing)") from None
    path = urlsplit(url).path.rstrip("/")
    endpoint = url if path.endswith("/v1/traces") else f"{url.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint, timeout=_SECONDS)
    spans = list(_spans(history))
    try:
        with _heard() as said:
            for start in range(0, len(spans), _BATCH):
                if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                    why = cut(next(iter(said), "no reason is known"), MESSAGE)
                    sent = f"{start:,} of {len(spans):,} were sent"
                    raise CannotSend(url, f"the collector did not take the spans ({sent}): {why}")
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # the package leaves it without a type
    return len(spans)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Yield what the exporter says of its troubles, which it would else print as it goes."""
    said: list[str] = []
    logger, handler = logging.getLogger("opentelemetry"), logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # one line of a class
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield said
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)


def _spans(history: RunHistory) -> Iterator[ReadableSpan]:
    make = _Maker.of(history)
    root = make.context("")
    opened = history.opened
    attributes = {
        "tek.run": opened.run if opened is not None else "",
        "tek.level": history.level,
        "tek.ledger_head": history.head,
        "tek.replay_hash": history.closed.replay_hash if history.closed is not None else "",
    }
    name = f"run {history.path.resolve().parent.name}"
    status = history.closed.status if history.closed is not None else history.state
    yield make.span(name, root, None, history.began, history.last, status, "", attributes)
    for told in history.tasks.values():
        if not told.attempts:
            continue
        parent = make.context(told.task.id)
        yield make.span(told.task.id, parent, root, told.begun, told.ended, told.status, told.message, _of_task(told))
        for effect in told.effects:
            own = make.context(f"{effect.position}")
            yield make.span(
                effect.name, own, parent, effect.begun, effect.ended, effect.status, effect.problem, _of_effect(effect)
            )


def _of_task(told: TaskHistory) -> dict[str, Any]:
    return {
        "tek.task": told.task.id,
        "tek.title": told.task.title,
        "tek.queue": told.queue.name,
        "tek.agent": told.agent,
        "tek.status": told.status,
        "tek.attempts": len(told.attempts),
        **_spent(told.usage),
    }


def _of_effect(effect: EffectHistory) -> dict[str, Any]:
    return {
        "tek.effect": effect.name,
        "tek.position": str(effect.position),
        "tek.about": effect.subject,
        "tek.status": effect.status,
        "tek.rule": effect.intent.rule,
        "tek.line": effect.line,
        **_spent(effect.usage),
    }


def _spent(usage: Budget) -> dict[str, Any]:
    return dict(zip(("tek.ms", "tek.tokens", "tek.io"), usage.amounts(), strict=True))


@attrs.frozen
class _Maker:
    """Makes the spans of one run. ``last`` ends what has no end on record."""

    run: str
    last: Instant
    resource: Any

    @classmethod
    def of(cls, history: RunHistory) -> _Maker:
        from opentelemetry.sdk.resources import Resource

        versions = dict(history.opened.versions) if history.opened is not None else {}
        resource = Resource({"service.name": "tek", "service.version": _clean(versions.get("tek", ""))})
        return cls(history.opened.run if history.opened is not None else history.head, history.last, resource)

    def context(self, what: str) -> SpanContext:
        """Return the ids of the run's own span, or of a task's or an effect's by its position."""
        from opentelemetry.trace import SpanContext, TraceFlags

        trace = int.from_bytes(hashlib.sha256(self.run.encode()).digest()[:16])
        span = int.from_bytes(hashlib.sha256(f"{self.run}\n{what}".encode()).digest()[:8])
        return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        begun: Instant,
        ended: Instant,
        status: str,
        problem: str,
        attributes: dict[str, Any],
    ) -> ReadableSpan:
        """Return a span. Its texts are cut, and control characters in them shown."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Status, StatusCode

        is_good = status in _GOOD
        return ReadableSpan(
            _clean(name),
            context,
            parent,
            self.resource,
            {key: _clean(value) if isinstance(value, str) else value for key, value in attributes.items()},
            status=Status(StatusCode.OK) if is_good else Status(StatusCode.ERROR, _clean(problem or status)),
            start_time=_nanoseconds(begun),
            end_time=_nanoseconds(ended or self.last),
        )


def _clean(text: str) -> str:
    return printable(cut(text, MESSAGE))


def _nanoseconds(at: Instant) -> int:
    moment = datetime.fromisoformat(at)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
