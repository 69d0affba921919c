"""Health: of every dependency, of the process, of what reads need."""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Final, Protocol

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from msgspec import UNSET

from functions.api.contract import described, operation
from functions.api.probes import DOWN, UP, Facts, Found, Probe, Probes, Wrong
from functions.api.views import answer
from functions.api.views.health import DependencyView, HealthView, QueueView
from shared.admin.gauges import LEADERBOARDS_MAX
from shared.cache.errors import CacheUnavailable
from shared.cache.windows import WindowCache
from shared.domain.events import format_instant
from shared.files.links import Downloads
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.queues import Queue
from shared.settings import Settings
from shared.truth.counters import FunctionCounters
from shared.truth.guard import Guard
from shared.truth.progress import Progress
from shared.truth.registry import Registry

PROBED_ID: Final = "health"
"""A leaderboard that need not be there: reading it shows that the registry answers."""
COUNTED_EVERY_MS: Final = 5_000
"""How often one function counts complete leaderboards: whoever has no token may ask, and each costs a command."""
_QUEUE: Final = "queues."
"""What the name of a probe of one queue begins with."""
_COUNTS: Final = "leaderboards"

_STATES: Final = {
    200: described(HealthView, "Up"),
    503: described(HealthView, "Something that is needed is down", example="HealthView of a failure"),
}


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
    def progress(self) -> Progress: ...
    @property
    def range_builds(self) -> Queue: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def repairs(self) -> Queue: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def telemetry(self) -> FunctionCounters: ...
    @property
    def truth_guard(self) -> Guard | None: ...


class Questions:
    """What each dependency is asked."""

    def __init__(self, use_cases: UseCases, now_ms: Callable[[], int]) -> None:
        self._use_cases = use_cases
        self._now_ms = now_ms
        self._counted: tuple[int, Facts] | None = None
        """When complete leaderboards were last counted, and how many there were."""
        self._not_empty_since: dict[str, str] = {}

    def probes(self) -> dict[str, Probe]:
        """By name; the queues are asked each for itself."""
        parts = self._use_cases
        queues: dict[str, Callable[[], Queue]] = {
            "repairs": lambda: parts.repairs,
            "ranges": lambda: parts.range_builds,
            "exports": lambda: parts.export_queue,
            "deadLetters": lambda: parts.dead_letters.queue,
        }
        asked: dict[str, Callable[[], Facts | None]] = {
            "dynamodb": self._registry,
            "cache": self._cache,
            _COUNTS: self._complete,
            "s3": lambda: parts.downloads.ping(),  # noqa: PLW0108 - nothing is made before it is asked
            "topic": self._topic,
        }
        asked |= {f"{_QUEUE}{name}": partial(self._queue, name, queue) for name, queue in queues.items()}
        aside: dict[str, Callable[[], Facts]] = {"dynamodb": self._truth_breaker, "cache": self._cache_breaker}
        return {name: Probe(ask, aside=aside.get(name, dict)) for name, ask in asked.items()}

    def _truth_breaker(self) -> Facts:
        guard = self._use_cases.truth_guard
        return {} if guard is None else {"breaker": guard.breaker_state}

    def _cache_breaker(self) -> Facts:
        return {"breaker": self._use_cases.cache.breaker_state}

    def _registry(self) -> None:
        self._use_cases.registry.leaderboard(PROBED_ID)

    def _cache(self) -> Facts:
        self._use_cases.cache.ping()
        try:
            loads = self._use_cases.cache.loads()
        except CacheUnavailable:  # of a user who may not ask for it
            return {}
        fullest = max(loads.values(), key=lambda one: (one.share, one.used_bytes))
        return {"memory_used_bytes": fullest.used_bytes, "memory_limit_bytes": fullest.limit_bytes or None}

    def _complete(self) -> Facts:
        now_ms = self._now_ms()
        if self._counted is None or not 0 <= now_ms - self._counted[0] < COUNTED_EVERY_MS:
            found = [*self._use_cases.registry.leaderboards(LEADERBOARDS_MAX)]
            complete = sum(self._use_cases.cache.is_complete(one) for one in found)
            self._counted = (now_ms, {"leaderboards": len(found), "complete_leaderboards": complete})
        return self._counted[1]

    def _queue(self, name: str, queue: Callable[[], Queue]) -> Facts:
        depth = queue().depth()
        since = self._not_empty_since.pop(name, format_instant(self._now_ms()))
        if not depth.waiting + depth.in_flight:
            return {"waiting": 0, "in_flight": 0, "not_empty_since": None}
        self._not_empty_since[name] = since
        return {"waiting": depth.waiting, "in_flight": depth.in_flight, "not_empty_since": since}

    def _topic(self) -> Facts:
        """As of the close function's last check: this function may have no way to the broker."""
        topic = self._use_cases.settings.kafka_topic
        positions = self._use_cases.progress.positions(topic)
        last_ms = max((one.recorded_at_ms for one in positions if one.recorded_at_ms is not None), default=None)
        facts = {
            "last_commit_at": None if last_ms is None else format_instant(last_ms),
            "last_commit_age_ms": None if last_ms is None else max(0, self._now_ms() - last_ms),
        }
        settings = self._use_cases.telemetry.noted(topic).settings
        if settings is not None and settings.wrong:
            raise Wrong("; ".join(settings.wrong), facts)
        return facts


