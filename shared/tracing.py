"""Traces by OpenTelemetry, in place of X-Ray's where OTEL_EXPORTER_OTLP_ENDPOINT says where a collector is.

A score event has one trace from its producer to its rank: whoever sends it puts the header `traceparent` into the
record (W3C Trace Context), as `POST …/scores` does, and ingest adds the span in which the event came to count and to
show. Telemetry may be lost, events may not: a collector that fails costs a second, and then nothing for half a minute.

The SDK reads its own variables: OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and the others of
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any, Final

import msgspec
from circuitbreaker import CircuitBreaker, CircuitBreakerError
from msgspec import Struct
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Handler = Callable[..., Any]

EXPORT_TIMEOUT_S: Final = 1
"""How long a collector may take. The SDK's own limit of a flush is not kept (opentelemetry-python, issue 4568)."""
EXPORT_AGAIN_S: Final = 30
"""When a collector that failed is asked again; what ends meanwhile is not exported."""
RECORDS_MAX: Final = 128
"""Records of one call that get a span: as many as a span has links by default."""
CONTRACT: Final = Path(__file__).parents[1] / "functions" / "api" / "openapi.json"
"""The API's contract, which is beside this in whatever has the API: its paths are what requests are named by."""
_BESIDE_IT: Final = frozenset({"", "console", "docs", "openapi.json"})
"""What paths that the contract doesn't know are named by; all else in them may be somebody's id, which no trace has to
know."""
_PARAMETER: Final = "{}"
_NAMED: Final = re.compile(r"{\w+}")


class TracedRecord(Struct, frozen=True):
    """What a trace tells of a record."""

    topic: str
    partition: int
    offset: int
    traceparent: str
    """As its producer wrote it, whatever that is."""
    outcome: str
    """What ingest made of it, e.g. `applied`."""
    failed: bool = False
    """Whether it has to come again."""


class _Guarded(SpanExporter):
    """An exporter that isn't asked for a while once it has failed: each call would wait for it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=EXPORT_AGAIN_S, name="otlp")
        self._guarded = breaker(self._export)

    def export(self, spans: Any) -> SpanExportResult:
        try:
            self._guarded(spans)
        except (CircuitBreakerError, ConnectionError):
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _export(self, spans: Any) -> None:
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector took no spans")

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Traces:
    """What the functions use of a tracer, by OpenTelemetry."""

    def __init__(self, exporter: SpanExporter, service: str) -> None:
        """`service`: name of the function, where OTEL_SERVICE_NAME gives no other."""
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Guarded(exporter)))
        self._tracer = self._provider.get_tracer("exact-leaderboards")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def from_environment(cls) -> "Traces":
        """With the collector that the environment names."""
        limited = {OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT} & os.environ.keys()
        exporter = OTLPSpanExporter(timeout=None if limited else EXPORT_TIMEOUT_S)
        return cls(exporter, os.environ.get("POWERTOOLS_SERVICE_NAME", "service_undefined"))

    def capture_lambda_handler(self, lambda_handler: Handler) -> Handler:
        """Wrap a handler in a span of its own, exported before its environment may be frozen.

        A request belongs to the trace that its header `traceparent` names.
        """

        @wraps(lambda_handler)
        def handle(event: Any, context: Any) -> Any:
            try:
                with self._begin(event, context) as span:
                    answer = lambda_handler(event, context)
                    _describe_answer(span, answer)
                return answer
            finally:
                self._provider.force_flush()

        return handle

    def carrier(self) -> list[tuple[str, str | bytes | None]]:
        """Headers by which a record carries on the trace that is going on; none where there is none."""
        headers: dict[str, str] = {}
        self._propagator.inject(headers)
        return [*headers.items()]

    def processed(self, records: Iterable[TracedRecord], start_ns: int) -> None:
        """Add to the traces of records that they were processed, from `start_ns` (since 1970) until now.

        A record without a trace, or whose producer doesn't sample it, gets no span.
        """
        batch = Link(get_current_span().get_span_context())
        end_ns, left = time.time_ns(), RECORDS_MAX
        for record in records:
            parent = self._parent({"traceparent": record.traceparent})
            if not left or not get_current_span(parent).get_span_context().trace_flags.sampled:
                continue
            left -= 1
            span = self._tracer.start_span(
                f"process {record.topic}",
                context=parent,
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.operation.name": "process",
                    "messaging.destination.name": record.topic,
                    "messaging.destination.partition.id": str(record.partition),
                    "messaging.kafka.offset": record.offset,
                    "leaderboards.outcome": record.outcome,
                },
                links=[batch],
                start_time=start_ns,
            )
            if record.failed:
                span.set_status(StatusCode.ERROR)
            span.end(end_ns)

    def shutdown(self) -> None:
        """End the thread that exports."""
        self._provider.shutdown()

    def _begin(self, event: Any, context: Any) -> Any:
        http = _http(event)
        attributes: dict[str, str | int] = {"faas.invocation_id": str(getattr(context, "aws_request_id", ""))}
        if http is None:
            name = str(getattr(context, "function_name", "invoke"))
            return self._tracer.start_as_current_span(name, context=Context(), attributes=attributes)
        method, path = str(http.get("method")), route_of(str(http.get("path")))
        attributes |= {"http.request.method": method, "http.route": path}
        parent = self._parent(event.get("headers") or {})
        kind = SpanKind.SERVER
        return self._tracer.start_as_current_span(f"{method} {path}", context=parent, kind=kind, attributes=attributes)

    def _parent(self, carrier: Mapping[str, str]) -> Context:
        """The context that a carrier names: an empty one if it names none, or something that is none."""
        return self._propagator.extract(carrier, Context())


def route_of(path: str) -> str:
    """A path without anybody's ids, e.g. `/leaderboards/{}/players/{}`: traces are grouped by it, and know nobody."""
    for pattern, route in _routes():
        if pattern.fullmatch(path):
            return route
    return "/".join(part if part in _BESIDE_IT else _PARAMETER for part in path.split("/"))


class _Contract(Struct):
    paths: dict[str, msgspec.Raw] = {}


@cache
def _routes() -> Sequence[tuple[re.Pattern[str], str]]:
    """What paths look like, and their routes, in the order to be tried; none where the contract is missing.

    A user id may have slashes, so a path may look like another route's; the one that needs none for it is meant.
    """
    try:
        paths = [*msgspec.json.decode(CONTRACT.read_bytes(), type=_Contract).paths]
    except (OSError, msgspec.DecodeError):
        return []
    paths.sort(key=lambda path: path.count("{") - path.count("/"))
    return [
        (re.compile(_NAMED.sub("[^/]+", path.replace("{userId}", user_id)), re.DOTALL), _NAMED.sub(_PARAMETER, path))
        for user_id in ("{userId}", ".+")
        for path in paths
    ]


def _http(event: Any) -> Any:
    context = event.get("requestContext") if isinstance(event, dict) else None
    return context.get("http") if isinstance(context, dict) else None


def _describe_answer(span: Span, answer: Any) -> None:
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, int):
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
