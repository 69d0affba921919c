"""Exports of whole rankings. Triggered by the export-jobs queue; reads DynamoDB, writes S3 and the registry."""

from shared import startup

# isort: split

from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Assembly
from shared.exports.jobs import ExportMessage
from shared.telemetry import Metric, logger, measure, metrics, tracer
from shared.truth.counters import ERRORS, Function
from shared.truth.export_jobs import JobTaken

assembly = Assembly(settings.load())
startup.settle()


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Make the files of export jobs. A failed job is delivered again; so is one that another process runs: it may die.

    Metrics: ExportedRows.
    """
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event, _export, processor, context)


def _export(record: SQSRecord) -> None:
    message = msgspec.json.decode(record.body, type=ExportMessage)
    try:
        job = assembly.export_runner.run(message.leaderboard_id, message.export_id)
    except JobTaken:
        logger.info("another process runs the export", extra={"export": message.export_id})
        raise
    except Exception:
        logger.exception("export failed", extra={"export": message.export_id})
        assembly.telemetry.count({ERRORS[Function.EXPORT]: 1})
        raise
    if job is None:
        logger.warning("no such export", extra={"export": message.export_id})
        return
    measure(Metric.EXPORTED_ROWS, job.rows_written)
    logger.info("export ended", extra={"export": job.id, "state": job.state, "rows": job.rows, "error": job.error})
