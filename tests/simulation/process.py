"""The parts of the product, made for every process, on the stand-ins of one world."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.admin.disqualifications import Disqualifications, DisqualifiedPlayers
from shared.assembly.parts import TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, TRUTH_BUDGET_MS
from shared.cache.leases import Builds
from shared.cache.range_budget import RangeBudget, RangeLimits
from shared.cache.searches import WindowSearches
from shared.cache.windows import WindowCache
from shared.clients import REDIS_BREAKER_FAILURES, REDIS_BREAKER_REST_S
from shared.closing.coverage import Coverage
from shared.closing.finalizer import Finalizer
from shared.closing.sealing import DaySealing
from shared.closing.service import Closing
from shared.closing.steps import ClosingSteps
from shared.ingest.committer import Committer
from shared.ingest.projector import Projector
from shared.ingest.service import Ingest
from shared.lookups.leaderboards import Leaderboards
from shared.lookups.remembered import Lookup, at_once
from shared.lookups.results import Results
from shared.messaging.queues import DeadLetterQueue, Queue
from shared.reads.fallback import Fallback
from shared.reads.rankings import Rankings
from shared.rebuild.anti_entropy import Repair
from shared.rebuild.builder import IDLE_MS, WindowBuilder
from shared.rebuild.on_demand import OnDemandBuilds
from shared.rebuild.snapshots import WindowSnapshots
from shared.retries import Backoff
from shared.streams import in_turn
from shared.truth.audit_log import AuditLog
from shared.truth.commits import Commits
from shared.truth.finals import FinalResults
from shared.truth.guard import SILENT, Guard
from shared.truth.losses import Losses
from shared.truth.progress import Progress
from shared.truth.reads import Reads
from shared.truth.rounds import Rounds
from shared.truth.snapshots import Snapshots
from shared.truth.tables import Tables
from shared.truth.work import WorkList
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


class Process:
    """One process, with a clock of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._dynamo: Any = world.dynamo
        self._registry: Any = world.registry
        self._skew_ms = world.rng.randrange(-SKEW_MS_MAX, SKEW_MS_MAX) if world.scheduler.has(Fault.SKEW) else 0
        self._lookup: Lookup = at_once
        self._guard: Guard
        self.truth: Dynamo
        """Of the API: its client."""
        self._backoff = Backoff(sleep=world.scheduler.sleep, uniform=world.rng.uniform)

    def clock(self) -> int:
        """What time it is by this process."""
        return self._world.scheduler.now_ms + self._skew_ms

    @cached_property
    def redis(self) -> Cache:
        """Its client of Redis."""
        return Cache(self._world, self._world.redis)

    @cached_property
    def cache(self) -> WindowCache:
        """The product's live windows, with its breaker."""
        redis: Any = self.redis
        expected = (RedisConnectionError, RedisTimeoutError)
        return WindowCache(
            redis, Breaker(self._world.scheduler, REDIS_BREAKER_FAILURES, REDIS_BREAKER_REST_S, expected)
        )

    @cached_property
    def reads(self) -> Reads:
        """The product's reads of the truth."""
        return Reads(self._dynamo, Tables(), in_turn, self._backoff)

    def queue(self, url: str) -> Queue:
        """A queue."""
        sqs: Any = self._world.sqs
        return Queue(sqs, url)

    def audit_log(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self._dynamo, "registry")

    def ingest(self) -> Ingest:
        """The ingest function."""
        return Ingest(
            leaderboards=Leaderboards(self._registry, self.clock),
            committer=Committer(Commits(self._dynamo, Tables()), self.reads, one_after_another, self._backoff),
            projector=Projector(self.cache, self.queue(REPAIRS), one_after_another, self.clock),
            dead_letters=DeadLetterQueue(self.queue(DLQ), None, "bucket"),  # type: ignore[arg-type]
            progress=WatchedProgress(self._world.accounts, self._dynamo, "registry"),
            run_parallel=one_after_another,
            now_ms=self.clock,
        )

    def repair(self) -> Repair:
        """The repair function."""
        return Repair(
            registry=self._registry,
            leaderboards=Leaderboards(self._registry, self.clock),
            reads=self.reads,
            cache=self.cache,
            builder=self._builder(),
            on_demand=self._on_demand(),
            snapshots=self._snapshots(),
            rounds=Rounds(self._dynamo, "registry"),
            now_ms=self.clock,
        )

    def api(self) -> Self:
        """The same process as one that somebody waits for: it leaves a truth alone that does not answer."""
        breaker = Breaker(self._world.scheduler, TRUTH_BREAKER_FAILURES, TRUTH_BREAKER_REST_S, SILENT)
        self._guard = Guard(breaker, TRUTH_BUDGET_MS, lambda: self._world.scheduler.now_ms / 1000)
        self._dynamo = self.truth = self._world.dynamo.guarded(self._guard)
        self._registry = self._world.registry.by(self._dynamo)
        self._lookup = InBackground(self._world.scheduler)
        return self

    def begin_request(self) -> None:
        """As the API does for each request."""
        self._guard.begin()

    def leaderboards(self) -> Leaderboards:
        """The API's definitions."""
        return Leaderboards(self._registry, self.clock, self._lookup)

    def rankings(self) -> Rankings:
        """The API's reads of rankings."""
        return Rankings(
            cache=self.cache,
            searches=WindowSearches(self.cache),
            on_demand=self._on_demand(),
            repairs=self.queue(REPAIRS),
            results=Results(FinalResults(self._dynamo, "registry"), self._registry, self.clock, self._lookup),
            fallback=Fallback(self._snapshots(), self.reads, DisqualifiedPlayers(self.audit_log()), self.clock),
            now_ms=self.clock,
        )

    def disqualifications(self) -> Disqualifications:
        """The API's disqualified_players."""
        return Disqualifications(
            audit_log=self.audit_log(),
            disqualified_players=DisqualifiedPlayers(self.audit_log()),
            reads=self.reads,
            cache=self.cache,
            now_ms=self.clock,
        )

    def closing(self) -> Closing:
        """The closing function."""
        s3: Any = self._world.s3
        notifications: Any = Notifications(self._world)
        finals = WatchedFinals(self._world.accounts, self._dynamo, "registry")
        finalizer = Finalizer(
            reads=self.reads,
            cache=self.cache,
            builder=self._builder(),
            finals=finals,
            registry=self._registry,
            disqualified_players=DisqualifiedPlayers(self.audit_log()),
            s3=s3,
            bucket="bucket",
            now_ms=self.clock,
        )
        work_list = WorkList(self._dynamo, "registry")
        work = ClosingSteps(
            registry=self._registry,
            finals=finals,
            work=work_list,
            audit_log=self.audit_log(),
            disqualifications=self.disqualifications(),
            finalizer=finalizer,
            notifications=notifications,
        )
        return Closing(
            registry=self._registry,
            coverage=self.coverage(),
            days=DaySealing(registry=self._registry, finals=finals, reads=self.reads, now_ms=self.clock),
            work=work,
            work_list=work_list,
            rounds=Rounds(self._dynamo, "registry"),
            now_ms=self.clock,
        )

    def losses(self) -> Losses:
        """What the topic lost."""
        return Losses(self._dynamo, "registry")

    def coverage(self) -> Coverage:
        """What is committed of the topic."""
        return Coverage(Progress(self._dynamo, "registry"), self.losses(), broker(self._world), self.clock)

    def _snapshots(self) -> WindowSnapshots:
        return WindowSnapshots(
            cache=self.cache,
            store=Snapshots(self._dynamo, "registry"),
            reads=self.reads,
            registry=self._registry,
            disqualified_players=DisqualifiedPlayers(self.audit_log()),
            now_ms=self.clock,
        )

    def _on_demand(self) -> OnDemandBuilds:
        return OnDemandBuilds(
            builder=self._builder(),
            leases=Builds(self.cache),
            cache=self.cache,
            registry=self._registry,
            reads=self.reads,
            budget=RangeBudget(self.cache, RangeLimits(1 << 30, 75, 1_000_000_000), IDLE_MS),
            queue=self.queue(RANGES),
            now_ms=self.clock,
            new_token=self._world.new_token,
        )

    def _builder(self) -> WindowBuilder:
        return WindowBuilder(
            reads=self.reads,
            cache=self.cache,
            leases=Builds(self.cache),
            registry=self._registry,
            disqualified_players=DisqualifiedPlayers(self.audit_log()),
            now_ms=self.clock,
            new_token=self._world.new_token,
        )
