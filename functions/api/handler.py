"""The HTTP API. Triggered by API Gateway (HTTP API, payload 2.0); reads the cache and DynamoDB, writes definitions."""

from shared import startup

# isort: split

import time
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext
from mangum import Mangum

from functions.api.app import create_app
from functions.api.direct import DirectReads
from functions.api.gateway import HttpApi
from shared import settings
from shared.assembly import Assembly
from shared.telemetry import Measured, Metric, logger, tracer, write

WAITED: Final = "preference-applied"
"""Header of an answer that was held back because the client asked for it (RFC 7240)."""

assembly: Final = Assembly(settings.load(), is_waited_for=True)
_app: Final = create_app(assembly)
_direct: Final = DirectReads(_app, assembly.now_ms)
_serve: Final = Mangum(_app, lifespan="off", custom_handlers=[HttpApi])
_ = assembly.rankings  # what makes the clients that a first read would wait for
startup.settle()


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request. Metrics: Answered_2xx to Answered_5xx; in ms Latency, or Waited where the client asked to."""
    start = time.perf_counter()
    answer = _direct.serve(event, context)
    if answer is None:
        answer = _serve(event, context)  # type: ignore[arg-type]  # the two libraries type one object differently
    duration_ms = (time.perf_counter() - start) * 1000
    answered = Measured(Metric.ANSWERED, 1, by=f"{answer['statusCode'] // 100}xx")
    if WAITED in answer["headers"]:
        write(answered, Measured(Metric.WAITED, duration_ms))
    else:
        write(answered, Measured(Metric.LATENCY, duration_ms))
    startup.settle_after_first_call()
    return answer
