"""Metrics: the service's state and what its functions count, as Prometheus scrapes them.

All of it stands in DynamoDB, the cache or a queue, so that every instance shows the same. What belongs to single calls
(latency, failures, freshness of a batch) goes to CloudWatch in the embedded metric format; the API never sees it.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from fastapi import FastAPI, Response

from functions.api.contract import Answered, operation
from shared.admin.gauges import Gauges
from shared.telemetry import logger

GROUP_TIMEOUT_MS: Final = 2_000
"""How long DynamoDB and the queues, side by side, and the cache after them may take: 4 s at most, within the 10 s that
Prometheus waits by default."""
_DEPENDENCIES: Final = 3
_OPENMETRICS: Final = "application/openmetrics-text"
_EXAMPLE: Final = """\
# HELP leaderboards_window_players Players in a window that is open now
# TYPE leaderboards_window_players gauge
leaderboards_window_players{leaderboard="autumn-cup",window="daily"} 120.0
# HELP leaderboards_events Events that were applied, or were duplicates
# TYPE leaderboards_events counter
leaderboards_events_total{topic="score-events",partition="0",result="applied"} 1432.0
# EOF
"""


class UseCases(Protocol):
    """What is called here."""

    @property
    def gauges(self) -> Gauges: ...


class Bounded:
    """Runs calls within a time; a dependency that still hangs from the last scrape is not asked again."""

    def __init__(self, timeout_ms: int = GROUP_TIMEOUT_MS) -> None:
        self._timeout_ms = timeout_ms
        self._executor = ThreadPoolExecutor(_DEPENDENCIES, "metrics")
        self._hanging: dict[str, Future[Any]] = {}

    def run(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """What each call returned; those that failed or took too long are left out."""
        deadline = time.monotonic() + self._timeout_ms / 1000
        started = {name: self._executor.submit(call) for name, call in calls.items() if not self._hangs(name)}
        answers = {}
        for name, future in started.items():
            try:
                answers[name] = future.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                self._hanging[name] = future
            except Exception as error:  # noqa: BLE001 - whatever it is, there is nothing to show
                logger.warning("metrics not had", extra={"dependency": name, "error": str(error)})
        return answers

    def _hangs(self, name: str) -> bool:
        before = self._hanging.get(name)
        return before is not None and not before.done()


def register(app: FastAPI, use_cases: UseCases, bounded: Bounded | None = None) -> None:
    """The route that is scraped."""
    tags: list[str | Enum] = ["metrics"]
    runs = bounded or Bounded()
    content = {_OPENMETRICS: {"schema": {"type": "string"}, "example": _EXAMPLE}}

    @app.get("/metrics", tags=tags, response_class=Response)
    @operation(responses={200: Answered("OpenMetrics text", content=content)})
    async def get_metrics() -> Response:
        """Counts and state of the service, of the first 100 leaderboards by id; what is out of reach is left out."""
        from functions.api.exposition import CONTENT_TYPE, Scrape, to_text  # noqa: PLC0415 - cold starts don't pay

        gauges: Gauges = use_cases.gauges
        answers = runs.run({"dynamodb": gauges.truth, "queues": gauges.queues})
        truth = answers.get("dynamodb")
        shown = () if truth is None else truth.leaderboards
        answers |= runs.run({"cache": partial(gauges.cache, shown)})
        up = {name: name in answers for name in ("dynamodb", "cache", "queues")}
        cache = None if truth is None else answers.get("cache")
        scrape = Scrape(up, truth, cache, answers.get("queues"))
        return Response(to_text(scrape), headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})
