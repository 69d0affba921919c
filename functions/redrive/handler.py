"""Dead letters back to the topic. Invoked by hand; reads and strikes SQS and S3, writes Kafka."""

from shared import startup

# isort: split

from typing import Any, Final

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared import settings
from shared.assembly import Assembly
from shared.messaging.dead_letters import RedriveFilter
from shared.telemetry import Metric, logger, measure, metrics, tracer

BATCH_TIME_MS: Final = 90_000
"""Time that one batch may take; with less of it left, the rest stays for the next run."""

assembly = Assembly(settings.load())
startup.settle()


class InvalidChoice(ValueError):
    """The event names something that letters can't be chosen by; the message says which and what it takes."""


@metrics.log_metrics
@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send letters back, chosen by `reason` or `leaderboardId` or both; all of them without.

    Returns how many records were `sent`, how many chosen letters `failed`, were `left` or are `tooLate` for their day,
    and whether the queue was read to its end: `complete`. Metric: Redriven.
    """
    try:
        choice = msgspec.convert(event, RedriveFilter)
    except msgspec.ValidationError as error:
        raise InvalidChoice(str(error)) from None
    done = assembly.redrive.run(choice, lambda: context.get_remaining_time_in_millis() > BATCH_TIME_MS)
    measure(Metric.REDRIVEN, done.sent)
    logger.info("redriven", extra={"choice": msgspec.to_builtins(choice), "outcome": msgspec.to_builtins(done)})
    return msgspec.to_builtins(done)  # type: ignore[no-any-return]
