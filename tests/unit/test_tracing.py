"""Traces by OpenTelemetry: what they tell, what they don't, and that they never cost an event."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared import telemetry, tracing
from shared.tracing import CONTRACT, EXPORT_AGAIN_S, RECORDS_MAX, TracedRecord, Traces, _routes, route_of
from tests.support.collector import attributes, collecting

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CONTEXT = SimpleNamespace(aws_request_id="a1", function_name="leaderboards-ingest")
REQUEST: dict[str, Any] = {
    "requestContext": {"http": {"method": "GET", "path": "/leaderboards/autumn-cup/players/anna%40example"}},
    "headers": {"traceparent": PARENT},
}


class Kept(SpanExporter):
    """Keeps what it is given, or refuses it."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.calls = 0
        self.fails: Exception | SpanExportResult | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        if isinstance(self.fails, Exception):
            raise self.fails
        self.spans += spans
        return self.fails or SpanExportResult.SUCCESS


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def traces(kept: Kept) -> Iterator[Traces]:
    made = Traces(kept, "api")
    yield made
    made.shutdown()


def record(offset: int = 7, traceparent: str = PARENT, *, failed: bool = False) -> TracedRecord:
    return TracedRecord("score-events", 2, offset, traceparent, "applied", failed)


def test_a_request_is_a_span_of_its_callers_trace_and_names_nobody(traces: Traces, kept: Kept) -> None:
    answer = traces.capture_lambda_handler(lambda event, context: {"statusCode": 503})(REQUEST, CONTEXT)

    assert answer == {"statusCode": 503}
    (span,) = kept.spans
    assert span.name == "GET /leaderboards/{}/players/{}"
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.attributes == {
        "faas.invocation_id": "a1", "http.request.method": "GET", "http.route": "/leaderboards/{}/players/{}",
        "http.response.status_code": 503,
    }  # fmt: skip
    assert not span.status.is_ok
    assert span.resource.attributes["service.name"] == "api"


def test_other_calls_are_traces_of_their_own_and_what_they_raise_is_told(traces: Traces, kept: Kept) -> None:
    def fail(event: Any, context: Any) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        traces.capture_lambda_handler(fail)({"Records": []}, CONTEXT)

    (span,) = kept.spans
    assert (span.name, span.parent) == ("leaderboards-ingest", None)
    assert not span.status.is_ok
    assert [event.name for event in span.events] == ["exception"]


def test_a_record_carries_on_the_trace_in_which_it_is_sent(traces: Traces, kept: Kept) -> None:
    assert traces.carrier() == []
    carried = traces.capture_lambda_handler(lambda event, context: traces.carrier())(REQUEST, CONTEXT)

    ((name, value),) = carried
    assert name == "traceparent"
    assert value == f"00-{TRACE}-{kept.spans[0].context.span_id:016x}-01"


def test_a_record_has_a_span_in_its_producers_trace_that_names_the_batch(traces: Traces, kept: Kept) -> None:
    start_ns = time.time_ns() - 5_000_000

    def handle(event: Any, context: Any) -> None:
        traces.processed([record(), record(8, failed=True)], start_ns)

    traces.capture_lambda_handler(handle)({"records": {}}, CONTEXT)

    first, second, batch = kept.spans
    assert first.name == "process score-events"
    assert first.parent is not None
    assert (f"{first.context.trace_id:032x}", f"{first.parent.span_id:016x}") == (TRACE, SPAN)
    assert [link.context.span_id for link in first.links] == [batch.context.span_id]
    assert first.attributes is not None
    assert first.attributes["messaging.kafka.offset"] == 7
    assert first.attributes["leaderboards.outcome"] == "applied"
    assert first.start_time == start_ns
    assert first.end_time is not None
    assert first.end_time > start_ns
    assert (first.status.is_ok, second.status.is_ok) == (True, False)


@pytest.mark.parametrize(
    "traceparent",
    ["", "nonsense", f"00-{TRACE}-{SPAN}-00", f"00-{'0' * 32}-{SPAN}-01", "\ufffd" * 55, PARENT[:-1], "00-" * 10_000],
)
def test_a_record_without_a_trace_that_is_sampled_has_no_span(traces: Traces, kept: Kept, traceparent: str) -> None:
    traces.processed([record(traceparent=traceparent)], time.time_ns())
    traces.capture_lambda_handler(lambda event, context: None)({}, CONTEXT)

    assert [span.name for span in kept.spans] == ["leaderboards-ingest"]


def test_a_call_has_no_more_spans_than_a_collector_takes(traces: Traces, kept: Kept) -> None:
    def handle(event: Any, context: Any) -> None:
        traces.processed(map(record, range(1_000)), time.time_ns())

    traces.capture_lambda_handler(handle)({}, CONTEXT)

    assert len(kept.spans) == RECORDS_MAX + 1


@pytest.mark.parametrize("fault", [SpanExportResult.FAILURE, ConnectionResetError("gone"), ValueError("odd")])
def test_a_collector_that_fails_is_left_alone_for_a_while(
    traces: Traces, kept: Kept, fault: Exception | SpanExportResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.monotonic()
    monkeypatch.setattr("circuitbreaker.monotonic", lambda: now_s)
    kept.fails = fault
    handle = traces.capture_lambda_handler(lambda event, context: "answered")

    assert [handle({}, CONTEXT) for _ in range(3)] == ["answered"] * 3
    assert kept.calls == 1
    now_s += EXPORT_AGAIN_S + 1
    kept.fails = None
    kept.spans.clear()
    handle({}, CONTEXT)

    assert (kept.calls, len(kept.spans)) == (2, 1)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/leaderboards", "/leaderboards"),
        ("/leaderboards/autumn-cup/rankings", "/leaderboards/{}/rankings"),
        ("/leaderboards/a/players/b/c/scores", "/leaderboards/{}/players/{}/scores"),
        ("/wp-admin.php", "/{}"),
        ("/", "/"),
    ],
)
def test_a_route_has_nobodys_id(path: str, route: str) -> None:
    assert route_of(path) == route


def test_every_path_of_the_contract_is_named_by_itself_whatever_the_ids() -> None:
    for path in json.loads(CONTRACT.read_bytes())["paths"]:
        for name in ("ann", "scores", "players", "%2F", "{id}"):
            asked = re.sub(r"\{\w+\}", name, path)
            assert route_of(asked) == re.sub(r"\{\w+\}", "{}", path), asked


def test_an_id_that_is_a_word_of_another_path_is_still_an_id() -> None:
    assert route_of("/leaderboards/closing/players/scores") == "/leaderboards/{}/players/{}"
    assert route_of("/leaderboards/cup/players/health/scores") == "/leaderboards/{}/players/{}/scores"


def test_without_the_contract_a_route_says_less_and_nobodys_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tracing, "CONTRACT", tmp_path / "none.json")
    _routes.cache_clear()
    try:
        assert route_of("/leaderboards/cup/rankings") == "/{}/{}/{}"
    finally:
        _routes.cache_clear()


def test_without_a_collector_there_is_no_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; import shared.telemetry as t; print(t.traces, 'opentelemetry.sdk.trace' in sys.modules)"
    for name in telemetry.COLLECTORS:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert done.stdout.split() == ["None", "False"]


def test_spans_go_to_the_collector_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "close")
        made = Traces.from_environment()
        made.capture_lambda_handler(lambda event, context: None)(REQUEST, CONTEXT)
        made.shutdown()

    (span,) = collector.spans
    assert span.trace_id.hex() == TRACE
    assert attributes(span)["http.request.method"] == "GET"
    (resource,) = collector.requests[0].resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "close"
