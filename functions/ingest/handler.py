"""Score events from the topic into the truth and the live windows.

Triggered by Lambda's Kafka event source mapping with partial batch responses; writes DynamoDB, the cache, SQS.
"""

from shared import startup

# isort: split

import time
from binascii import a2b_base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.kafka_event import KafkaEventRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Assembly, now_ms
from shared.domain.records import Record, Source
from shared.ingest.outcomes import Candidate, OutcomeKind, Rejected, Retry
from shared.telemetry import Metric, logger, measure, metrics, tracer, traces
from shared.truth.counters import REFUSED, THROTTLED, Function

if TYPE_CHECKING:
    from shared.tracing import TracedRecord  # loads OpenTelemetry, for who asks for it

RESERVE_MS: Final = 20_000
"""Time kept for one more round of the slowest kind, the cache, the dead-letter queue and the place in the topic."""

assembly = Assembly(settings.load())
_ = assembly.dynamodb, assembly.cache  # the clients that a first batch would wait for
startup.settle()


class NotSettled(Exception):
    """A record that has to come again."""


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process a batch; names the records that have to come again.

    Of each partition these are the first that failed and all that follow it: the ones behind it may be settled, but
    that is not recorded, and what is handed over next has to follow on what is recorded. A trigger may repeat a
    partition from the first of them, or just those that are named.
    """
    with assembly.telemetry.counting_errors(Function.INGEST):
        return _ingest(event, context)


def _ingest(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    start_ns = time.time_ns()
    candidates = assembly.ingest.ingest(_records(event), lambda: context.get_remaining_time_in_millis() > RESERVE_MS)
    _measure(candidates)
    if traces is not None:
        traces.processed(_traced(event, candidates), start_ns)
    failed_from: dict[tuple[str, int], tuple[int, str]] = {}
    for candidate in candidates:  # those of a partition come in the order of their offsets
        if isinstance(candidate.outcome, Retry):
            source = candidate.record.source
            failed_from.setdefault((source.topic, source.partition), (source.offset, candidate.outcome.cause))
    if not failed_from:  # the processor makes an object of each record
        return {"batchItemFailures": []}

    def check(record: KafkaEventRecord) -> None:
        offset, cause = failed_from.get((record.topic, record.partition), (None, ""))
        if offset is not None and record.offset >= offset:
            raise NotSettled(cause)

    processor = BatchProcessor(event_type=EventType.Kafka, raise_on_entire_batch_failure=False)
    return process_partial_response(event, check, processor, context)


def _records(event: dict[str, Any]) -> list[Record]:
    records = []
    trusted = ("LOG_APPEND_TIME", assembly.settings.kafka_timestamp_type)
    for partition in event["records"].values():
        for raw in partition:
            source = Source(raw["topic"], raw["partition"], raw["offset"], raw["timestamp"])
            is_stamped = raw["timestampType"] in trusted
            records.append(Record(source, _decode(raw.get("key")), _decode(raw.get("value")), is_stamped))
    return records


def _traced(event: dict[str, Any], candidates: list[Candidate]) -> Iterator["TracedRecord"]:
    """The records that carry a trace."""
    from shared.tracing import TracedRecord  # noqa: PLC0415 - see above

    sources = ((one.record.source, one.kind) for one in candidates)
    kinds = {(source.topic, source.partition, source.offset): kind for source, kind in sources}
    for raw in (raw for partition in event["records"].values() for raw in partition):
        parents = [header["traceparent"] for header in raw.get("headers", ()) if header.get("traceparent")]
        if parents:
            place = raw["topic"], raw["partition"], raw["offset"]
            text = bytes(one & 0xFF for one in parents[0]).decode(errors="replace")  # bytes come signed, as Java's are
            yield TracedRecord(*place, text, str(kinds[place]), failed=kinds[place] is OutcomeKind.RETRY)


def _decode(encoded: str | None) -> bytes | None:
    return None if encoded is None else a2b_base64(encoded)  # what `base64` calls, at three times the CPU


def _measure(candidates: list[Candidate]) -> None:
    """Metrics: Applied, Duplicate, Retry, Rejected (and by reason), Unregistered, KeyMismatch, ProfilesDropped,
    CacheRefused, IngestDelay.
    """
    counts = dict.fromkeys(OutcomeKind, 0)
    rejected: dict[str, int] = {}
    failures: dict[str, int] = {}
    oldest_ms: int | None = None
    mismatched = 0
    for candidate in candidates:
        outcome = candidate.outcome
        if outcome is None:
            raise RuntimeError(f"record {candidate.record.source} was left without outcome")
        counts[outcome.kind] += 1
        mismatched += candidate.has_wrong_key and outcome.kind is not OutcomeKind.RETRY
        if isinstance(outcome, Retry):
            failures[outcome.cause] = failures.get(outcome.cause, 0) + 1
        elif isinstance(outcome, Rejected):
            code = str(outcome.rejection.reason)
            rejected[code] = rejected.get(code, 0) + 1
        elif outcome.kind is OutcomeKind.APPLIED:
            appended_at_ms = candidate.record.source.appended_at_ms
            oldest_ms = appended_at_ms if oldest_ms is None else min(oldest_ms, appended_at_ms)
    for kind, count in counts.items():
        measure(Metric(kind.capitalize()), count)
    for code, count in rejected.items():
        measure(Metric.REJECTED, count, by=code)
    if rejected:
        measure(Metric.UNREGISTERED, assembly.letters.take_unregistered())
    measure(Metric.KEY_MISMATCH, mismatched)
    if dropped := assembly.event_profiles.take_dropped():
        measure(Metric.PROFILES_DROPPED, dropped)
    refusals = assembly.projector.take_refusals()
    measure(Metric.CACHE_REFUSED, refusals)
    throttled = {THROTTLED[table]: count for table, count in assembly.commits.take_throttled().items()}
    assembly.telemetry.count({REFUSED[Function.INGEST]: refusals, **throttled})
    if oldest_ms is not None:
        measure(Metric.INGEST_DELAY, max(0, now_ms() - oldest_ms))
    if rejected or failures:
        logger.warning("records not applied", extra={"rejected": rejected, "failures": failures})
