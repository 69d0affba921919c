"""Logger, metrics and tracer, the same in every function. Powertools reads its own POWERTOOLS_* variables."""

import os
from collections.abc import Callable
from typing import Any, Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.shared.functions import resolve_truthy_env_var_choice

Handler = Callable[..., Any]


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


def _tracer() -> HandlerTracer:
    if resolve_truthy_env_var_choice(env=os.environ.get("POWERTOOLS_TRACE_DISABLED", "false")):
        return Untraced()
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - see above

    tracer: HandlerTracer = Tracer()
    return tracer


logger = Logger()
metrics = Metrics()
tracer = _tracer()
