"""Repairs windows in the cache, builds those that readers asked for, and writes snapshots.

Triggered by two queues and two schedules; reads and writes DynamoDB and the cache.
"""

from shared import startup

# isort: split

from typing import Any, Final

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Assembly, now_ms
from shared.cache.errors import CacheRefused
from shared.rebuild.requests import RepairPlayers, decode_request
from shared.rotation import Failed, HasTime
from shared.telemetry import Metric, logger, measure, metrics, tracer
from shared.truth.commits import Unavailable
from shared.truth.counters import REFUSED, Function, Run, RunNote

LEADERBOARD_TIME_MS: Final = 60_000
"""Time that one leaderboard may take; with less left, the others are left to the next run."""

assembly = Assembly(settings.load())
startup.settle()


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Carry out the requests of a batch of messages, or the task of a schedule.

    A message that fails is delivered again, and goes to the queue's own dead-letter queue after its last attempt. An
    event without records comes from a schedule or an operator. Its task is one of

    - `snapshots`: write snapshots of the windows that changed;
    - `forget`: forget all that the cache holds, then run anti-entropy, for an operator who set the tables back;
    - none: run anti-entropy.

    Metrics: Repaired; Snapshots; CacheRefused; BoardsUnchecked: leaderboards for which a schedule's run had no time.

    Raises:
        ExceptionGroup: if a task failed for some leaderboards; all others are done.
    """
    with assembly.telemetry.counting_errors(Function.REPAIR):
        if "Records" not in event:
            _run(event.get("task"), lambda: context.get_remaining_time_in_millis() > LEADERBOARD_TIME_MS)
            return {"batchItemFailures": []}
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, _repair, processor, context)


def _run(task: str | None, has_time: HasTime) -> None:
    errors: list[Exception] = []

    def failed(leaderboard_id: str, error: Exception) -> None:
        logger.error("leaderboard failed", exc_info=error, extra={"leaderboard": leaderboard_id})
        errors.append(error)

    match task:
        case "snapshots":
            left = _take_snapshots(failed, has_time)
        case "forget":
            logger.warning("cache forgotten", extra={"leaderboards": assembly.repair.forget()})
            left = _anti_entropy(failed, has_time)
        case _:
            left = _anti_entropy(failed, has_time)
    measure(Metric.BOARDS_UNCHECKED, left)
    run = Run.SNAPSHOTS if task == "snapshots" else Run.ANTI_ENTROPY
    assembly.telemetry.record_run(run, RunNote(now_ms(), unchecked=left))
    _count_refused(sum(isinstance(error, CacheRefused) for error in errors))
    if errors:
        raise ExceptionGroup(f"{len(errors)} leaderboards failed", errors)


def _repair(record: SQSRecord) -> None:
    request = decode_request(record.body)
    try:
        repaired = assembly.repair.handle(request)
    except CacheRefused as refused:
        extra = {"leaderboard": request.leaderboard_id, "withdrawn": refused.withdrawn}
        logger.error("cache refuses standings", exc_info=refused, extra=extra)
        _count_refused(1)
        if isinstance(request, RepairPlayers) and refused.withdrawn:
            return  # no read takes the windows for live until a rebuild, which applies these players, too
        raise
    _count_repaired(repaired)
    extra = {"leaderboard": request.leaderboard_id, "repaired": repaired, "request": type(request).__name__}
    logger.info("repair request done", extra=extra)


def _take_snapshots(failed: Failed, has_time: HasTime) -> int:
    taken, left = assembly.repair.take_snapshots(failed, has_time)
    measure(Metric.SNAPSHOTS, taken)
    return left


def _anti_entropy(failed: Failed, has_time: HasTime) -> int:
    repaired, left = assembly.repair.anti_entropy(failed, has_time)
    _count_repaired(sum(repaired.values()))
    if any(repaired.values()):
        logger.warning("the cache had drifted", extra={"repaired": {name: n for name, n in repaired.items() if n}})
    return left


def _count_refused(refused: int) -> None:
    measure(Metric.CACHE_REFUSED, refused)
    assembly.telemetry.count({REFUSED[Function.REPAIR]: refused})


def _count_repaired(repaired: int) -> None:
    measure(Metric.REPAIRED, repaired)
    try:
        if repaired:
            assembly.telemetry.count_repaired(repaired)
    except Unavailable as unavailable:  # the repair is done: a missing count is no reason to do it again
        extra = {"repaired": repaired, "error": str(unavailable)}
        logger.warning("repaired entries not counted for a scrape", extra=extra)
