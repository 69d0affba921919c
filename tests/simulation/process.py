"""The product's assembly, made anew for every process, on the stand-ins of one world."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.assembly import Assembly
from shared.assembly.parts import TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, TRUTH_BUDGET_MS
from shared.cache.server import CACHE_BREAKER_FAILURES, CACHE_BREAKER_REST_S
from shared.cache.windows import WindowCache
from shared.messaging.dead_letters import DeadLetterQueue
from shared.messaging.queues import Queue
from shared.messaging.topic import Topic
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.settings import Settings
from shared.truth.guard import SILENT, Guard
from shared.truth.tables import Tables
from tests.simulation.aws import Dynamo
from tests.simulation.cache import Breaker, Cache
from tests.simulation.course import Fault
from tests.simulation.outside import Notifications, broker
from tests.simulation.progress import DLQ, WatchedFinals, WatchedProgress
from tests.simulation.scheduler import InBackground, one_after_another

if TYPE_CHECKING:
    from tests.simulation.world import World

REPAIRS = "repairs"
RANGES = "ranges"
SKEW_MS_MAX = 4_000
SETTINGS = Settings(
    stage="local",
    code_version="simulated",
    aws_region="local",
    ledger_table=Tables().ledger,
    standings_table=Tables().standings,
    registry_table="registry",
    cache_url="redis://simulated",
    dlq_queue_url=DLQ,
    repair_queue_url=REPAIRS,
    range_queue_url=RANGES,
    export_queue_url="exports",
    export_bucket="bucket",
    kafka_bootstrap_servers="simulated:9092",
    kafka_topic="score-events",
    powertools_metrics_namespace="Leaderboards",
    ranges_memory_mb=1 << 10,
    ranges_caller_reads=1_000_000_000,
)


class Process(Assembly):
    """One process, with a clock of its own."""

    def __init__(self, world: "World") -> None:
        super().__init__(SETTINGS)
        self._world = world
        self._skew_ms = world.rng.randrange(-SKEW_MS_MAX, SKEW_MS_MAX) if world.scheduler.has(Fault.SKEW) else 0
        self.now_ms = lambda: world.scheduler.now_ms + self._skew_ms
        self.new_token = world.new_token
        self.backoff = Backoff(sleep=world.scheduler.sleep, uniform=world.rng.uniform)
        stand_ins: dict[str, Any] = {
            "dynamodb": world.dynamo,
            "registry": world.registry,
            "s3": world.s3,
            "sqs": world.sqs,
            "run_parallel": one_after_another,
            "read_parallel": read_sequentially,
            "notifications": Notifications(world),
        }
        self.__dict__.update(stand_ins)
        self._guard: Guard
        self.truth: Dynamo
        """Of the API: its client."""

    @cached_property
    def redis(self) -> Cache:  # type: ignore[override]
        """Its client of Redis."""
        return Cache(self._world, self._world.redis)

    @cached_property
    def cache(self) -> WindowCache:
        """The product's cache, with a breaker that goes by the world's clock."""
        redis: Any = self.redis
        silent = (RedisConnectionError, RedisTimeoutError)
        breaker = Breaker(self._world.scheduler, CACHE_BREAKER_FAILURES, CACHE_BREAKER_REST_S, silent)
        return WindowCache(redis, breaker)

    @cached_property
    def dead_letters(self) -> DeadLetterQueue:
        """The dead-letter queue, of records that all fit a message."""
        return DeadLetterQueue(Queue(self.sqs, DLQ), None, "bucket")  # type: ignore[arg-type]

    @cached_property
    def progress(self) -> WatchedProgress:
        """Committed offsets, which the world holds to its accounts."""
        return WatchedProgress(self._world.accounts, self.dynamodb, self.tables.registry)

    @cached_property
    def final_results(self) -> WatchedFinals:
        """Sealed days and final results, which the world holds to its accounts."""
        return WatchedFinals(self._world.accounts, self.dynamodb, self.tables.registry)

    @cached_property
    def topic(self) -> Topic:
        """The topic, as a client of the simulated broker sees it."""
        return broker(self._world)

    def api(self) -> Self:
        """The same process as one that a client waits for: it leaves a truth alone that does not answer."""
        breaker = Breaker(self._world.scheduler, TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, SILENT)
        self._guard = Guard(breaker, TRUTH_BUDGET_MS, lambda: self._world.scheduler.now_ms / 1000)
        self.truth = self._world.dynamo.guarded(self._guard)
        lookup = InBackground(self._world.scheduler)
        self.__dict__.update(dynamodb=self.truth, registry=self._world.registry.by(self.truth), lookup=lookup)
        return self

    def begin_request(self) -> None:
        """As the API does for each request."""
        self._guard.begin()