def register(app: FastAPI, use_cases: UseCases, now_ms: Callable[[], int], probes: Probes | None = None) -> None:
    """The three questions that are asked of a service."""
    tags: list[str | Enum] = ["health"]
    asked = probes or Probes(Questions(use_cases, now_ms).probes(), now_ms)

    def respond(*names: str, not_needed: str | None = None) -> Response:
        dependencies = _views(asked.ask(names))
        healthy = all(one.status == UP for name, one in dependencies.items() if name != not_needed)
        view = HealthView(status=UP if healthy else DOWN, dependencies=dependencies)
        return answer(view, 200 if healthy else 503, {"cache-control": "no-store"})

    @app.get("/health", tags=tags)
    @operation(responses=_STATES)
    async def get_health() -> Response:
        """Every dependency; `topic` is down while its settings are wrong, as of the close function's last check."""
        return await run_in_threadpool(respond, *asked.names)

    @app.get("/health/live", tags=tags)
    @operation(responses={200: _STATES[200]})
    async def get_liveness() -> Response:
        """Whether the process answers at all."""
        return respond()

    @app.get("/health/ready", tags=tags)
    @operation(responses=_STATES)
    async def get_readiness() -> Response:
        """Whether rankings can be read: without the cache from snapshots, and they say so."""
        return await run_in_threadpool(partial(respond, "dynamodb", "cache", not_needed="cache"))


def _views(found: Mapping[str, Found]) -> dict[str, DependencyView]:
    """By dependency: the queues are one, and how many leaderboards are complete is told of the cache."""
    views: dict[str, DependencyView] = {}
    queues: dict[str, QueueView] = {}
    for name, one in found.items():
        if name.startswith(_QUEUE):
            queues[name.removeprefix(_QUEUE)] = QueueView(**_told(one))
            views["queues"] = _of_all(queues)
        elif name != _COUNTS:
            counts = dict(found[_COUNTS].facts) if name == "cache" and _COUNTS in found else {}
            views[name] = DependencyView(**_told(one) | counts)
    return views


def _told(one: Found) -> dict[str, Any]:
    detail = UNSET if one.detail is None else one.detail
    own = {"status": one.status, "latency_ms": one.latency_ms, "since": format_instant(one.since_ms), "detail": detail}
    return own | dict(one.facts)


def _of_all(queues: Mapping[str, QueueView]) -> DependencyView:
    """Down since the first of those that are, up since the last of all is."""
    down = {name: one for name, one in queues.items() if one.status == DOWN}
    since = min(one.since for one in down.values()) if down else max(one.since for one in queues.values())
    return DependencyView(
        status=DOWN if down else UP,
        latency_ms=max(one.latency_ms for one in queues.values()),
        since=since,
        detail="; ".join(f"{name}: {one.detail}" for name, one in down.items()) or UNSET,
        queues=dict(queues),
    )
