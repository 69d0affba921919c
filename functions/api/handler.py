"""The HTTP API. Triggered by API Gateway (HTTP API, payload 2.0); reads the cache and DynamoDB, writes definitions."""

from shared import startup

# isort: split

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.direct import DirectReads, Reads
from functions.api.security import Guard
from shared import settings
from shared.assembly import Assembly
from shared.telemetry import Measured, Metric, logger, tracer, write

WAITED: Final = "preference-applied"
"""Header of an answer that was held back because the client asked for it (RFC 7240)."""

assembly: Final = Assembly(settings.load(), is_waited_for=True)
_reads: Final = Reads(assembly, assembly.now_ms)
_direct: Final = DirectReads(_reads, assembly, assembly.now_ms)
_ = assembly.rankings  # what makes the clients that a first read would wait for


@cache
def _application() -> tuple[Callable[[Any, Any], dict[str, Any]], Guard]:
    """All other routes, with the framework: loaded for the first request that needs it, as most processes only read."""
    from mangum import Mangum  # noqa: PLC0415 - see above

    from functions.api.app import create_app  # noqa: PLC0415 - see above
    from functions.api.gateway import HttpApi  # noqa: PLC0415 - see above

    app = create_app(assembly, assembly.now_ms, _reads)
    served = Mangum(app, lifespan="off", custom_handlers=[HttpApi])
    startup.settle()
    return served, Guard(app.routes)


def _serve(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return _application()[0](event, context)


def _route(event: dict[str, Any]) -> str:
    """Of a request that the application has served."""
    http = event["requestContext"]["http"] if event.get("version") == "2.0" else {"method": "", "path": ""}
    return _application()[1].route(http["method"], event.get("rawPath") or "/")


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency":
    _application()  # nobody waits for it here
startup.settle()


@tracer.capture_lambda_handler
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request. Metrics: Answered_2xx to Answered_5xx; in ms Latency, or Waited where the client asked to."""
    start = time.perf_counter()
    answer = _direct.serve(event, context)
    is_direct = answer is not None
    if answer is None:
        answer = _serve(event, context)
    duration_ms = (time.perf_counter() - start) * 1000
    answered = Measured(Metric.ANSWERED, 1, by=f"{answer['statusCode'] // 100}xx")
    if WAITED in answer["headers"]:
        write(answered, Measured(Metric.WAITED, duration_ms))
    else:
        write(answered, Measured(Metric.LATENCY, duration_ms))
    route = _direct.route if is_direct else _route(event)
    assembly.answer_counts.count(route, answer["statusCode"], duration_ms / 1000, waited=WAITED in answer["headers"])
    startup.settle_after_first_call()
    return answer
