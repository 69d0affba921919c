"""Repair of the live windows, and their snapshots. Triggered by the cache-repair queue and by two schedules; reads and
writes DynamoDB and Redis.
"""

from typing import Any, Final

import msgspec
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Wiring
from shared.cache.windows import CacheRefused
from shared.messaging.queues import RepairRequest
from shared.rebuild.anti_entropy import Failed
from shared.rotation import HasTime
from shared.telemetry import logger, metrics, tracer
from shared.truth.commits import Unavailable

LEADERBOARD_TIME_MS: Final = 60_000
"""Time that a leaderboard may take; with less of it left, the rest is for the next run."""

wiring = Wiring(settings.load())


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Carry out repair requests; what fails comes again, and ends on the queue's own dead-letter queue.

    An event without records is a schedule's: its task is `snapshots`, or else all live windows are brought up to the
    truth. The task `forget` is for whoever has set the tables back: before that, all that the cache holds goes.
    Raises, at the end, whatever kept a leaderboard from that and will not pass by itself.

    Metrics: Repaired; Snapshots; CacheRefused; BoardsUnchecked: leaderboards for which a schedule's run had no time.
    """
    if "Records" not in event:
        _run(event.get("task"), lambda: context.get_remaining_time_in_millis() > LEADERBOARD_TIME_MS)
        return {"batchItemFailures": []}
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, _repair, processor, context)


def _run(task: str | None, has_time: HasTime) -> None:
    errors: list[Exception] = []

    def failed(leaderboard_id: str, error: Exception) -> None:
        logger.error("leaderboard not looked after", exc_info=error, extra={"leaderboard": leaderboard_id})
        errors.append(error)

    match task:
        case "snapshots":
            left = _take_snapshots(failed, has_time)
        case "forget":
            logger.warning("cache forgotten", extra={"leaderboards": wiring.repair.forget()})
            left = _anti_entropy(failed, has_time)
        case _:
            left = _anti_entropy(failed, has_time)
    metrics.add_metric("BoardsUnchecked", MetricUnit.Count, left)
    _count_refused(sum(isinstance(error, CacheRefused) for error in errors))
    if errors:
        raise ExceptionGroup(f"{len(errors)} leaderboards were not looked after", errors)


def _repair(record: SQSRecord) -> None:
    request = msgspec.json.decode(record.body, type=RepairRequest)
    try:
        mended = wiring.repair.repair(request)
    except CacheRefused as refused:
        extra = {"leaderboard": request.leaderboard_id, "withdrawn": refused.withdrawn}
        logger.error("cache refuses standings", exc_info=refused, extra=extra)
        _count_refused(1)
        if request.players and refused.withdrawn:
            return  # a rebuild reads them: until then no read takes what the cache has for live
        raise
    _count(mended)
    logger.info("repaired", extra={"leaderboard": request.leaderboard_id, "mended": mended, "rebuild": request.rebuild})


def _take_snapshots(failed: Failed, has_time: HasTime) -> int:
    taken, left = wiring.repair.take_snapshots(failed, has_time)
    metrics.add_metric("Snapshots", MetricUnit.Count, taken)
    return left


def _anti_entropy(failed: Failed, has_time: HasTime) -> int:
    mended, left = wiring.repair.anti_entropy(failed, has_time)
    _count(sum(mended.values()))
    if any(mended.values()):
        logger.warning("live windows had drifted", extra={"mended": {name: n for name, n in mended.items() if n}})
    return left


def _count_refused(refused: int) -> None:
    metrics.add_metric("CacheRefused", MetricUnit.Count, refused)


def _count(mended: int) -> None:
    metrics.add_metric("Repaired", MetricUnit.Count, mended)
    try:
        if mended:
            wiring.telemetry.count_repaired(mended)
    except Unavailable as unavailable:  # what was mended need not be mended again for that
        logger.warning("mended parts not counted for a scrape", extra={"mended": mended, "error": str(unavailable)})
