"""Logger, tracer and every metric, the same in every function. Powertools reads its own POWERTOOLS_* variables."""

import os
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.functions import is_metrics_disabled
from aws_lambda_powertools.shared.functions import resolve_truthy_env_var_choice
from msgspec import Struct

if TYPE_CHECKING:
    from shared.tracing import Traces  # loads OpenTelemetry, for who asks for it

Handler = Callable[..., Any]


class Metric(StrEnum):
    """Every metric that functions write to CloudWatch: a count, or in ms where its line says so."""

    APPLIED = "Applied"
    """Ingest: records whose event counts since this call."""
    DUPLICATE = "Duplicate"
    """Ingest: records whose event counted before."""
    REJECTED = "Rejected"
    """Ingest: records sent to the dead-letter queue; also by reason."""
    UNREGISTERED = "Unregistered"
    """Ingest: records sent to the dead-letter queue that its register doesn't show."""
    KEY_MISMATCH = "KeyMismatch"
    """Ingest: records of events whose key is not `<leaderboardId>:<userId>`, whatever becomes of them."""
    RETRY = "Retry"
    """Ingest: records that come again."""
    CACHE_REFUSED = "CacheRefused"
    """Ingest, repair: writes that the cache rejected."""
    INGEST_DELAY = "IngestDelay"
    """Ingest: ms from the append of the oldest applied record of a call to the end of the call."""
    ANSWERED = "Answered"
    """API: answers, by the class of their status, 2xx to 5xx."""
    LATENCY = "Latency"
    """API: ms that a request took, long polls aside."""
    WAITED = "Waited"
    """API: ms that a long poll took."""
    REPAIRED = "Repaired"
    """Repair: entries of windows that were older than the truth."""
    SNAPSHOTS = "Snapshots"
    """Repair: snapshots written."""
    BOARDS_UNCHECKED = "BoardsUnchecked"
    """Repair, close: leaderboards that a scheduled run had no time for."""
    WINDOWS_FINAL = "WindowsFinal"
    """Close: windows that became final."""
    BLOCKED = "Blocked"
    """Close: days and windows that are due and cannot be closed; also by cause."""
    CLOSING_DELAY = "ClosingDelay"
    """Close: ms that the longest of what is due has waited."""
    PROFILES_DROPPED = "ProfilesDropped"
    """Ingest: profiles of events that were invalid; the events count."""
    ARCHIVED_OWING = "ArchivedOwing"
    """Close: archived leaderboards with days to seal or work to do."""
    LOST = "Lost"
    """Close: 1 while a loss of records is recorded."""
    TOPIC_MISCONFIGURED = "TopicMisconfigured"
    """Close: settings of the topic that are wrong."""
    EXPORTED_ROWS = "ExportedRows"
    """Export: rows written."""
    REDRIVEN = "Redriven"
    """Redrive: records sent back to the topic."""


DURATIONS: Final = frozenset({Metric.INGEST_DELAY, Metric.LATENCY, Metric.WAITED, Metric.CLOSING_DELAY})
"""Metrics in ms."""


COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables that name a collector of OpenTelemetry; traces go there in place of X-Ray."""


class HandlerTracer(Protocol):
    """What the functions use of Powertools' tracer."""

    def capture_lambda_handler(self, lambda_handler: Handler) -> Handler:
        """Wrap a handler in a segment of its own."""


class Untraced:
    """In the tracer's place where tracing is off.

    Powertools' own loads X-Ray's SDK even so, which makes a client for its sampler: a fifth of what a function takes to
    start.
    """

    def capture_lambda_handler(self, lambda_handler: Handler) -> Handler:
        """Leave the handler as it is."""
        return lambda_handler


def _traces() -> "Traces | None":
    if not any(os.environ.get(name) for name in COLLECTORS):
        return None
    from shared.tracing import Traces  # noqa: PLC0415 - see above

    return Traces.from_environment()


def _tracer() -> HandlerTracer:
    if traces is not None:
        return traces
    if resolve_truthy_env_var_choice(env=os.environ.get("POWERTOOLS_TRACE_DISABLED", "false")):
        return Untraced()
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - see above

    tracer: HandlerTracer = Tracer()
    return tracer


logger = Logger()
metrics = Metrics()
traces = _traces()
"""OpenTelemetry's; None where no collector is named."""
tracer = _tracer()


class Measured(Struct, frozen=True):
    """One value of a metric."""

    metric: Metric
    value: float
    by: str | None = None
    """The part of the metric that is counted apart."""

    @property
    def name(self) -> str:
        """As CloudWatch shows it."""
        return self.metric.value if self.by is None else f"{self.metric}_{self.by}"

    @property
    def unit(self) -> MetricUnit:
        """In what it is counted."""
        return _unit(self.metric)


def write(*measured: Measured) -> None:
    """Write values of metrics at once, in the line that `metrics.log_metrics` would write at the end of the call.

    For a function whose calls take less than Powertools takes to collect, check and encode their metrics.
    """
    if is_metrics_disabled():
        return
    defined = [{"Name": one.name, "Unit": one.unit.value} for one in measured]
    service = metrics.provider.service
    own = {"service": service} if service else {}
    published = {"Namespace": metrics.provider.namespace, "Dimensions": [[*own]], "Metrics": defined}
    head = {"_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [published]}}
    line = head | own | {one.name: [float(one.value)] for one in measured}
    sys.stdout.write(f"{msgspec.json.encode(line).decode()}\n")


def _unit(metric: Metric) -> MetricUnit:
    return MetricUnit.Milliseconds if metric in DURATIONS else MetricUnit.Count


def measure(metric: Metric, value: float, by: str | None = None) -> None:
    """Write a value of a metric; `by` names the part of it that is counted apart, e.g. in `Rejected_too_late`."""
    one = Measured(metric, value, by)
    metrics.add_metric(one.name, one.unit, value)
