"""A steady producer, which outlives the broker."""

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

from confluent_kafka import Producer

from infra.local.config import TOPIC
from tests.support.traffic import BOARDS, Pair, Traffic

RECENT_MAX: Final = 2_000
"""Events that a duplicate or a conflict is made of."""
DUPLICATES: Final = 0.10
CONFLICTS: Final = 0.01
BAD: Final = 0.015
OVERFLOWS: Final = 0.001
WHALES: Final = 4
"""Players whose sums overflow. They only ever gain points: once refused, an event would be refused again, so that the
oracle can tell what a redelivery makes of it (docs/adr/0046)."""
FLUSH_S: Final = 60


class Load:
    """Produces at a rate; what the broker's absence holds up is sent when it is back."""

    def __init__(self, servers: str, traffic: Traffic, rng: Random, rate: float, now_s: Callable[[], float]) -> None:
        settings: dict[str, Any] = {"acks": "all", "enable.idempotence": True, "linger.ms": 20, "log_level": 2}
        self._producer = Producer({"bootstrap.servers": servers, "reconnect.backoff.max.ms": 1_000, **settings})
        self._traffic = traffic
        self._rng = rng
        self._rate = rate
        self._now_s = now_s
        self._began_s = now_s()
        self._recent: deque[Pair] = deque(maxlen=RECENT_MAX)
        self.handed_over = 0
        self.outcomes: Counter[str] = Counter()
        """Delivery reports: `delivered`, or the error's name."""

    def step(self) -> None:
        """Produce what is due."""
        due = int((self._now_s() - self._began_s) * self._rate) - self.handed_over
        for _ in range(due):
            for key, value in self._next():
                self._producer.produce(TOPIC, value=value, key=key, on_delivery=self._delivered)
                self.handed_over += 1
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait for what is under way; what remains then is not delivered, and may or may not stand in the topic."""
        self.outcomes["unknown"] += self._producer.flush(FLUSH_S)

    def _next(self) -> list[Pair]:
        board = self._rng.choice(list(BOARDS))
        dice = self._rng.random()
        if dice < DUPLICATES and self._recent:
            return [self._rng.choice(self._recent)]
        dice -= DUPLICATES
        if dice < CONFLICTS and self._recent:
            return self._traffic.conflicting([self._rng.choice(self._recent)], 1)
        dice -= CONFLICTS
        if dice < BAD:
            return [self._rng.choice(self._traffic.bad(board, "strict", "deleted", 1))]
        if dice - BAD < OVERFLOWS:
            return self._traffic.overflowing("sum", WHALES)
        good = self._traffic.good(board, 1)
        self._recent += good
        return good

    def _delivered(self, error: Any, _message: Any) -> None:
        self.outcomes["delivered" if error is None else error.name()] += 1
