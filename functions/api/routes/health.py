"""Health: of every dependency, of the process, of what reads need."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import Final, Protocol

from fastapi import FastAPI, Response
from msgspec import UNSET

from functions.api.contract import described, operation
from functions.api.views import answer
from functions.api.views.health import DependencyView, HealthView
from shared.cache.windows import WindowCache
from shared.files.links import Downloads
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.queues import Queue
from shared.settings import Settings
from shared.telemetry import logger
from shared.truth.counters import FunctionCounters
from shared.truth.registry import Registry

PROBE_TIMEOUT_MS: Final = 1_500
"""How long a dependency may take to answer; past what any healthy one takes, within what a load balancer waits."""
PROBED_ID: Final = "health"
"""A leaderboard that need not be there: reading it shows that the registry answers."""
UP: Final = "up"
DOWN: Final = "down"

_STATES: Final = {
    200: described(HealthView, "Up"),
    503: described(HealthView, "Something that is needed is down", example="HealthView of a failure"),
}

Probe = Callable[[], object]


class UseCases(Protocol):
    """What is called here."""

    @property
    def cache(self) -> WindowCache: ...
    @property
    def dead_letters(self) -> DeadLetterQueue: ...
    @property
    def downloads(self) -> Downloads: ...
    @property
    def export_queue(self) -> Queue: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def repairs(self) -> Queue: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def telemetry(self) -> FunctionCounters: ...


class Probes:
    """Asks dependencies side by side. One that still hangs from last time is down and is not asked again."""

    def __init__(self, probes: Mapping[str, Probe], timeout_ms: int = PROBE_TIMEOUT_MS) -> None:
        self._probes = probes
        self._timeout_ms = timeout_ms
        self._executor = ThreadPoolExecutor(len(probes), "health")
        self._hanging: dict[str, Future[DependencyView]] = {}

    def ask(self, names: tuple[str, ...]) -> dict[str, DependencyView]:
        """The state of the named dependencies, within the timeout."""
        started = {
            name: self._hanging.get(name) or self._executor.submit(_run, name, self._probes[name]) for name in names
        }
        deadline = time.monotonic() + self._timeout_ms / 1000
        return {name: self._wait(name, future, deadline) for name, future in started.items()}

    def _wait(self, name: str, future: "Future[DependencyView]", deadline: float) -> DependencyView:
        try:
            view = future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            self._hanging[name] = future
            return DependencyView(status=DOWN, latency_ms=float(self._timeout_ms), detail="no answer in time")
        self._hanging.pop(name, None)
        return view


def _run(name: str, probe: Probe) -> DependencyView:
    start = time.perf_counter()
    try:
        probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency can't be used
        logger.warning("dependency down", extra={"dependency": name, "error": str(error)})
        detail = str(error) if isinstance(error, WrongSettings) else type(error).__name__
        return DependencyView(status=DOWN, latency_ms=_since_ms(start), detail=detail)
    return DependencyView(status=UP, latency_ms=_since_ms(start), detail=UNSET)


def _since_ms(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 1)


def _read_registry(use_cases: UseCases) -> None:
    use_cases.registry.leaderboard(PROBED_ID)


def _ping_cache(use_cases: UseCases) -> None:
    use_cases.cache.ping()


def _ping_queues(use_cases: UseCases) -> None:
    for queue in (use_cases.repairs, use_cases.export_queue, use_cases.dead_letters.queue):
        queue.ping()


def _ping_s3(use_cases: UseCases) -> None:
    use_cases.downloads.ping()


class WrongSettings(Exception):
    """The topic has settings under which events may be lost or rejected; the message says which."""


def _look_at_topic(use_cases: UseCases) -> None:
    """As of the close function's last check: this function may have no way to the broker."""
    settings = use_cases.telemetry.noted(use_cases.settings.kafka_topic).settings
    if settings is not None and settings.wrong:
        raise WrongSettings("; ".join(settings.wrong))


def register(app: FastAPI, use_cases: UseCases, probes: Probes | None = None) -> None:
    """The three questions that are asked of a service."""
    tags: list[str | Enum] = ["health"]
    asked = probes or Probes(
        {
            "dynamodb": partial(_read_registry, use_cases),
            "cache": partial(_ping_cache, use_cases),
            "queues": partial(_ping_queues, use_cases),
            "s3": partial(_ping_s3, use_cases),
            "topic": partial(_look_at_topic, use_cases),
        }
    )

    def respond(*names: str, not_needed: str | None = None) -> Response:
        dependencies = asked.ask(names)
        healthy = all(one.status == UP for name, one in dependencies.items() if name != not_needed)
        view = HealthView(status=UP if healthy else DOWN, dependencies=dependencies)
        return answer(view, 200 if healthy else 503, {"cache-control": "no-store"})

    @app.get("/health", tags=tags)
    @operation(responses=_STATES)
    async def get_health() -> Response:
        """Every dependency; `topic` is down while its settings are wrong, as of the close function's last check."""
        return respond("dynamodb", "cache", "queues", "s3", "topic")

    @app.get("/health/live", tags=tags)
    @operation(responses={200: _STATES[200]})
    async def get_liveness() -> Response:
        """Whether the process answers at all."""
        return respond()

    @app.get("/health/ready", tags=tags)
    @operation(responses=_STATES)
    async def get_readiness() -> Response:
        """Whether rankings can be read: without the cache from snapshots, and they say so."""
        return respond("dynamodb", "cache", not_needed="cache")
