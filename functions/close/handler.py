"""Closing of buckets and windows. Triggered by a schedule; asks Kafka, reads Redis, writes DynamoDB and S3."""

from collections import Counter
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.observability import logger, metrics, tracer
from shared.pipeline.closing import Cause, Run
from shared.wiring import Wiring, now_ms

WINDOW_TIME_MS: Final = 120_000
"""Time that a window may take; with less of it left, the rest is for the next run."""

wiring = Wiring(settings.load())


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Close what can be closed, finish what is due; note how far the commits are behind, for a scrape.

    Metrics: WindowsFinal, Blocked and for each cause Blocked_<cause>, ClosingDelay in ms of what has waited longest.
    """
    wiring.lag.note()
    if wiring.settings.kafka_timestamp_type != "LOG_APPEND_TIME":
        logger.warning("nothing is closed on the word of producers' clocks")
        return {"final": 0, "blocked": 0}
    run = wiring.closing.run(lambda: context.get_remaining_time_in_millis() > WINDOW_TIME_MS)
    _measure(run)
    return {"final": len(run.finals), "blocked": len(run.blocked)}


def _measure(run: Run) -> None:
    causes = Counter(one.cause for one in run.blocked)
    metrics.add_metric("WindowsFinal", MetricUnit.Count, len(run.finals))
    metrics.add_metric("Blocked", MetricUnit.Count, len(run.blocked))
    for cause in Cause:
        metrics.add_metric(f"Blocked_{cause}", MetricUnit.Count, causes[cause])
    metrics.add_metric("ClosingDelay", MetricUnit.Milliseconds, run.delay_ms(now_ms()))
    for final in run.finals:
        logger.info(
            "window final",
            extra={"leaderboard": final.leaderboard_id, "window": final.window_id, "players": final.players},
        )
    for one in run.blocked:
        logger.warning(
            "not closed",
            extra={"leaderboard": one.leaderboard_id, "what": one.what, "cause": one.cause, "detail": one.detail},
        )
