"""What keeps who waits for an answer from waiting for a DynamoDB that does not answer: a breaker and a budget.

It is hooked into botocore's own events, below its retries: each attempt is counted, and the next one may not be made.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from circuitbreaker import CircuitBreaker

from shared.breakers import BreakerState, worst_state

SILENT: Final = (ConnectTimeoutError, ReadTimeoutError, EndpointConnectionError)
"""What an attempt without an answer ends in. A connection that was closed while it idled is none of these, and neither
is throttling: a server that answers is not hanging."""


class LeftAlone(BotoCoreError):
    """A request that was not sent. botocore does not retry it."""

    fmt = "DynamoDB is not asked: {why}"


class Guard:
    """Decides before each attempt whether it is made."""

    def __init__(
        self, breaker: CircuitBreaker, budget_ms: int, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """`breaker` counts attempts in a row that end in `SILENT`; `budget_ms` is how long attempts may begin."""
        self._breaker = breaker
        self._budget_ms = budget_ms
        self._monotonic_s = monotonic_s
        self._until_s: float | None = None

    @property
    def breaker_state(self) -> BreakerState:
        """The state of this function's breaker. Nothing is asked."""
        return worst_state([self._breaker])

    def begin(self, longer_ms: int = 0) -> None:
        """Begin the budget of a request, which may take so much longer because its client has asked to wait."""
        self._until_s = self._monotonic_s() + (self._budget_ms + longer_ms) / 1000

    def watch(self, client: Any) -> None:
        """Guard every attempt of a client of botocore."""
        client.meta.events.register("before-send.dynamodb", self.before)
        client.meta.events.register("response-received.dynamodb", self.after)

    def before(self, **_: Any) -> None:
        """Raises LeftAlone for an attempt that is not to be made."""
        if self._breaker.opened:
            raise LeftAlone(why="it has left several requests in a row without an answer")
        if self._until_s is not None and self._monotonic_s() > self._until_s:
            raise LeftAlone(why="the request has used up the time that it may wait")

    def after(self, exception: Exception | None = None, **_: Any) -> None:
        """Count an attempt that was made."""
        if isinstance(exception, LeftAlone):
            return
        with suppress(*SILENT), self._breaker:
            if isinstance(exception, SILENT):
                raise exception
