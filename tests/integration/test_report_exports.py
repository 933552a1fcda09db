"""``tek-runner report --trace`` and ``--otlp``: a run in the forms that other tools open."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.integration.cli import plan, queue, task, tek
from tests.integration.inprocess import call

AGENT = """
from tek_abi import TaskReport
from tek_agents import clock, gather, proc

class Both:
    async def run(self, task):
        await clock.now()
        await gather(proc.output_text("sleep", "0.05"), proc.output_text("sleep", "0.1"))
        return TaskReport()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run in ``runs/one``: commands one after the other, two at once, a retry, a denial."""
    home = tmp_path_factory.mktemp("exports")
    site = home / "site"
    (site / "both-1.0.dist-info").mkdir(parents=True)
    (site / "both.py").write_text(AGENT)
    (site / "both-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: both\nVersion: 1.0\n")
    (site / "both-1.0.dist-info/entry_points.txt").write_text("[tek.agents]\nboth = both:Both\n")
    (site / "both-1.0.dist-info/RECORD").write_text("both.py,,\n")
    text = queue(
        task(1, "true"),
        task(2, "false", "Retries: 1"),
        "### `TASK-003` Two at once\n\n- Agent: `both`\n\n",
        task(4, "true", "Env: `T=secret:T`"),
        task(5, "true", "Needs: `TASK-002`"),
    )
    plan(home, text, manifest={})
    assert tek("run", "--run-dir", "runs/one", cwd=home, env={"PYTHONPATH": str(site)}).code == 1
    return home


def events_of(home: Path, path: Path) -> list[dict[str, Any]]:
    answer = call("report", "runs/one", "--trace", path, "--json", cwd=home)
    assert (answer.code, answer.json["report"]) == (0, None), answer
    found = json.loads(path.read_bytes())
    assert found["displayTimeUnit"] == "ms"
    return list(found["traceEvents"])


def test_a_trace_is_one_that_perfetto_opens(home: Path, tmp_path: Path) -> None:
    events = events_of(home, tmp_path / "trace.json")
    needed = {"M": {"args"}, "X": {"ts", "dur"}, "b": {"ts", "id", "cat"}, "e": {"ts", "id", "cat"}, "i": {"ts", "s"}}
    for event in events:
        assert {"name", "pid", "tid", *needed[event["ph"]]} <= set(event), event
        assert all(type(event[key]) is int and event[key] >= 0 for key in ("ts", "dur") if key in event)
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert {event["tid"] for event in events} == named, "each track has a name"
    assert [event["args"]["name"] for event in events if event["name"] == "process_name"] == ["tek run one"]


def test_events_of_a_track_nest(home: Path, tmp_path: Path) -> None:
    events = events_of(home, tmp_path / "trace.json")
    for track in {event["tid"] for event in events}:
        stack: list[int] = []
        spans = [(event["ts"], -event["dur"]) for event in events if event["ph"] == "X" and event["tid"] == track]
        for start, negative in sorted(spans):
            while stack and stack[-1] <= start:
                stack.pop()
            assert not stack or start - negative <= stack[-1], "one ends within the other, or after it"
            stack.append(start - negative)


def test_a_trace_tells_every_attempt_effect_and_decision(home: Path, tmp_path: Path) -> None:
    events = events_of(home, tmp_path / "trace.json")
    tasks = [(event["name"], event["args"]["attempt"]) for event in events if event.get("cat") == "task"]
    assert sorted(tasks) == [("TASK-001", 1), ("TASK-002", 1), ("TASK-002", 2), ("TASK-003", 1), ("TASK-004", 1)]
    effects = [event["args"] for event in events if event.get("cat") == "effect" and event["ph"] in "Xb"]
    replay = call("replay", "runs/one", "--json", cwd=home)
    assert len({effect["position"] for effect in effects}) == len(effects)
    assert {effect["status"] for effect in effects} == {"ok", "denied"}
    assert replay.json["effects"] is None or len(effects) == replay.json["effects"]
    begun, ended = ([event["id"] for event in events if event["ph"] == phase] for phase in "be")
    assert begun == ended
    assert len(begun) == 1, "of two at once, the second"
    assert "decision: retry" in {event["name"] for event in events if event["ph"] == "i"}


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any], list[int]]]:
    """A collector on this machine: its address, the spans that it got, and the answers that it is to give."""
    spans: list[Any] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            status = answers.pop(0) if answers else 200
            if status == 200:
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            data = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans, answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_reach_a_collector(home: Path, collector: tuple[str, list[Any], list[int]]) -> None:
    url, spans, _ = collector
    answer = call("report", "runs/one", "--otlp", url, "--json", cwd=home)
    assert (answer.code, answer.json["spans"]) == (0, len(spans)), answer
    (root,) = [span for span in spans if not span.parent_span_id]
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    assert len({span.trace_id for span in spans}) == 1
    tasks = {span.name: span for span in spans if span.parent_span_id == root.span_id}
    assert set(tasks) == {f"TASK-00{number}" for number in range(1, 5)}, "TASK-005 was skipped"
    effects = [span for span in spans if span.parent_span_id not in (b"", root.span_id)]
    assert {by_id[span.parent_span_id].name for span in effects} == set(tasks)
    for span in spans:
        parent = by_id.get(span.parent_span_id, root)
        assert parent.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= parent.end_time_unix_nano
    assert (root.status.code, tasks["TASK-001"].status.code, tasks["TASK-004"].status.code) == (2, 1, 2)
    told = {one.key: one.value.string_value or one.value.int_value for one in tasks["TASK-002"].attributes}
    assert (told["tek.attempts"], told["tek.status"]) == (2, "failed")
    lines = [json.loads(line) for line in (home / "runs/one/ledger.jsonl").read_bytes().splitlines()]
    begun = datetime.fromisoformat(lines[0]["at"])
    assert root.start_time_unix_nano // 1000 == int(begun.timestamp()) * 10**6 + begun.microsecond


def test_a_run_sent_twice_is_one_trace(home: Path, collector: tuple[str, list[Any], list[int]]) -> None:
    url, spans, _ = collector
    for _ in range(2):
        assert call("report", "runs/one", "--otlp", f"{url}/v1/traces", cwd=home).code == 0
    half = len(spans) // 2
    assert [span.span_id for span in spans[:half]] == [span.span_id for span in spans[half:]]


def test_a_collector_that_refuses_is_named(home: Path, collector: tuple[str, list[Any], list[int]]) -> None:
    url, _, answers = collector
    answers.append(400)
    answer = call("report", "runs/one", "--otlp", url, cwd=home)
    assert (answer.code, f"--otlp {url}: the collector did not take the spans" in answer.err) == (2, True)


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://host", "http://", "file:///etc/passwd"])
def test_what_is_no_collector_is_refused(home: Path, url: str) -> None:
    answer = call("report", "runs/one", "--otlp", url, cwd=home)
    assert (answer.code, "is no address of a collector" in answer.err) == (2, True)


def test_without_the_extra_its_name_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    answer = call("report", "runs/one", "--otlp", "http://127.0.0.1:1", cwd=home)
    assert (answer.code, "needs the extra otel: pip install 'tek[otel]'" in answer.err) == (2, True)
