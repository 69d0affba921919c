"""Closing of days and windows. Triggered by a schedule; asks Kafka, reads the cache, writes DynamoDB and S3.

An operator may also invoke it by hand, to acknowledge records that the topic has lost.
"""

from shared import startup

# isort: split

from collections import Counter
from typing import Annotated, Any, Final

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Assembly, now_ms
from shared.closing.runs import Cause, ClosingRun
from shared.telemetry import Metric, logger, measure, metrics, tracer
from shared.truth.counters import Function, Run, RunNote
from shared.truth.failures import Unavailable

WINDOW_TIME_MS: Final = 120_000
"""Time that a window may take; with less than that left, the run ends and the next one does the rest."""
OFF: Final = "no day is sealed: records carry producers' timestamps"

ARCHIVED_TOLD_MAX: Final = 100
"""Archived leaderboards that one line of the log names."""

assembly = Assembly(settings.load())
startup.settle()


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accepts that records are lost for good: docs/runbook.md, records-lost."""

    partition: Annotated[int, msgspec.Meta(ge=0)]
    until: Annotated[int, msgspec.Meta(ge=1)]
    """The first offset that the partition still has."""
    topic: str | None = None
    """A former topic; the current one if None."""


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Seal days and finalize windows that are due; or acknowledge the loss that the event names.

    Also records, for metrics and `GET /health`, the lag of each partition and what is wrong with the topic's settings;
    and, for `GET …/closing`, what the run found blocked.

    Metrics: WindowsFinal, Blocked and for each cause Blocked_<cause>, ClosingDelay in ms of what has waited longest,
    Lost: 1 while a loss is recorded, TopicMisconfigured: how many settings of the topic are wrong,
    BoardsUnchecked: leaderboards for which the run had no time, ArchivedOwing: archived ones that owe something.

    Raises:
        ExceptionGroup: at the end of the run, with the unexpected error of each leaderboard that had one.
    """
    with assembly.telemetry.counting_errors(Function.CLOSE):
        return _close(event, context)


def _close(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    if "acknowledge" in event:
        lost = msgspec.convert(event["acknowledge"], Acknowledgement)
        assembly.coverage.acknowledge(lost.partition, lost.until, lost.topic)
        logger.warning("loss acknowledged", extra={"partition": lost.partition, "until": lost.until})
        return {"partition": lost.partition, "until": lost.until}
    started_ms = now_ms()
    assembly.lag.record()
    if assembly.settings.kafka_timestamp_type != "LOG_APPEND_TIME":
        logger.warning(OFF)
        assembly.report_recorder.record_off(OFF, started_ms)
        return {"final": 0, "blocked": 0}
    wrong = assembly.lag.check_settings()
    measure(Metric.TOPIC_MISCONFIGURED, len(wrong))
    if wrong:
        logger.error("settings of the topic are wrong", extra={"wrong": wrong})
    run = assembly.closing.run(lambda: context.get_remaining_time_in_millis() > WINDOW_TIME_MS)
    _measure(run)
    assembly.report_recorder.record(run, started_ms)
    if run.errors:
        raise ExceptionGroup(f"{len(run.errors)} leaderboards failed", run.errors)
    return {"final": len(run.final_results), "blocked": len(run.blocked)}


def _measure(run: ClosingRun) -> None:
    causes = Counter(one.cause for one in run.blocked)
    measure(Metric.WINDOWS_FINAL, len(run.final_results))
    measure(Metric.BLOCKED, len(run.blocked))
    for cause in Cause:
        measure(Metric.BLOCKED, causes[cause], by=cause)
    measure(Metric.BOARDS_UNCHECKED, run.unchecked)
    measure(Metric.LOST, int(run.lost is not None))
    ended_ms = now_ms()
    delay_ms = run.delay_ms(ended_ms)
    measure(Metric.CLOSING_DELAY, delay_ms)
    blocked = {str(cause): causes[cause] for cause in Cause}
    note = RunNote(ended_ms, run.unchecked, delay_ms, blocked, run.lost is not None)
    assembly.telemetry.record_run(Run.CLOSE, note)
    _tell_archived(run)
    if run.lost is not None:
        logger.error("records lost", extra={"detail": run.lost.detail})
    for final in run.final_results:
        logger.info(
            "window final",
            extra={
                "leaderboard": final.leaderboard_id,
                "window": final.window_id,
                "version": final.version,
                "players": final.players,
            },
        )
    for one in run.blocked:
        logger.warning(
            "blocked",
            extra={"leaderboard": one.leaderboard_id, "what": one.what, "cause": one.cause, "detail": one.detail},
        )


def _tell_archived(run: ClosingRun) -> None:
    owing = sorted(run.archived_owing)
    measure(Metric.ARCHIVED_OWING, len(owing))
    if owing:
        logger.info("archived leaderboards owe something", extra={"leaderboards": owing[:ARCHIVED_TOLD_MAX]})
    try:
        assembly.telemetry.record_archived_owing(len(owing))
    except Unavailable as unavailable:  # the run is done: a missing gauge is no reason to do it again
        logger.warning("archived leaderboards not recorded for a scrape", extra={"error": str(unavailable)})
