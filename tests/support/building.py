"""A reader and the repair function, which build windows on demand."""

from itertools import count
from typing import Any, Final

from shared.cache import keys
from shared.cache.leases import BuildLeases
from shared.cache.range_budget import RangeBudget, RangeLimits
from shared.domain.calendar import Day, Window, custom
from shared.lookups.leaderboards import Leaderboards
from shared.messaging.queues import QueueUnavailable
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.builder import IDLE_MS
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.requests import decode_request
from tests.support.closing import MONDAY, Scene

RANGE: Final = custom(Day(MONDAY - 1), Day(MONDAY + 2))
AMPLE: Final = RangeLimits(1 << 30, 75, 1_000_000_000)


class Requests:
    """The cache-repair queue."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.away = False

    def send(self, bodies: list[bytes]) -> None:
        if self.away:
            raise QueueUnavailable("away")
        self.bodies += bodies


class Builders:
    """A reader and the repair function over one leaderboard; every read of the clock takes `step_ms`."""

    def __init__(self, scene: Scene, limits: RangeLimits = AMPLE) -> None:
        self.scene = scene
        self.step_ms = 0
        self.requests = Requests()
        tokens = (f"builder-{number}" for number in count())
        repairs: Any = self.requests
        self.leases = BuildLeases(scene.cache)
        self.on_demand = OnDemandBuilds(
            builder=scene.builder,
            leases=self.leases,
            cache=scene.cache,
            registry=scene.registry,
            reads=scene.reads,
            budget=RangeBudget(scene.cache, limits, IDLE_MS),
            queue=lambda: repairs,
            now_ms=self._clock,
            new_token=lambda: next(tokens),
        )
        nothing: Any = None
        self.repair = Repair(
            registry=scene.registry,
            leaderboards=Leaderboards(scene.registry, scene.clock),
            reads=scene.reads,
            cache=scene.cache,
            builder=scene.builder,
            on_demand=self.on_demand,
            snapshots=nothing,
            rounds=scene.rounds,
            now_ms=scene.clock,
        )

    def _clock(self) -> int:
        self.scene.now_ms += self.step_ms
        return self.scene.now_ms

    def build(self, window: Window = RANGE) -> None:
        self.on_demand.build_for_reader(self.scene.leaderboard, window)

    def handle(self) -> None:
        """Carry out all messages in their order, as the repair function does; one that fails stays."""
        while self.requests.bodies:
            self.repair.handle(decode_request(self.requests.bodies[0]))
            del self.requests.bodies[0]

    @property
    def lease_ms(self) -> int:
        """What is left of the lease; below 0 if no worker holds one."""
        until: Any = self.scene.redis.hget(keys.state(self.scene.id, RANGE.id), "\0until")
        return int(until or 0) - self.scene.now_ms

    @property
    def shown(self) -> list[tuple[str, int]] | None:
        """The range as the cache has it; None if it is not complete."""
        page = self.scene.cache.page(self.scene.leaderboard, RANGE, 0, 100, self.scene.now_ms)
        return [(user, score.points) for user, score in page.lines] if page.complete else None
