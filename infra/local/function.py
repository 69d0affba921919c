"""Invoking a function's handler in this process as the Lambda runtime does."""

import importlib
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from infra.local.config import ACCOUNT, REGION

Handler = Callable[[Any, Any], Any]

MEMORY_MB: Final = 1024


class Context:
    """What a handler may ask of its invocation (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html)."""

    def __init__(self, function_name: str, timeout_ms: int) -> None:
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function_name}"
        self.memory_limit_in_mb = MEMORY_MB
        self.aws_request_id = str(uuid4())
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "local"
        self._deadline = time.monotonic() + timeout_ms / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the invocation."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class Function:
    """A function by the dotted name of its handler, as template.yaml and the image's command name it."""

    def __init__(self, handler: str, timeout_ms: int) -> None:
        module, _, attribute = handler.rpartition(".")
        self._handler: Handler = getattr(importlib.import_module(module), attribute)
        self.name = module.split(".")[-2]
        self._timeout_ms = timeout_ms

    def __call__(self, event: Any) -> Any:
        """Invoke it; raises what the handler raises. The context reports the timeout; it is not enforced."""
        return self._handler(event, Context(self.name, self._timeout_ms))
