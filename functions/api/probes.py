"""Asks what the service stands on: side by side, each for a time of its own, and never twice at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Final

from msgspec import Struct

from shared.telemetry import logger

PROBE_TIMEOUT_MS: Final = 1_500
"""How long a dependency may take to answer; past what any healthy one takes, within what a load balancer waits."""
UP: Final = "up"
DOWN: Final = "down"
LATE: Final = "no answer in time"

Facts = Mapping[str, Any]
"""What a dependency tells of itself, by name."""


class Wrong(Exception):
    """A dependency answers and can't be used as it is: what anybody may know of why, and what it tells of itself."""

    def __init__(self, detail: str, facts: Facts | None = None) -> None:
        super().__init__(detail)
        self.facts = facts or {}


class Probe(Struct, frozen=True):
    """One question."""

    ask: Callable[[], Facts | None]
    """Raises if the dependency can't be used."""
    timeout_ms: int = PROBE_TIMEOUT_MS
    aside: Callable[[], Facts] = dict
    """What this process knows of the dependency without asking it, told however it answers."""


class Found(Struct, frozen=True, kw_only=True):
    """How a dependency answered."""

    status: str
    latency_ms: float
    """How long it took; of one that has not answered, how long it has been waited for."""
    since_ms: int
    """When this process first found it in this state, without another one in between."""
    detail: str | None = None
    """Why it is down."""
    facts: Facts = {}


class _Answer(Struct, frozen=True):
    latency_ms: float
    detail: str | None
    """None if it is up."""
    facts: Facts


class _Run(Struct, frozen=True):
    started_s: float
    answer: "Future[_Answer]"


class Probes:
    """Every probe has a thread of its own at most. One that still hangs is down, and is not asked again."""

    def __init__(self, probes: Mapping[str, Probe], now_ms: Callable[[], int]) -> None:
        self._probes = probes
        self._now_ms = now_ms
        self._executor = ThreadPoolExecutor(len(probes), "health")
        self._lock = Lock()
        self._runs: dict[str, _Run] = {}
        self._states: dict[str, tuple[str, int]] = {}
        """Name → its state, and since when this process has known it."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that there are to ask."""
        return tuple(self._probes)

    def ask(self, names: Sequence[str]) -> dict[str, Found]:
        """The state of the named dependencies, after the longest of their times at the latest."""
        with self._lock:
            runs = {name: self._run(name) for name in names}
        return {name: self._wait(name, run) for name, run in runs.items()}

    def _run(self, name: str) -> _Run:
        run = self._runs.get(name)
        if run is None or run.answer.done():
            run = _Run(time.monotonic(), self._executor.submit(_ask, name, self._probes[name]))
            self._runs[name] = run
        return run

    def _wait(self, name: str, run: _Run) -> Found:
        ends_s = run.started_s + self._probes[name].timeout_ms / 1000
        try:
            answer = run.answer.result(max(0.0, ends_s - time.monotonic()))
        except TimeoutError:
            answer = _Answer(_since_ms(run.started_s), LATE, {})
        status = UP if answer.detail is None else DOWN
        return Found(
            status=status,
            latency_ms=answer.latency_ms,
            since_ms=self._since_ms(name, status),
            detail=answer.detail,
            facts={**answer.facts, **self._probes[name].aside()},
        )

    def _since_ms(self, name: str, status: str) -> int:
        with self._lock:
            before, since_ms = self._states.get(name, ("", 0))
            if before != status:
                since_ms = self._now_ms()
                self._states[name] = (status, since_ms)
            return since_ms


def _ask(name: str, probe: Probe) -> _Answer:
    started_s = time.monotonic()
    try:
        facts = probe.ask() or {}
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency can't be used
        logger.warning("dependency down", extra={"dependency": name, "error": str(error)})
        is_told = isinstance(error, Wrong)
        detail = str(error) if is_told else type(error).__name__
        return _Answer(_since_ms(started_s), detail, error.facts if isinstance(error, Wrong) else {})
    return _Answer(_since_ms(started_s), None, facts)


def _since_ms(started_s: float) -> float:
    return round((time.monotonic() - started_s) * 1000, 1)
